//! A call in line: its ticket, what it waits for, what becomes of it.

use std::time::Instant;

use crate::{outcome::Standing, rejected::Reason};

/// A place in line, in the order of importance, and among equals of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(super) rank: u8,
    pub(super) number: u64,
}

/// What a call waits for, and since and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) cost: u32,
    /// In the order of importance, 0 for the most important.
    pub(crate) rank: u8,
    pub(crate) since: Instant,
    /// When it is refused, and why; `None` waits without a bound.
    pub(crate) expiry: Option<(Instant, Reason)>,
}

/// What became of a call in line.
pub(crate) type Verdict = Result<Standing, Reason>;

impl Ticket {
    pub(crate) fn rank(self) -> u8 {
        self.rank
    }
}
