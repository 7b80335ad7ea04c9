//! Connections that become something else: WebSocket, and what else both sides agree on.

use hyper::{
    Request, Response, StatusCode, Version,
    header::{CONNECTION, HeaderValue, UPGRADE},
    upgrade::{OnUpgrade, on},
};

use super::{
    error::Error,
    lists::{has_token, members, split},
};

/// What a client wants its connection to become.
pub(in crate::proxy) struct Upgrade {
    /// One of these, in the order of its liking.
    pub(in crate::proxy) protocols: HeaderValue,
    pub(in crate::proxy) client: OnUpgrade,
}

impl Upgrade {
    /// If one of those allowed is among what it asks for: then of the others nobody hears (RFC 9110, 7.8). The names allowed are in small
    /// letters. HTTP/2 never is: requests on it would pass the gauge by.
    pub(in crate::proxy) fn asked_for<B>(request: &mut Request<B>, allowed: &[String]) -> Option<Self> {
        if request.version() != Version::HTTP_11 || !has_token(request.headers(), &CONNECTION, "upgrade") {
            return None;
        }
        let is_allowed = |protocol: &&[u8]| {
            let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
            allowed.iter().any(|allowed| name.eq_ignore_ascii_case(allowed.as_bytes()))
        };
        let protocols: Vec<_> = members(request.headers(), &UPGRADE).filter(is_allowed).collect();
        if protocols.is_empty() {
            return None;
        }
        let protocols = HeaderValue::from_bytes(&protocols.join(&b", "[..])).ok()?;
        Some(Upgrade { protocols, client: on(request) })
    }

    /// The service's side, if it has agreed. A service that agrees to what nobody asked for does not speak HTTP (RFC 9110, 7.8).
    pub(in crate::proxy) fn agreed<B>(
        asked: Option<&Self>,
        response: &mut Response<B>,
    ) -> Result<Option<OnUpgrade>, Error> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(None);
        }
        let Upgrade { protocols, .. } = asked.ok_or(Error::Garbage)?;
        let agreed = response.headers().get(UPGRADE).ok_or(Error::Garbage)?;
        if !split(protocols).any(|protocol| protocol.eq_ignore_ascii_case(agreed.as_bytes())) {
            return Err(Error::Garbage);
        }
        Ok(Some(on(response)))
    }
}
