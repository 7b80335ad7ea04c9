//! The only source of time, and the only thing that wakes somebody later.
//!
//! Telling the time and waking later are one trait, because a clock of one kind with a timer of another is a mistake
//! nobody should be able to make: with a [`ManualClock`], a longest wait ends when the test says so.

mod guarded;
mod manual;
mod system;

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Instant,
};

pub(crate) use guarded::Guarded;
pub use manual::ManualClock;
pub use system::SystemClock;

/// A source of time for a gauge.
///
/// A gauge with a fixed limit asks for the time only when a call has a deadline or has to wait.
/// Admitting and refusing at once read no clock.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now. It never goes back.
    fn now(&self) -> Instant;

    /// Calls [`Alarm::ring`] at `when`, or as soon after it as it can.
    ///
    /// It must not ring before this method returns. Of several alarms for [the
    /// same](Alarm::is_for_the_same) gauge, it is enough to ring the earliest: the gauge sets the
    /// next one when that has rung.
    fn ring_at(&self, when: Instant, alarm: Alarm);
}

/// What a [`Clock`] rings when the time has come.
///
/// A gauge then looks for calls in line that have waited long enough. The alarm does not keep its
/// gauge alive. Ringing early, twice or in vain does no harm.
pub struct Alarm {
    sleeper: Weak<dyn Ring>,
    when: Instant,
}

/// Somebody who wants to be rung up.
pub(crate) trait Ring: Send + Sync {
    /// The alarm that was set for `when` rings.
    fn ring(self: Arc<Self>, when: Instant);
}

impl Alarm {
    pub(crate) fn new(sleeper: Weak<dyn Ring>, when: Instant) -> Self {
        Alarm { sleeper, when }
    }

    /// Whether both wake the same gauge, or the same part of it.
    pub fn is_for_the_same(&self, other: &Alarm) -> bool {
        self.sleeper_address() == other.sleeper_address()
    }

    fn sleeper_address(&self) -> usize {
        self.sleeper.as_ptr().cast::<()>() as usize
    }

    /// Whether nobody is left to ring up.
    fn is_in_vain(&self) -> bool {
        self.sleeper.strong_count() == 0
    }

    /// Rings. Does nothing if the gauge is gone.
    pub fn ring(&self) {
        if let Some(sleeper) = self.sleeper.upgrade() {
            sleeper.ring(self.when);
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}
