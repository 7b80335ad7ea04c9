//! The answer to a call that was not admitted.

use std::{error::Error, fmt};

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No place is free, and this entry point does not wait.
    Full,
    /// No place is free, and the line is full.
    LineFull,
    /// The call waited in line for the line's longest wait.
    WaitedTooLong,
    /// The call's deadline passed before its turn.
    DeadlinePassed,
    /// A more important call took the call's place in a full line, or a newer one where the newest is
    /// next.
    Displaced,
    /// The call would never fit: it costs more places than the limit has, or may ever have if it
    /// moves. With a limit of 0, this is every call.
    CostAboveLimit,
    /// The gauge was closed: the service is going away.
    Closed,
    /// The places that are free are kept for more important calls: see [`Priority`](crate::Priority).
    Outranked,
    /// The call would wait in line for longer than it may, by what stands before it and by how fast
    /// places come back lately. So it is refused before it waits, or as soon as that is known.
    TooLate,
}

impl Reason {
    /// All reasons, in the order of their counters.
    pub const ALL: &'static [Reason] = &[
        Reason::Full,
        Reason::LineFull,
        Reason::WaitedTooLong,
        Reason::DeadlinePassed,
        Reason::Displaced,
        Reason::CostAboveLimit,
        Reason::Closed,
        Reason::Outranked,
        Reason::TooLate,
    ];

    /// The reason as a word for logs, labels and headers: `full`, `queue_full`, `queue_timeout`, `deadline_passed`,
    /// `displaced`, `cost_above_limit`, `closed`, `outranked`,
    /// `too_late`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Full => "full",
            Reason::LineFull => "queue_full",
            Reason::WaitedTooLong => "queue_timeout",
            Reason::DeadlinePassed => "deadline_passed",
            Reason::Displaced => "displaced",
            Reason::CostAboveLimit => "cost_above_limit",
            Reason::Closed => "closed",
            Reason::Outranked => "outranked",
            Reason::TooLate => "too_late",
        }
    }

    pub(crate) const COUNT: usize = Reason::ALL.len();

    /// The place of this reason's counter.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call was refused. There is no other error on a call's path.
///
/// It names the gauge and the reason, so that nobody has to guess which of several limits was hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// The name of the gauge that refused.
    pub gauge: &'static str,
    /// The limit in force, in places.
    pub limit: u32,
    /// The places that were taken.
    pub in_flight: u32,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rejected { reason, gauge, limit, in_flight } = self;
        write!(f, "gauge '{gauge}' refused the call: ")?;
        match reason {
            Reason::Full => write!(f, "no more capacity")?,
            Reason::LineFull => write!(f, "the line is full")?,
            Reason::WaitedTooLong => write!(f, "it waited too long in line")?,
            Reason::DeadlinePassed => write!(f, "its deadline passed before its turn")?,
            Reason::Displaced => write!(f, "a more important or newer call took its place in line")?,
            // No call is to blame for that.
            Reason::CostAboveLimit if *limit == 0 => write!(f, "its limit is 0, which admits nothing")?,
            Reason::CostAboveLimit => write!(f, "it costs more than the whole limit")?,
            Reason::Closed => write!(f, "the gauge is closed")?,
            Reason::Outranked => write!(f, "what is free is kept for more important calls")?,
            Reason::TooLate => write!(f, "its turn in line would come too late")?,
        }
        write!(f, " (in flight {in_flight} of {limit})")
    }
}

impl Error for Rejected {}
