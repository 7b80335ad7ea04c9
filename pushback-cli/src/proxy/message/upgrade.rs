//! Connections that become something else: WebSocket, and what else both sides agree on.

use hyper::{
    Request, Response, StatusCode, Version,
    header::{CONNECTION, HeaderValue, UPGRADE},
    upgrade::{OnUpgrade, on},
};

use super::{error::Error, lists::has_token};

/// What a client wants its connection to become.
pub(in crate::proxy) struct Upgrade {
    pub(in crate::proxy) protocol: HeaderValue,
    pub(in crate::proxy) client: OnUpgrade,
}

impl Upgrade {
    /// If it is one of those allowed, which are in small letters. HTTP/2 never is: requests on it would pass the gauge by.
    pub(in crate::proxy) fn asked_for<B>(request: &mut Request<B>, allowed: &[String]) -> Option<Self> {
        if request.version() != Version::HTTP_11 || !has_token(request.headers(), &CONNECTION, "upgrade") {
            return None;
        }
        let mut protocols = request.headers().get_all(UPGRADE).iter();
        let protocol = protocols.next().filter(|_| protocols.next().is_none())?.clone();
        let name = protocol.to_str().ok()?.split('/').next()?;
        allowed.iter().find(|allowed| name.eq_ignore_ascii_case(allowed))?;
        Some(Upgrade { protocol, client: on(request) })
    }

    /// The service's side, if it has agreed. A service that agrees to what nobody asked for does not speak HTTP (RFC 9110, 7.8).
    pub(in crate::proxy) fn agreed<B>(
        asked: Option<&Self>,
        response: &mut Response<B>,
    ) -> Result<Option<OnUpgrade>, Error> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        let Upgrade { protocol, .. } = asked.ok_or(Error::Garbage)?;
        let agreed = response.headers().get(UPGRADE).ok_or(Error::Garbage)?;
        if !agreed.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()) {
            return Err(Error::Garbage);
        }
        Ok(Some(on(response)))
    }
}
