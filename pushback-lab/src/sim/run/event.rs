//! What is noted for later.

use std::cmp::Ordering;

use pushback::Alarm;

use super::{Nanos, call::Request};

pub(super) struct Event {
    pub(super) at: Nanos,
    /// Of those at one time, the one that was noted first comes first.
    pub(super) number: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Phase(usize),
    /// The limit of this phase is set.
    Limit(usize),
    Step,
    Pause(bool),
    Warm {
        phase: usize,
        station: usize,
    },
    Ring(Alarm),
    TimeOut {
        call: u32,
        generation: u32,
    },
    /// The service says no by itself.
    Overloaded {
        call: u32,
        generation: u32,
    },
    Send(Request),
    /// A caller of a closed loop has thought.
    Ask(u32),
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, for the heap gives the greatest first.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
