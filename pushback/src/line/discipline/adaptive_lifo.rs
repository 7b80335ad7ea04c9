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

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::line::discipline::testing::{Seen, ms, now};

    #[test]
    fn the_newest_is_next_while_the_line_stands_and_the_oldest_otherwise() {
        let (begin, mut line) = (now(), AdaptiveLifo::default());
        let mut look = |at, wait: Option<u64>| {
            line.look(&Seen { now: begin + ms(at), usual_wait: Some(ms(10)), oldest_wait: wait.map(ms) });
            (line.next(), line.wait_max())
        };
        assert_eq!(look(0, Some(0)), (Next::Oldest, None));
        assert_eq!(look(39, Some(1)), (Next::Oldest, None));
        assert_eq!(look(40, Some(1)), (Next::Newest, Some(ms(20))), "it was not empty for four usual waits");
        assert_eq!(look(90, Some(19)), (Next::Newest, Some(ms(20))));
        assert_eq!(look(91, None), (Next::Oldest, None));
        assert_eq!(look(92, Some(0)), (Next::Oldest, None));
    }

    #[test]
    fn it_is_a_plain_line_until_it_is_known_what_is_long() {
        let mut line = AdaptiveLifo::default();
        line.look(&Seen { now: now(), usual_wait: None, oldest_wait: Some(ms(5000)) });
        assert_eq!((line.next(), line.wait_max()), (Next::Oldest, None));
    }
}
