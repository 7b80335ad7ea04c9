//! What only a known hop may say.

use hyper::{HeaderMap, header::HeaderName};

use super::names::{is_same, is_same_in_cgi};
use crate::proxy::settings::Trust;

/// What only a known hop may say: who asked and by which way, how urgent it is and until when, and what the settings name. Services
/// and routes must not believe it of anybody else.
#[derive(Debug)]
pub(in crate::proxy) struct Claims(Vec<HeaderName>);

impl Claims {
    pub(in crate::proxy) fn of(trust: &Trust) -> Self {
        let deadline = trust.deadline_header.as_ref().and_then(|name| name.parse().ok());
        let own = ["forwarded", "x-real-ip", "priority", "grpc-timeout"].map(HeaderName::from_static);
        Claims(own.into_iter().chain(deadline).chain(trust.headers.iter().cloned()).collect())
    }

    /// However it is written.
    fn has(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        text.starts_with("x-forwarded-")
            || self.0.contains(name)
            || text.contains('_') && self.0.iter().any(|claim| is_same(name, claim.as_str()))
    }

    pub(in crate::proxy) fn take_off(&self, headers: &mut HeaderMap) {
        let there: Vec<HeaderName> = headers.keys().filter(|name| self.has(name)).cloned().collect();
        for name in there {
            headers.remove(name);
        }
    }

    /// Whether a request's trailer may have this name, which is read as a header and believed.
    pub(super) fn may_trail(&self, name: &HeaderName) -> bool {
        !is_same_in_cgi(name) && !self.has(name)
    }
}
