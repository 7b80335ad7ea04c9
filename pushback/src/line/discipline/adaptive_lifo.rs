//! First come, first served, until the line stands: then whoever came last is next, and nobody waits for long.
//!
//! In a line that stands, whoever came first has waited so long that the answer may come too late, and by the time it is the next
//! one's turn, that one has too. Served from the other end, most calls hardly wait, and those at the old end are refused soon
//! ("Fail at Scale", Facebook, ACM Queue 2015: the line has not been empty for N ms, so wait M ms at most, and serve the newest).

use std::time::{Duration, Instant};

use super::{Discipline, Moment, Next};

/// A line stands that was not empty for so many waits of a short line.
const STANDS: u32 = 4;
/// How long anybody may wait then, in the same.
const WAIT_MAX: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct AdaptiveLifo {
    /// Since when somebody waits.
    since: Option<Instant>,
    wait_max: Option<Duration>,
}

impl Discipline for AdaptiveLifo {
    fn next(&self) -> Next {
        if self.wait_max.is_some() { Next::Newest } else { Next::Oldest }
    }

    fn wait_max(&self) -> Option<Duration> {
        self.wait_max
    }

    fn look(&mut self, moment: &dyn Moment) {
        let Some(usual) = moment.usual_wait().filter(|_| moment.oldest_wait().is_some()) else {
            *self = AdaptiveLifo::default();
            return;
        };
        let since = *self.since.get_or_insert(moment.now());
        let stands = moment.now().saturating_duration_since(since) >= STANDS * usual;
        self.wait_max = stands.then(|| WAIT_MAX * usual);
    }
}
