//! How fast places come back while calls wait for them.
//!
//! While anybody waits, all places are taken and each that comes back is handed on at once. So the time between two turns is
//! measured without timing a single call, and a call takes as long as all places have a turn each (Little's law).

use std::time::{Duration, Instant};

/// Over so many places the time from one turn to the next is averaged, for what has to follow soon, and for what has to be exact.
const SOON: f64 = 32.0;
const EXACT: f64 = 256.0;
/// It is known after this part of them.
const KNOWN: f64 = 0.25;
/// A line is short as long as so many turns are before a new call, or as many as there are places, if that is more: as long as a
/// call takes.
const SHORT: f64 = 10.0;
/// Nothing was handed on for so many turns: turns take longer than they did.
const LATE: f64 = 4.0;

/// The time from one place that comes back to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    /// In seconds.
    pub(super) time: f64,
    /// By what part of that it may be off by chance.
    pub(super) error: f64,
}

#[derive(Debug)]
pub(super) struct Pace {
    averaged: f64,
    /// The last turn, or when the line began.
    last: Option<Instant>,
    turns: f64,
    /// From one turn to the next, in seconds.
    turn: f64,
}

impl Pace {
    pub(super) fn soon() -> Self {
        Pace::averaged(SOON)
    }

    pub(super) fn exact() -> Self {
        Pace::averaged(EXACT)
    }

    fn averaged(averaged: f64) -> Self {
        Pace { averaged, last: None, turns: 0.0, turn: 0.0 }
    }

    /// Somebody waits, and nobody did before.
    pub(super) fn line_begins(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// So many places were handed on.
    pub(super) fn handed_on(&mut self, now: Instant, places: u32) {
        let Some(last) = self.last.replace(now) else { return };
        let places = f64::from(places.max(1));
        let turn = now.saturating_duration_since(last).as_secs_f64() / places;
        self.turns = (self.turns + places).min(self.averaged);
        self.turn += (places / self.turns).min(1.0) * (turn - self.turn);
    }

    /// How long a turn takes lately, if that is known.
    pub(super) fn turn(&self, now: Instant) -> Option<Turn> {
        let waited = now.saturating_duration_since(self.last?).as_secs_f64();
        self.is_known().then(|| Turn { time: self.turn.max(waited / LATE), error: self.turns.sqrt().recip() })
    }

    fn is_known(&self) -> bool {
        self.turns >= KNOWN * self.averaged && self.turn > 0.0
    }

    /// How long a call waits in a short line, if it is known: ten turns, or as long as a call takes.
    pub(super) fn usual_wait(&self, places: u32) -> Option<Duration> {
        let wait = self.turn * SHORT.max(f64::from(places));
        self.is_known().then(|| Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// So many turns, so long after each other.
    fn paced(pace: &mut Pace, begin: Instant, turns: u64, apart: u64, places: u32) {
        pace.line_begins(begin);
        for turn in 1..=turns {
            pace.handed_on(begin + ms(turn * apart), places);
        }
    }

    #[test]
    fn the_usual_wait_is_ten_turns_or_the_time_of_a_call() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::soon());
        paced(&mut pace, begin, 7, 2, 1);
        assert_eq!(pace.usual_wait(1), None, "too few turns to know");
        paced(&mut pace, begin + ms(1000), 8, 2, 1);
        // The time between the two lines is no turn.
        assert_eq!(pace.usual_wait(1).map(|wait| wait.as_millis()), Some(20));
        assert_eq!(pace.usual_wait(50).map(|wait| wait.as_millis()), Some(100));
    }

    #[test]
    fn a_turn_that_does_not_come_is_longer_than_those_before() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::soon());
        assert_eq!(pace.turn(begin), None);
        paced(&mut pace, begin, 8, 2, 1);
        let turn = |after: u64| pace.turn(begin + ms(16 + after)).map(|turn| (1000.0 * turn.time).round());
        assert_eq!([turn(0), turn(8), turn(40)], [Some(2.0), Some(2.0), Some(10.0)]);
    }

    #[test]
    fn a_dear_call_takes_as_many_turns_as_places() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::soon());
        paced(&mut pace, begin, 8, 40, 4);
        assert_eq!(pace.usual_wait(4).map(|wait| wait.as_millis()), Some(100));
    }
}
