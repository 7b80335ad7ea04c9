//! What is not as usual about a gauge, in one word, so that a refusal asks one question for all of it.

use crate::sync::{AtomicU32, Ordering};

/// Changed under the lock only, read without it, in one order with what is lent (`awaiting_client.rs`).
#[derive(Debug)]
pub(crate) struct Modes(AtomicU32);

/// One thing that is not as usual.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode(u32);

impl Mode {
    pub(crate) const CLOSED: Mode = Mode(1);
    pub(crate) const DRY_RUN: Mode = Mode(2);
    /// The line was in use: refusals are counted in stripes.
    pub(crate) const WIDE: Mode = Mode(4);
    pub(crate) const PAUSED: Mode = Mode(8);
}

impl Modes {
    pub(crate) fn new() -> Self {
        Modes(AtomicU32::new(0))
    }

    #[inline]
    pub(crate) fn all_usual(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn is(&self, mode: Mode) -> bool {
        self.0.load(Ordering::SeqCst) & mode.0 != 0
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.0.fetch_or(mode.0, Ordering::SeqCst);
    }

    pub(crate) fn clear(&self, mode: Mode) {
        self.0.fetch_and(!mode.0, Ordering::SeqCst);
    }
}
