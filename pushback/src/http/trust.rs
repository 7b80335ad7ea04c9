//! Which peers may state a priority and a deadline. These are worth something only if not everybody
//! can claim them.

use std::{fmt, sync::Arc};

use ::http::{HeaderMap, HeaderName};

use super::{
    fields::{grpc_timeout, milliseconds, urgency},
    head::RequestHead,
};
use crate::{
    arrival::{Arrival, Priority},
    gauge::PressureGauge,
    settings::BuildError,
};

const PRIORITY: HeaderName = HeaderName::from_static("priority");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Headers that cannot tell a deadline, because they tell something else.
const TAKEN: [&str; 9] = [
    "priority",
    "grpc-timeout",
    "host",
    "content-length",
    "content-type",
    "connection",
    "transfer-encoding",
    "te",
    "upgrade",
];

/// Which peers are trusted to state their priority and deadline.
///
/// A trusted peer may send, in the headers of a request:
///
/// - its priority, in `Priority` (RFC 9218). Urgency `u=0` is [`Critical`](Priority::Critical), 1
///   and 2 are [`High`](Priority::High), 3 is [`Normal`](Priority::Normal), 4 to 6 are
///   [`Low`](Priority::Low), 7 is [`Background`](Priority::Background). It replaces the route's
///   own. What is malformed or out of range is ignored, as the RFC demands;
/// - how long it waits for the answer, in `grpc-timeout` (up to eight digits and a unit of `H`,
///   `M`, `S`, `m`, `u`, `n`), and in milliseconds in a header of your choice. The soonest deadline
///   counts. What is malformed is ignored.
///
/// A trusted peer that is refused is told why, in the header `pushback-reason`.
///
/// From the requests of others, those headers are removed, so that nothing behind this service
/// believes them either. For such requests, an outer deadline must be enforced by other means.
///
/// ```
/// use std::net::SocketAddr;
/// use axum::extract::ConnectInfo; // there with `into_make_service_with_connect_info::<SocketAddr>()`,
/// // and behind a `CappedListener` with `.tap_io(|_| ())`
/// use pushback::{PressureGauge, http::{BackpressureLayer, Classify, Trust}};
///
/// let trust = Trust::new(|request| {
///     let peer = request.extensions.get::<ConnectInfo<SocketAddr>>();
///     peer.is_some_and(|ConnectInfo(address)| address.ip().is_loopback())
/// });
/// let classify = Classify::new().trust(trust.deadline_header("x-request-timeout-ms")?);
/// let layer = BackpressureLayer::waiting(PressureGauge::new(10)).classify(classify);
/// # let _ = layer;
/// # Ok::<(), pushback::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Trust {
    peer: Arc<PeerIsTrusted>,
    deadline: Option<HeaderName>,
}

type PeerIsTrusted = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;

impl Trust {
    /// Trusts the peers for whose requests `is_trusted` is true.
    ///
    /// Look at what the connection tells, in the request's extensions: the peer's address, its
    /// certificate. Anybody can write a header.
    pub fn new(is_trusted: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        Trust { peer: Arc::new(is_trusted), deadline: None }
    }

    /// The header in which a peer says how long it still waits, in milliseconds: up to eight
    /// digits.
    ///
    /// # Errors
    ///
    /// If it is not the name of a header (RFC 9110, 5.1), or of one that means something else.
    pub fn deadline_header(mut self, name: &str) -> Result<Self, BuildError> {
        let known = HeaderName::try_from(name).ok().filter(|name| !TAKEN.contains(&name.as_str()));
        let allowed =
            "a name of letters, digits and !#$%&'*+-.^_`|~ that HTTP and gRPC do not use themselves";
        let name = known.ok_or_else(|| BuildError::new("deadline_header", format!("{name:?}"), allowed))?;
        self.deadline = Some(name);
        Ok(self)
    }

    pub(super) fn is_trusted(&self, request: &RequestHead<'_>) -> bool {
        (self.peer)(request)
    }

    /// The arrival as a trusted peer's headers have it.
    pub(super) fn heed(&self, mut arrival: Arrival, headers: &HeaderMap, gauge: &PressureGauge) -> Arrival {
        if let Some(priority) = urgency(headers.get_all(PRIORITY).iter()).map(priority_of) {
            arrival = arrival.priority(priority);
        }
        let named = self.deadline.iter().flat_map(|name| headers.get_all(name));
        let named = named.filter_map(|value| milliseconds(value.as_bytes()));
        let grpc = headers.get_all(GRPC_TIMEOUT).into_iter();
        let grpc = grpc.filter_map(|value| grpc_timeout(value.as_bytes()));
        if let Some(patience) = named.chain(grpc).min() {
            // A deadline that the clock cannot express is none.
            let deadline = gauge.now().checked_add(patience);
            if let Some(soonest) = [deadline, arrival.until()].into_iter().flatten().min() {
                arrival = arrival.deadline(soonest);
            }
        }
        arrival
    }

    /// Takes off what this peer may not say.
    pub(super) fn strip(&self, headers: &mut HeaderMap) {
        headers.remove(PRIORITY);
        headers.remove(GRPC_TIMEOUT);
        if let Some(name) = &self.deadline {
            headers.remove(name);
        }
    }
}

/// RFC 9218, 4.1: 0 is the most urgent, 3 the default, 7 is background.
fn priority_of(urgency: u8) -> Priority {
    match urgency {
        0 => Priority::Critical,
        1 | 2 => Priority::High,
        3 => Priority::Normal,
        4..=6 => Priority::Low,
        _ => Priority::Background,
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("deadline_header", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_cannot_tell_a_deadline_is_an_error() {
        let trust = Trust::new(|_| true);
        assert!(trust.clone().deadline_header("X-Timeout-Ms").is_ok());
        for name in ["", "two words", "colon:", "Host", "grpc-timeout", "ümlaut"] {
            let error = trust.clone().deadline_header(name).unwrap_err();
            assert_eq!(error.key(), "deadline_header");
            assert!(
                error.to_string().starts_with(&format!("deadline_header is {name:?}; allowed: ")),
                "{error}"
            );
        }
    }
}
