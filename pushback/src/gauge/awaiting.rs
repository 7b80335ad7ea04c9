//! How many places belong to calls that wait for their client.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Awaiting {
    pub(super) lent: AtomicU64,
    pub(super) kept: AtomicU64,
}

impl Awaiting {
    pub(super) fn none() -> Self {
        Awaiting { lent: AtomicU64::new(0), kept: AtomicU64::new(0) }
    }

    /// Those that others may have meanwhile.
    pub(super) fn lent(&self) -> u64 {
        self.lent.load(Ordering::SeqCst)
    }

    /// Those that nobody else has.
    pub(super) fn kept(&self) -> u32 {
        u32::try_from(self.kept.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }
}
