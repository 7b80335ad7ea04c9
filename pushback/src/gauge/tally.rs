//! What a gauge has counted: refusals by reason, and outcomes other than success.
//!
//! The counters are 64 bits wide: at a billion a second they last for 584 years.

use std::{
    cell::Cell,
    sync::{OnceLock, atomic},
};

use crate::{
    outcome::Outcome,
    rejected::Reason,
    snapshot::Refusals,
    sync::{AtomicU64, Ordering},
};

/// How many threads can count without getting in each other's way, once a gauge has a line.
const STRIPES: usize = if cfg!(pushback_loom) { 1 } else { 16 };

type Counts = [AtomicU64; Reason::COUNT];

/// Refusals by reason. Under overload all cores refuse at once, and one counter for all would cost each of them more
/// than the rest of a refusal together. Stripes take 1 KiB, so a gauge gets them when its lock is first needed.
#[derive(Debug)]
pub(crate) struct RefusedTally {
    counts: Counts,
    stripes: OnceLock<Box<[Stripe; STRIPES]>>,
}

/// One thread's counters, or a few threads', on a cache line of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Stripe {
    counts: Counts,
}

impl RefusedTally {
    pub(crate) fn new() -> Self {
        RefusedTally { counts: zeros(), stripes: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn count(&self, reason: Reason) {
        self.counts[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// The same once there are stripes.
    pub(crate) fn count_wide(&self, reason: Reason) {
        let counts = self.stripes.get().map_or(&self.counts, |stripes| &stripes[stripe()].counts);
        counts[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn widen(&self) {
        self.stripes.get_or_init(|| Box::new(std::array::from_fn(|_| Stripe { counts: zeros() })));
    }

    pub(crate) fn read(&self) -> Refusals {
        let stripes = self.stripes.get().into_iter().flat_map(|stripes| stripes.iter());
        let all: Vec<&Counts> = stripes.map(|stripe| &stripe.counts).chain([&self.counts]).collect();
        Refusals::from_counts(std::array::from_fn(|index| {
            all.iter().map(|counts| counts[index].load(Ordering::Relaxed)).sum()
        }))
    }
}

fn zeros() -> Counts {
    std::array::from_fn(|_| AtomicU64::new(0))
}

/// This thread's stripe: threads get them in turn.
#[inline]
pub(crate) fn stripe() -> usize {
    static THREADS: atomic::AtomicUsize = atomic::AtomicUsize::new(0);
    const NONE: usize = usize::MAX;
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(NONE) };
    }
    MINE.with(|mine| {
        if mine.get() == NONE {
            mine.set(THREADS.fetch_add(1, atomic::Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

/// Outcomes of admitted calls. Successes are not counted: they are the admitted that ended and are not among these.
#[derive(Debug)]
pub(crate) struct EndedTally {
    overloaded: AtomicU64,
    ignored: AtomicU64,
    cancelled: AtomicU64,
}

impl EndedTally {
    pub(crate) fn new() -> Self {
        EndedTally { overloaded: AtomicU64::new(0), ignored: AtomicU64::new(0), cancelled: AtomicU64::new(0) }
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Success => return,
            Outcome::Overload => &self.overloaded,
            Outcome::Ignore => &self.ignored,
            Outcome::Cancelled => &self.cancelled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
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
