//! Whoever came first is next, and nobody waits for long in a line that stands.
//!
//! A line is good while it takes a burst, and bad once it stands: then it makes everybody late and serves nobody more. CoDel
//! tells them apart by the *shortest* wait of an interval, which a burst lets fall and a standing line does not (Nichols and
//! Jacobson, "Controlling Queue Delay", ACM Queue 2012; RFC 8289).
//!
//! What it does about a standing line is folly's rule and not the RFC's: while the shortest wait of the last interval was above the
//! target, nobody waits for more than twice the target (folly/executors/Codel.cpp). Packets that are dropped make their senders
//! slower; requests that are refused do not, so dropping one after the other ever faster, as the RFC does, comes too late.

use std::time::{Duration, Instant};

use super::{Discipline, Moment, Next};

/// The target, in waits of a short line.
const TARGET: u32 = 1;
/// The interval, in targets.
const INTERVAL: u32 = 3;
/// How long anybody may wait in a line that stands, in halves of a target. Two whole ones, as folly has it, are too few where calls are
/// turned away as soon as they would wait for so long: then hardly one of those that are let in does.
const SLOUGH: u32 = 5;

#[derive(Debug, Default)]
pub(super) struct Codel {
    /// The interval that runs, while anybody waits.
    interval: Option<Interval>,
    wait_max: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Interval {
    ends: Instant,
    /// The shortest wait in it: of whoever had waited for longest, each time when the line was looked at.
    shortest: Duration,
    /// Whether it would have been longer, had not some been turned away.
    is_shortened: bool,
}

impl Discipline for Codel {
    fn next(&self) -> Next {
        Next::Oldest
    }

    fn wait_max(&self) -> Option<Duration> {
        self.wait_max
    }

    fn turned_away(&mut self) {
        if let Some(interval) = &mut self.interval {
            interval.is_shortened = true;
        }
    }

    fn look(&mut self, moment: &dyn Moment) {
        let is_shortened = self.interval.is_some_and(|interval| interval.is_shortened);
        let (Some(usual), Some(wait)) =
            (moment.usual_wait(), moment.oldest_wait().or(is_shortened.then_some(Duration::ZERO)))
        else {
            // Nobody waits, and nobody would, so the shortest wait is none at all.
            *self = Codel::default();
            return;
        };
        let target = TARGET * usual;
        let next =
            || Interval { ends: moment.now() + INTERVAL * target, shortest: wait, is_shortened: false };
        match &mut self.interval {
            None => self.interval = Some(next()),
            Some(interval) if moment.now() >= interval.ends => {
                let stands = interval.shortest.min(wait) > target || interval.is_shortened;
                self.wait_max = stands.then(|| SLOUGH * target / 2);
                self.interval = Some(next());
            }
            Some(interval) => interval.shortest = interval.shortest.min(wait),
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::line::discipline::testing::{Seen, ms, now};

    /// The target is 10 ms here, an interval 30 ms.
    fn looked_at(waits: &[(u64, Option<u64>)]) -> Codel {
        let (begin, mut codel) = (now(), Codel::default());
        for (at, wait) in waits {
            codel.look(&Seen { now: begin + ms(*at), usual_wait: Some(ms(10)), oldest_wait: wait.map(ms) });
        }
        codel
    }

    #[test]
    fn a_line_stands_once_the_shortest_wait_of_an_interval_is_above_the_target() {
        let before = [(0, Some(11)), (20, Some(31)), (29, Some(40))];
        assert_eq!(looked_at(&before).wait_max(), None, "the interval runs on");
        let stands = [&before[..], &[(30, Some(41))]].concat();
        assert_eq!(looked_at(&stands).wait_max(), Some(ms(25)));
        let goes_on = [&stands[..], &[(50, Some(12)), (60, Some(20))]].concat();
        assert_eq!(looked_at(&goes_on).wait_max(), Some(ms(25)), "the next was above it, too");
    }

    #[test]
    fn one_short_wait_in_an_interval_is_a_burst() {
        let burst = [(0, Some(30)), (20, Some(9)), (30, Some(30))];
        assert_eq!(looked_at(&burst).wait_max(), None);
        let over = [(0, Some(11)), (30, Some(41)), (50, Some(10)), (60, Some(20))];
        assert_eq!(looked_at(&over).wait_max(), None, "exactly the target is not above it");
    }

    #[test]
    fn a_line_that_is_short_because_some_are_turned_away_stands() {
        let mut codel = looked_at(&[(0, Some(11)), (30, Some(41))]);
        let begin = now();
        let mut look = |at, wait: Option<u64>, turns_away| {
            if turns_away {
                codel.turned_away();
            }
            codel.look(&Seen { now: begin + ms(at), usual_wait: Some(ms(10)), oldest_wait: wait.map(ms) });
            codel.wait_max
        };
        assert_eq!(look(40, Some(5), true), Some(ms(25)));
        assert_eq!(look(50, None, false), Some(ms(25)), "it would not be empty");
        assert_eq!(look(60, Some(1), false), Some(ms(25)));
        assert_eq!(look(91, Some(1), false), None, "for an interval nobody was");
    }

    #[test]
    fn an_empty_line_does_not_stand() {
        let emptied = [(0, Some(11)), (30, Some(41)), (31, None)];
        assert_eq!(looked_at(&emptied).wait_max(), None);
        let begins_anew = [&emptied[..], &[(32, Some(30)), (61, Some(40))]].concat();
        assert_eq!(looked_at(&begins_anew).wait_max(), None);
    }
}
