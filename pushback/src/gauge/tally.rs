//! What a gauge has counted: refusals by reason, and outcomes other than success.

use crate::{
    outcome::Outcome,
    rejected::Reason,
    snapshot::Refusals,
    sync::{AtomicU64, Ordering},
};

/// Counters that are added to without the lock. They are 64 bits wide: at a billion a second they last for 584 years.
#[derive(Debug)]
pub(crate) struct Tally {
    refused: [AtomicU64; Reason::ALL.len()],
    overloaded: AtomicU64,
    ignored: AtomicU64,
    cancelled: AtomicU64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Tally {
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            overloaded: AtomicU64::new(0),
            ignored: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn refused(&self, reason: Reason) {
        self.refused[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Successes are not counted: they are the admitted that ended and are not among the others.
    pub(crate) fn ended(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Success => return,
            Outcome::Overload => &self.overloaded,
            Outcome::Ignore => &self.ignored,
            Outcome::Cancelled => &self.cancelled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refusals(&self) -> Refusals {
        Refusals::from_counts(std::array::from_fn(|index| self.refused[index].load(Ordering::Relaxed)))
    }

    pub(crate) fn overloaded(&self) -> u64 {
        self.overloaded.load(Ordering::Relaxed)
    }

    pub(crate) fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    pub(crate) fn cancelled(&self) -> u64 {
        self.cancelled.load(Ordering::Relaxed)
    }
}
