//! Who of equally important calls is next, and how long anybody may wait at present.
//!
//! A discipline has no clock. It is told when a line begins, at each turn, and when the line ends.

mod adaptive_lifo;
mod codel;
mod fifo;
mod lifo;

use std::{
    fmt,
    time::{Duration, Instant},
};

use self::{adaptive_lifo::AdaptiveLifo, codel::Codel, fifo::Fifo, lifo::Lifo};

/// From which end of the line the next call is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Oldest,
    Newest,
}

/// What a discipline may ask of the moment; what it does not ask costs nothing.
pub(super) trait Moment {
    fn now(&self) -> Instant;
    /// How long a call waits that comes to a short line, if that is known: see `pace.rs`.
    fn usual_wait(&self) -> Option<Duration>;
    /// How long the call has waited that waits for longest, if any does.
    fn oldest_wait(&self) -> Option<Duration>;
}

/// Decides who is next.
pub(super) trait Discipline: fmt::Debug + Send {
    /// Who of equally important calls is next.
    fn next(&self) -> Next;

    /// How long anybody may wait at present, beside the line's own bound.
    fn wait_max(&self) -> Option<Duration> {
        None
    }

    /// A call was not let in because it would have waited for longer than [`wait_max`](Self::wait_max).
    fn turned_away(&mut self) {}

    /// The line is looked at: to serve somebody, or because somebody comes or goes.
    fn look(&mut self, _moment: &dyn Moment) {}
}

/// The disciplines, as a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Fifo,
    Lifo,
    Codel,
    AdaptiveLifo,
}

impl Kind {
    pub(super) fn start(self) -> Box<dyn Discipline> {
        match self {
            Kind::Fifo => Box::new(Fifo),
            Kind::Lifo => Box::new(Lifo),
            Kind::Codel => Box::new(Codel::default()),
            Kind::AdaptiveLifo => Box::new(AdaptiveLifo::default()),
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod testing {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    /// A beginning.
    pub(super) fn now() -> Instant {
        ManualClock::new().now()
    }

    pub(super) fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A moment of a line that is not there.
    pub(super) struct Seen {
        pub(super) now: Instant,
        pub(super) usual_wait: Option<Duration>,
        pub(super) oldest_wait: Option<Duration>,
    }

    impl Moment for Seen {
        fn now(&self) -> Instant {
            self.now
        }

        fn usual_wait(&self) -> Option<Duration> {
            self.usual_wait
        }

        fn oldest_wait(&self) -> Option<Duration> {
            self.oldest_wait
        }
    }
}
