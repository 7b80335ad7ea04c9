//! The only source of time, and the only thing that wakes somebody later.
//!
//! Telling the time and waking later are one trait, because a clock of one kind with a timer of another is a mistake
//! nobody should be able to make: with a [`ManualClock`], a longest wait ends when the test says so.

mod manual;
mod system;

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::{Arc, Weak},
    time::Instant,
};

pub use manual::ManualClock;
pub use system::SystemClock;

/// A source of time for a gauge.
///
/// A gauge asks for the time only when a call brings a deadline or has to wait; with a fixed limit, admitting and
/// refusing at once read no clock.
pub trait Clock: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe + 'static {
    /// The time now. It never goes back.
    fn now(&self) -> Instant;

    /// Calls [`Alarm::ring`] at `when`, or as soon after it as can be. It must not ring before this method returns.
    fn ring_at(&self, when: Instant, alarm: Alarm);
}

/// What a [`Clock`] rings when the time has come: a gauge looks for calls in line that have waited long enough.
///
/// It does not keep its gauge alive. Ringing early, twice or in vain does no harm.
pub struct Alarm(Weak<dyn Ring>);

/// Somebody who wants to be rung up.
pub(crate) trait Ring: Send + Sync {
    fn ring(self: Arc<Self>);
}

impl Alarm {
    pub(crate) fn new(sleeper: Weak<dyn Ring>) -> Self {
        Alarm(sleeper)
    }

    /// Rings; does nothing if the gauge is gone.
    pub fn ring(&self) {
        if let Some(sleeper) = self.0.upgrade() {
            sleeper.ring();
        }
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}
