//! Load on a service over HTTP/1.1, and what came of it.

mod client;
mod closed;
mod open;
mod pacer;
mod target;

use std::{collections::BTreeMap, io, time::Duration};

pub use closed::Closed;
pub use open::Open;
pub use target::{LoadError, Target};

/// When requests are sent.
#[derive(Debug, Clone)]
pub enum Load {
    /// When there is an answer to the last.
    Closed(Closed),
    /// At the moments of a schedule.
    Open(Open),
}

impl Load {
    /// Where they go.
    pub fn target(&self) -> &Target {
        match self {
            Load::Closed(closed) => &closed.target,
            Load::Open(open) => &open.target,
        }
    }

    /// How many they are.
    pub fn requests(&self) -> u64 {
        match self {
            Load::Closed(closed) => closed.requests,
            Load::Open(open) => open.moments().count() as u64,
        }
    }

    /// Sends all requests and waits for their ends, or until `stop` comes to its own. `each` is told of every request that
    /// ended, from the thread that knows.
    ///
    /// # Errors
    ///
    /// If there can be no thread to send from. What goes wrong with a request is a result.
    pub async fn run(
        &self,
        stop: impl Future<Output = ()>,
        each: impl Fn(&Call) + Send + Sync + 'static,
    ) -> io::Result<Run> {
        match self {
            Load::Closed(closed) => Ok(closed.run(stop, each).await),
            Load::Open(open) => open.run(stop, each).await,
        }
    }
}

/// One request, from the moment that it was meant to be sent to the last byte of its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// When it was meant to be sent, since the run began. In a closed loop that is when it was sent.
    pub start: Duration,
    /// How much later it was handed to the client; nothing if it never was.
    pub lag: Option<Duration>,
    /// How long it took from `start`.
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
    /// This side could not send it: too many were in flight, or the system had no file or port left for it.
    NotSent,
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

    /// Whether the service took it on, and the answer is no error.
    pub fn is_good(self) -> bool {
        matches!(self, End::Status(..400))
    }

    /// Whether there was no answer.
    pub fn is_lost(self) -> bool {
        !matches!(self, End::Status(_))
    }
}

/// What came of a load.
#[derive(Debug, Clone)]
pub struct Run {
    /// What was to be sent.
    pub load: Load,
    /// The requests that ended, in the order of their start.
    pub calls: Vec<Call>,
    /// How long all of it took.
    pub time: Duration,
    /// What was wrong the first time that a request ended so.
    pub causes: BTreeMap<End, String>,
    /// If the run was stopped, how many requests were in flight then. They are not among the calls.
    pub unfinished: Option<u64>,
}

impl Run {
    /// In how much time requests were to be sent: in an open loop the last answers may come later.
    pub fn window(&self) -> Duration {
        match &self.load {
            Load::Closed(_) => self.time,
            Load::Open(open) => self.time.min(open.duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_admitted_or_refused_or_lost() {
        let kinds = |end: End| [end.is_admitted(), end.is_refused(), end.is_lost()];
        for status in [200, 304, 404, 500] {
            assert_eq!(kinds(End::Status(status)), [true, false, false], "{status}");
            assert_eq!(End::Status(status).is_good(), status < 400, "{status}");
        }
        for status in [429, 503] {
            assert_eq!(kinds(End::Status(status)), [false, true, false], "{status}");
            assert!(!End::Status(status).is_good());
        }
        for end in [End::TimedOut, End::NotConnected, End::Broken, End::NotSent] {
            assert!(!end.is_good());
            assert_eq!(kinds(end), [false, false, true], "{end:?}");
        }
    }
}
