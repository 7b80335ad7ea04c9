//! Trailers, of requests and of answers: what may stand behind the content (RFC 9110, 6.5.1).

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    HeaderMap,
    body::Frame,
    header::{HeaderName, TRAILER},
};

use super::{
    check::{has_blank_end, number_of_fields, trim},
    claims::Claims,
    error::Error,
    lists::named_in,
    names::may_trail,
};

/// Which trailers of one message go along, and which are taken off.
pub(in crate::proxy) struct Trailers {
    /// What a client may not claim; nothing, if they are a service's.
    pub(super) claims: Option<Arc<Claims>>,
    /// What `Connection` names, which ends here.
    pub(super) named: Vec<HeaderName>,
    /// How many there may be.
    pub(super) fields_max: usize,
}

impl Trailers {
    fn may_be(&self, name: &HeaderName) -> bool {
        let may_be_claimed = || self.claims.as_ref().is_none_or(|claims| claims.may_trail(name));
        may_trail(name) && !self.named.contains(name) && may_be_claimed()
    }

    /// Leaves no announcement of others; over HTTP/1, hyper sends only those announced.
    pub(super) fn announce(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(TRAILER) {
            return;
        }
        let announced: Vec<HeaderName> =
            named_in(headers, &TRAILER).filter(|name| self.may_be(name)).collect();
        headers.remove(TRAILER);
        for name in announced {
            headers.append(TRAILER, name.into());
        }
    }

    /// A part of the content, or what goes along of the trailers. An error is of the client who sent them.
    pub(in crate::proxy) fn sift(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let mut trailers = match frame.into_trailers() {
            Ok(trailers) => trailers,
            Err(data) => return Ok(data),
        };
        if self.claims.is_none() {
            trim(&mut trailers);
        } else if trailers.values().any(has_blank_end) {
            return Err(Error::Malformed("A trailer's value begins or ends with a blank"));
        }
        if number_of_fields(&trailers) > self.fields_max {
            return Err(Error::TooManyFields);
        }
        let wrong: Vec<HeaderName> = trailers.keys().filter(|name| !self.may_be(name)).cloned().collect();
        for name in wrong {
            trailers.remove(name);
        }
        Ok(Frame::trailers(trailers))
    }
}
