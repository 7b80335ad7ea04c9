//! What all services of one layer share.

use std::{fmt, sync::Arc, time::Duration};

use ::http::Request;
use bytes::Bytes;
use http_body::Body;

use super::{
    Answered, BoxError, Classify, Hold, Reply, RequestBody, RequestHead,
    classify::{Asks, is_grpc},
    hold_time::HoldTime,
    linger::{Lingering, is_still_sending, linger},
    patrol::Patrol,
    reading::Reading,
    refusal::Refusal,
    reply::Replier,
};
use crate::{gauge::PressureGauge, rejected::Rejected};

/// How long a peer may make no progress if nothing is said: longer than what a working network loses and repairs.
const STALL: Duration = Duration::from_secs(10);

/// How many bytes a second a sender must send: as a modem of the last century did.
const LEAST_RATE: u32 = 4 << 10;
/// How much of a body is read before the gauge is asked: all of most.
const BODY_BUFFER: usize = 64 << 10;

/// What happens to a request above the limit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    Refused,
    InLine,
}

impl Over {
    pub(super) fn waits(self) -> bool {
        matches!(self, Over::InLine)
    }
}

/// The settings of a layer.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) gauge: PressureGauge,
    pub(super) over: Over,
    pub(super) hold: Hold,
    pub(super) answered: Answered,
    pub(super) stall: Duration,
    pub(super) least_rate: u32,
    /// How much of a body is read before the gauge is asked.
    pub(super) body_buffer: usize,
    pub(super) speaks_grpc: bool,
    pub(super) classify: Classify,
    pub(super) reply: Reply,
}

impl Settings {
    pub(super) fn new(gauge: PressureGauge, over: Over) -> Self {
        let (hold, answered) = (Hold::default(), Answered::default());
        let (classify, reply) = (Classify::new(), Reply::new());
        let (stall, least_rate, body_buffer) = (STALL, LEAST_RATE, BODY_BUFFER);
        Settings {
            gauge,
            over,
            hold,
            answered,
            stall,
            least_rate,
            body_buffer,
            speaks_grpc: true,
            classify,
            reply,
        }
    }
}

/// The settings at work, with what they need to know while they are.
pub(super) struct Shared {
    pub(super) settings: Settings,
    replier: Replier,
    pub(super) patrol: Arc<Patrol>,
    lingering: Lingering,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let Settings { gauge, stall, least_rate, reply, .. } = &settings;
        Shared {
            patrol: Patrol::new(gauge, *stall, *least_rate),
            replier: Replier::new(reply.clone()),
            lingering: Lingering::default(),
            settings,
        }
    }

    /// How long its places are held.
    #[inline]
    pub(super) fn hold_time(&self) -> &Arc<HoldTime> {
        self.replier.hold_time()
    }

    /// Whether this request's body is to be read first. Not if it would be refused anyway.
    #[inline]
    pub(super) fn reads_ahead<Q: Body>(&self, request: &Request<Q>, asks: Asks) -> bool {
        self.settings.body_buffer > 0
            && !request.body().is_end_stream()
            && self.settings.gauge.may_take(asks.arrival, self.settings.over.waits())
    }

    pub(super) fn read_ahead<Q>(&self, request: Request<Q>) -> Reading<Q>
    where
        Q: Body<Data = Bytes, Error: Into<BoxError>>,
    {
        let is_grpc = self.settings.speaks_grpc && is_grpc(request.headers());
        Reading::new(request, self.settings.body_buffer, is_grpc, &self.patrol)
    }

    /// What this request is told; what it still sends is read and forgotten.
    #[inline]
    pub(super) fn refuse<Q>(
        &self,
        rejected: Rejected,
        request: Request<RequestBody<Q>>,
        asks: Asks,
    ) -> Refusal
    where
        Q: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        asks.note_refused(&self.settings.gauge, rejected.reason, &request);
        let refusal = self.replier.refuse(&self.settings.gauge, rejected, &RequestHead::of(&request), asks);
        if is_still_sending(&request) {
            linger(&self.lingering, &self.patrol, request.into_body());
        }
        refusal
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
