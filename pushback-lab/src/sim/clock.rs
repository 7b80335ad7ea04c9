//! Virtual time: it moves from event to event, and alarms are events among others.

use std::{
    mem,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pushback::{Alarm, Clock, ManualClock};

/// Nanoseconds since the beginning of a run.
pub(super) type Nanos = u64;

pub(super) fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The clock of the gauge in a run. Unlike a [`ManualClock`] it hands its alarms to the event loop, so that they ring in
/// their turn.
#[derive(Debug)]
pub(super) struct VirtualClock {
    begin: Instant,
    now: AtomicU64,
    alarms: Mutex<Vec<(Nanos, Alarm)>>,
}

impl VirtualClock {
    pub(super) fn new() -> Self {
        VirtualClock {
            begin: ManualClock::new().now(),
            now: AtomicU64::new(0),
            alarms: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn set(&self, now: Nanos) {
        self.now.store(now, Ordering::Relaxed);
    }

    pub(super) fn instant(&self, at: Nanos) -> Instant {
        self.begin + Duration::from_nanos(at)
    }

    /// The alarms that were set since this was last asked.
    pub(super) fn new_alarms(&self) -> Vec<(Nanos, Alarm)> {
        mem::take(&mut *self.alarms.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A gauge owns its clock, and the event loop keeps another handle on it.
#[derive(Debug, Clone)]
pub(super) struct SharedClock(pub(super) std::sync::Arc<VirtualClock>);

impl Clock for SharedClock {
    fn now(&self) -> Instant {
        self.0.instant(self.0.now.load(Ordering::Relaxed))
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        let when = nanos(when.saturating_duration_since(self.0.begin));
        self.0.alarms.lock().unwrap_or_else(PoisonError::into_inner).push((when, alarm));
    }
}
