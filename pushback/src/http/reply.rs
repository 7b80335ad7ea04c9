//! What a refused request is told.

use std::sync::Arc;

use ::http::{Method, StatusCode, Version};

use super::{
    RequestHead,
    classify::Asks,
    hold_time::HoldTime,
    refusal::{Form, Refusal},
    turns::{Turns, Wait},
};
use crate::{
    gauge::PressureGauge,
    rejected::{Reason, Rejected},
    settings::BuildError,
};

/// What a refused request is told: the status by reason, and when to come back.
///
/// **The status** is 429 by default, and 503 for [`Reason::Closed`]: a service that is going away
/// is not too busy for this caller, it is not there for anybody. Others answer 503 to all (RFC
/// 9110, 15.6.4: "temporary overload"), and keep 429 (RFC 6585, 4: "the user has sent too many
/// requests") for callers above their own quota. [`status`](Reply::status) changes it.
///
/// **`Retry-After`** is when the caller's turn would come if it stood in line, 1 to 60 whole
/// seconds. A place comes back each S/L once the calls in flight have ended, where S is how long
/// places are held and L the limit, and each refused caller is told a turn of its own. So whoever
/// comes back when told most likely finds a place, and they do not all come back at once.
///
/// **gRPC callers** get HTTP 200 with trailers only: `UNAVAILABLE`, which their retry policies
/// know, and the time in `grpc-retry-pushback-ms`. Above a [`quota`](Reply::quota) it is
/// `RESOURCE_EXHAUSTED`, and for a call whose own deadline has passed `DEADLINE_EXCEEDED`.
///
/// **No time** is told to a call whose own deadline has passed. Nor is one by a closed gauge, which
/// closes its HTTP/1 connections, so that whoever asks again reaches another server. A call that
/// costs more than the whole limit never fits: it gets no `Retry-After`, or `RESOURCE_EXHAUSTED`
/// with a pushback of -1, which means never.
///
/// ```
/// use http::StatusCode;
/// use pushback::{PressureGauge, Reason, http::{BackpressureLayer, Reply}};
///
/// let reply = Reply::new().status(StatusCode::SERVICE_UNAVAILABLE)?.status_for(Reason::CostAboveLimit, StatusCode::BAD_REQUEST)?;
/// let layer = BackpressureLayer::new(PressureGauge::new(10)).reply(reply);
/// # let _ = layer;
/// # Ok::<(), pushback::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reply {
    statuses: [StatusCode; Reason::COUNT],
    is_quota: bool,
}

impl Reply {
    /// 429, and 503 from a closed gauge.
    pub fn new() -> Self {
        let mut statuses = [StatusCode::TOO_MANY_REQUESTS; Reason::COUNT];
        statuses[Reason::Closed.index()] = StatusCode::SERVICE_UNAVAILABLE;
        Reply { statuses, is_quota: false }
    }

    /// The status for all reasons.
    ///
    /// # Errors
    ///
    /// If it is not 400 to 599: a caller that was refused must not take it for served.
    pub fn status(mut self, status: StatusCode) -> Result<Self, BuildError> {
        self.statuses = [refusing("status", status)?; Reason::COUNT];
        Ok(self)
    }

    /// The status for one reason.
    ///
    /// # Errors
    ///
    /// If it is not 400 to 599.
    pub fn status_for(mut self, reason: Reason, status: StatusCode) -> Result<Self, BuildError> {
        self.statuses[reason.index()] = refusing("status_for", status)?;
        Ok(self)
    }

    /// Says that the gauge is one caller's quota or share, and not what the server can do.
    ///
    /// gRPC callers then get `RESOURCE_EXHAUSTED` instead of `UNAVAILABLE`: another server would
    /// refuse them too.
    pub fn quota(mut self) -> Self {
        self.is_quota = true;
        self
    }

    /// What a stranger is told of whom nothing is known.
    pub(super) fn refusal(&self, rejected: Rejected, wait: impl FnOnce() -> Wait) -> Refusal {
        // Under a limit of 0 nothing fits, which is an operator's doing and will pass.
        let is_final = rejected.reason == Reason::CostAboveLimit && rejected.limit > 0;
        // It makes no sense to ask this server again for what never fits, when nobody waits any more, and when the server is going away,
        // where whoever asks again at once reaches another one. Such callers stand in nobody's way.
        let comes_back = !is_final && !matches!(rejected.reason, Reason::DeadlinePassed | Reason::Closed);
        Refusal {
            status: self.statuses[rejected.reason.index()],
            form: Form::Text,
            reason: rejected.reason,
            wait: comes_back.then(wait),
            is_final,
            is_head: false,
            closes: false,
            is_quota: self.is_quota,
            is_trusted: false,
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Reply::new()
    }
}

fn refusing(key: &'static str, status: StatusCode) -> Result<StatusCode, BuildError> {
    if status.is_client_error() || status.is_server_error() {
        Ok(status)
    } else {
        Err(BuildError::new(key, status.as_u16().to_string(), "400 to 599"))
    }
}

/// A reply at work: the settings, and the pace at which its gauge refuses and completes.
#[derive(Debug)]
pub(super) struct Replier {
    reply: Reply,
    turns: Turns,
}

impl Replier {
    pub(super) fn new(reply: Reply) -> Self {
        Replier { turns: Turns::default(), reply }
    }

    #[inline]
    pub(super) fn hold_time(&self) -> &Arc<HoldTime> {
        &self.turns.hold_time
    }

    /// What this request is told, whose headers say what it understands.
    pub(super) fn refuse(
        &self,
        gauge: &PressureGauge,
        rejected: Rejected,
        request: &RequestHead<'_>,
        asks: Asks,
    ) -> Refusal {
        let wait = || self.turns.wait(gauge, asks.arrival.places(), rejected.limit);
        Refusal {
            form: Form::asked_for(request),
            is_head: *request.method == Method::HEAD,
            closes: rejected.reason == Reason::Closed && request.version < Version::HTTP_2,
            is_trusted: asks.is_trusted,
            ..self.reply.refusal(rejected, wait)
        }
    }
}
