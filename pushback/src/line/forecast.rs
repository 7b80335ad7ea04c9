//! When the turn of a call will come.
//!
//! A call waits for all places that stand before it. Those that more important calls wait for come back at the pace of all, and those
//! of its own rank at the pace at which this rank is served lately, which is slower while more important calls keep coming. How far
//! a wait is off by chance is that of as many independent turns, and of how many turns the pace was taken from.

use std::time::{Duration, Instant};

use super::pace::{Pace, Turn};
use crate::arrival::RANKS;

/// One turn of a hundred is more than so many standard deviations later than the mean, and one as much earlier.
const SURE: f64 = 2.3;

/// How many places stand in line, and how fast each rank is served.
#[derive(Debug)]
pub(super) struct Forecast {
    all: Pace,
    /// How many places whoever is next waits for.
    next: u32,
    ranks: [Ranked; RANKS as usize],
}

#[derive(Debug)]
struct Ranked {
    stands: Stands,
    pace: Pace,
}

/// What stands in line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stands {
    calls: u64,
    /// How many places they wait for.
    places: u64,
}

impl Stands {
    pub(super) fn and(self, cost: u32) -> Self {
        Stands { calls: self.calls + 1, places: self.places + u64::from(cost) }
    }

    fn without(self, cost: u32) -> Self {
        Stands { calls: self.calls.saturating_sub(1), places: self.places.saturating_sub(u64::from(cost)) }
    }

    /// Mean and variance of the wait for all of it, in seconds.
    fn wait(self, turn: Turn) -> (f64, f64) {
        let places = self.places as f64;
        // That of as many turns as come by themselves, and that of what is known of them.
        let variance = places * turn.together + (turn.error * places).powi(2);
        (turn.time * places, turn.time.powi(2) * variance)
    }
}

/// The wait for a turn, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wait {
    mean: f64,
    deviation: f64,
}

/// What a call of a rank waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns {
    /// Mean and variance of the wait for all that is more important, in seconds.
    above: (f64, f64),
    /// Of its own rank.
    own: Turn,
}

impl Turns {
    /// How long one waits that comes last of `own` of its own rank.
    pub(super) fn wait(&self, own: Stands) -> Wait {
        let own = own.wait(self.own);
        Wait { mean: self.above.0 + own.0, deviation: (self.above.1 + own.1).sqrt() }
    }
}

impl Wait {
    /// Whether the turn will most probably not come within this time.
    pub(super) fn is_longer_than(self, time: Duration) -> bool {
        self.mean + SURE * self.deviation > time.as_secs_f64()
    }

    /// Whether it would be a wonder if it did.
    pub(super) fn is_surely_longer_than(self, time: Duration) -> bool {
        self.mean - SURE * self.deviation > time.as_secs_f64()
    }
}

impl Forecast {
    pub(super) fn new() -> Self {
        let ranked = || Ranked { stands: Stands::default(), pace: Pace::new() };
        Forecast { all: Pace::new(), next: 1, ranks: std::array::from_fn(|_| ranked()) }
    }

    /// Whoever is next waits for so many places.
    pub(super) fn next_costs(&mut self, places: u32) {
        self.next = places;
    }

    /// Places were held back, and are no more.
    pub(super) fn moves_again(&mut self, now: Instant) {
        let standing = self.ranks.iter_mut().filter(|ranked| ranked.stands.calls > 0);
        let mut stands = false;
        standing.for_each(|ranked| {
            ranked.pace.line_begins(now);
            stands = true;
        });
        if stands {
            self.all.line_begins(now);
        }
    }

    /// How long a call waits in a short line, if that is known.
    pub(super) fn usual_wait(&self, limit: u32) -> Option<Duration> {
        self.all.usual_wait(limit)
    }

    /// How long a turn takes, in seconds, if that is known.
    pub(super) fn turn(&self, now: Instant) -> Option<f64> {
        self.all.turn(now, self.next).map(|turn| turn.time)
    }

    /// A call joins the line.
    pub(super) fn joins(&mut self, rank: u8, cost: u32, now: Instant) {
        if !self.stands_up_to(RANKS - 1) {
            self.all.line_begins(now);
        }
        let ranked = &mut self.ranks[usize::from(rank)];
        if ranked.stands.calls == 0 {
            ranked.pace.line_begins(now);
        }
        ranked.stands = ranked.stands.and(cost);
    }

    /// A call is not in line any more.
    pub(super) fn leaves(&mut self, rank: u8, cost: u32) {
        let ranked = &mut self.ranks[usize::from(rank)];
        ranked.stands = ranked.stands.without(cost);
        if ranked.stands.calls == 0 {
            ranked.pace.line_ends();
        }
        if !self.stands_up_to(RANKS - 1) {
            self.all.line_ends();
        }
    }

    /// Whether anybody waits of this rank or of a more important one.
    pub(super) fn stands_up_to(&self, rank: u8) -> bool {
        self.ranks[..=usize::from(rank)].iter().any(|ranked| ranked.stands.calls > 0)
    }

