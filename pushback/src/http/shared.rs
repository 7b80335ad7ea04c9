//! What all services of one layer share.

use std::{fmt, sync::Arc, time::Duration};

use ::http::Request;
use http_body::Body;

use super::{
    Classify, Hold, Reply, RequestHead,
    classify::Asks,
    hold_time::HoldTime,
    linger::{Lingering, is_still_sending, linger},
    patrol::Patrol,
    refusal::Refusal,
    reply::Replier,
};
use crate::{gauge::PressureGauge, rejected::Rejected};

/// How long a peer may make no progress if nothing is said: longer than what a working network loses and repairs.
const STALL: Duration = Duration::from_secs(10);

/// What happens to a request above the limit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    Refused,
    InLine,
}

/// The settings of a layer.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) gauge: PressureGauge,
    pub(super) over: Over,
    pub(super) hold: Hold,
    pub(super) stall: Duration,
    pub(super) classify: Classify,
    pub(super) reply: Reply,
}

impl Settings {
    pub(super) fn new(gauge: PressureGauge, over: Over) -> Self {
        let (hold, classify, reply) = (Hold::default(), Classify::new(), Reply::new());
        Settings { gauge, over, hold, stall: STALL, classify, reply }
    }
}

/// The settings at work, with what they need to know while they are.
pub(super) struct Shared {
    pub(super) gauge: PressureGauge,
    pub(super) over: Over,
    pub(super) hold: Hold,
    pub(super) classify: Classify,
    replier: Replier,
    pub(super) patrol: Arc<Patrol>,
    lingering: Lingering,
}

impl Shared {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { gauge, over, hold, stall, classify, reply } = settings.clone();
        Shared {
            patrol: Patrol::new(&gauge, stall),
            gauge,
            over,
            hold,
            classify,
            replier: Replier::new(reply),
            lingering: Lingering::default(),
        }
    }

    /// How long its places are held.
    #[inline]
    pub(super) fn hold_time(&self) -> &Arc<HoldTime> {
        self.replier.hold_time()
    }

    /// What this request is told; what it still sends is read and forgotten.
    #[inline]
    pub(super) fn refuse<Q>(&self, rejected: Rejected, request: Request<Q>, asks: Asks) -> Refusal
    where
        Q: Body + Send + 'static,
    {
        asks.note_refused(&self.gauge, rejected.reason, &request);
        let refusal = self.replier.refuse(&self.gauge, rejected, &RequestHead::of(&request), asks);
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
