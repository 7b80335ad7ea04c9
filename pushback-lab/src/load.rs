//! Load on a service over HTTP/1.1, and what came of it.

mod client;
mod closed;
mod target;

use std::{collections::BTreeMap, time::Duration};

pub use closed::Closed;
pub use target::{LoadError, Target};

/// One request, from its sending to the last byte of its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// When it was sent, since the run began.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
    /// How it ended.
    pub end: End,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// With an answer of this status.
    Status(u16),
    /// The caller gave up.
    TimedOut,
    /// No connection could be made.
    NotConnected,
    /// The connection broke before the answer's end.
    Broken,
}

impl End {
    /// Whether the service said that it is busy: 429 or 503.
    pub fn is_refused(self) -> bool {
        matches!(self, End::Status(429 | 503))
    }

    /// Whether the service took it on, whatever it answered in the end.
    pub fn is_admitted(self) -> bool {
        matches!(self, End::Status(_)) && !self.is_refused()
    }

    /// Whether there was no answer.
    pub fn is_lost(self) -> bool {
        !matches!(self, End::Status(_))
    }
}

/// All requests of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where they went.
    pub target: Target,
    /// How many callers there were.
    pub callers: u64,
    /// The requests, in the order of their start.
    pub calls: Vec<Call>,
    /// How long all of it took.
    pub time: Duration,
    /// What was wrong the first time that a request ended so.
    pub causes: BTreeMap<End, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_admitted_or_refused_or_lost() {
        let kinds = |end: End| [end.is_admitted(), end.is_refused(), end.is_lost()];
        for status in [200, 304, 404, 500] {
            assert_eq!(kinds(End::Status(status)), [true, false, false], "{status}");
        }
        for status in [429, 503] {
            assert_eq!(kinds(End::Status(status)), [false, true, false], "{status}");
        }
        for end in [End::TimedOut, End::NotConnected, End::Broken] {
            assert_eq!(kinds(end), [false, false, true], "{end:?}");
        }
    }
}