    /// Places were handed to a call of this rank.
    pub(super) fn handed_on(&mut self, rank: u8, now: Instant, places: u32) {
        self.all.handed_on(now, places);
        // Who went past the line says nothing about how fast it moves.
        self.ranks[usize::from(rank)].pace.handed_on(now, places);
    }

    /// How long a call of this rank waits which comes last of `own` of its own rank, if the pace of all is known.
    pub(super) fn wait(&self, now: Instant, rank: u8, own: Stands) -> Option<Wait> {
        Some(self.turns(now, rank)?.wait(own))
    }

    /// What a call of this rank waits for, if the pace of all is known.
    pub(super) fn turns(&self, now: Instant, rank: u8) -> Option<Turns> {
        let turn = self.all.turn(now, self.next)?;
        // No rank is served faster than those above it. How one was served once says nothing if nobody of it waits.
        let standing = self.ranks[..=usize::from(rank)].iter().filter(|ranked| ranked.stands.calls > 0);
        let own = standing.filter_map(|ranked| ranked.pace.turn(now, self.next));
        let own = own.fold(turn, |slowest, own| if own.time > slowest.time { own } else { slowest });
        let above = self.ranks[..usize::from(rank)].iter().fold(Stands::default(), |sum, ranked| Stands {
            calls: sum.calls + ranked.stands.calls,
            places: sum.places + ranked.stands.places,
        });
        Some(Turns { above: above.wait(turn), own })
    }

    /// How long it takes until all who stand in line have had their turn, if the pace is known.
    pub(super) fn wait_for_all(&self, now: Instant) -> Option<Duration> {
        let places: u64 = self.ranks.iter().map(|ranked| ranked.stands.places).sum();
        let turn = self.all.turn(now, self.next)?;
        Duration::try_from_secs_f64(turn.time * places as f64).ok()
    }

    /// What stands in line of this rank.
    pub(super) fn stands(&self, rank: u8) -> Stands {
        self.ranks[usize::from(rank)].stands
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Places come back each 10 ms, and go to calls of this rank.
    fn known(begin: Instant, rank: u8) -> (Forecast, Instant) {
        let mut forecast = Forecast::new();
        forecast.joins(rank, 1, begin);
        (1..=256).for_each(|turn| forecast.handed_on(rank, begin + ms(10 * turn), 1));
        forecast.leaves(rank, 1);
        (forecast, begin + ms(2560))
    }

    fn places(many: u64) -> Stands {
        Stands { calls: many, places: many }
    }

    fn millis(wait: Option<Wait>) -> [f64; 2] {
        let Wait { mean, deviation } = wait.unwrap();
        [mean, deviation].map(|seconds| (1000.0 * seconds).round())
    }

    #[test]
    fn a_call_waits_a_turn_for_each_place_before_it() {
        let (mut forecast, now) = known(ManualClock::new().now(), 0);
        (0..30).for_each(|_| forecast.joins(2, 1, now));
        forecast.joins(4, 7, now);
        assert_eq!(millis(forecast.wait(now, 2, places(1))), [10.0, 10.0]);
        assert_eq!(
            millis(forecast.wait(now, 2, places(64))),
            [640.0, 89.0],
            "by 80 ms of the turns, and 40 of their mean"
        );
        assert_eq!(
            millis(forecast.wait(now, 4, places(6)))[0],
            360.0,
            "thirty places wait for more important calls"
        );
        assert_eq!(millis(forecast.wait(now, 0, places(1)))[0], 10.0, "nobody is before it");
        let dear = Stands { calls: 1, places: 64 };
        assert_eq!(millis(forecast.wait(now, 2, dear)), [640.0, 89.0], "it gathers places of others");
        (0..30).for_each(|_| forecast.leaves(2, 1));
        assert_eq!(millis(forecast.wait(now, 4, places(1)))[0], 10.0);
    }

    #[test]
    fn a_rank_that_is_served_more_slowly_than_all_waits_for_longer() {
        let (mut forecast, begin) = known(ManualClock::new().now(), 0);
        forecast.joins(4, 10, begin);
        for turn in 1..=256 {
            forecast.handed_on(0, begin + ms(40 * turn - 20), 1);
            forecast.handed_on(4, begin + ms(40 * turn), 1);
        }
        let now = begin + ms(40 * 256);
        assert_eq!(millis(forecast.wait(now, 4, places(5)))[0], 200.0);
        assert_eq!(millis(forecast.wait(now, 0, places(5)))[0], 93.0, "nobody of it waits");
    }

    #[test]
    fn what_may_come_in_time_is_neither_surely_late_nor_surely_in_time() {
        let wait = Wait { mean: 0.1, deviation: 0.02 };
        let said = |time| (wait.is_longer_than(ms(time)), wait.is_surely_longer_than(ms(time)));
        assert_eq!([said(50), said(100), said(150)], [(true, true), (true, false), (false, false)]);
    }

    #[test]
    fn nothing_is_foreseen_before_the_pace_is_known() {
        let now = ManualClock::new().now();
        assert_eq!(Forecast::new().wait(now, 4, places(1)), None);
    }
}
