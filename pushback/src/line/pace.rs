//! How fast places come back while calls wait for them.
//!
//! While anybody waits, all places are taken and each that comes back is handed on at once. So the time between two turns is
//! measured without timing a single call, and a call takes as long as all places have a turn each (Little's law).

use std::time::{Duration, Instant};

/// Over so many calls the time from one turn to the next is averaged, for what has to follow soon, and for what has to be exact.
const SOON: f64 = 32.0;
const EXACT: f64 = 256.0;
/// It is known after this part of them, and what has to be exact after as many places.
const KNOWN: f64 = 0.25;
/// A line is short as long as so many calls are before a new one, or as many as there are places for, if that is more: as long as a
/// call takes.
const SHORT: f64 = 10.0;
/// Nothing was handed on for so many turns: turns take longer than they did.
const LATE: f64 = 4.0;
/// The exact average is so many times that which follows soon: turns have become faster, and chance is not the reason.
const FASTER: f64 = 2.0;

/// The time from one place that comes back to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Turn {
    /// In seconds.
    pub(super) time: f64,
    /// By what part of that it may be off by chance.
    pub(super) error: f64,
    /// How many places come together, on average: as many as a call takes.
    pub(super) together: f64,
}

#[derive(Debug)]
pub(super) struct Pace {
    /// The last turn, or when the line began. Nothing, if nobody waits: how long ago it was then says nothing about how fast places
    /// come back.
    last: Option<Instant>,
    /// How many calls had their turn, as far as they are averaged.
    calls: f64,
    /// Over the last of them, and over more.
    soon: Average,
    exact: Average,
}

/// From one call that has its turn to the next. A dear one takes several places, which come together.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    seconds: f64,
    places: f64,
}

impl Average {
    /// Another call had its turn, which counts as this part of all.
    fn add(&mut self, seconds: f64, places: f64, part: f64) {
        self.seconds += part * (seconds - self.seconds);
        self.places += part * (places - self.places);
    }

    /// From one place that is handed on to the next, in seconds.
    fn turn(self) -> f64 {
        self.seconds / self.places.max(1.0)
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        Pace { last: None, calls: 0.0, soon: Average::default(), exact: Average::default() }
    }

    /// Somebody waits, and nobody did before; or the line stood still for another reason than that no place came back.
    pub(super) fn line_begins(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Nobody waits any more.
    pub(super) fn line_ends(&mut self) {
        self.last = None;
    }

    /// So many places were handed on, while somebody waited.
    pub(super) fn handed_on(&mut self, now: Instant, places: u32) {
        let Some(last) = self.last.as_mut() else { return };
        let seconds = now.saturating_duration_since(*last).as_secs_f64();
        *last = now;
        let places = f64::from(places.max(1));
        self.calls = (self.calls + 1.0).min(EXACT);
        self.soon.add(seconds, places, self.calls.min(SOON).recip());
        self.exact.add(seconds, places, self.calls.recip());
    }

    /// How long a turn takes lately, if that is known, where whoever is next waits for so many places at once.
    pub(super) fn turn(&self, now: Instant, next: u32) -> Option<Turn> {
        let (soon, exact) = (self.soon.turn(), self.exact.turn());
        let is_known = self.calls >= KNOWN * SOON && self.calls * self.exact.places >= KNOWN * EXACT;
        if !is_known || exact <= 0.0 {
            return None;
        }
        let waited = self.last.map_or(0.0, |last| now.saturating_duration_since(last).as_secs_f64());
        let (time, calls) = if exact > FASTER * soon { (soon, SOON) } else { (exact, self.calls) };
        // Places that whoever is next has gathered came back, too.
        let late = LATE.max(f64::from(next));
        Some(Turn {
            time: time.max(waited / late),
            error: calls.sqrt().recip(),
            together: self.exact.places.max(1.0),
        })
    }

    /// How long a call waits in a short line, if it is known: the turns of ten calls, or as long as a call takes.
    pub(super) fn usual_wait(&self, places: u32) -> Option<Duration> {
        let is_known = self.calls >= KNOWN * SOON && self.soon.seconds > 0.0;
        let calls = f64::from(places) / self.soon.places.max(1.0);
        let wait = self.soon.seconds * SHORT.max(calls);
        is_known.then(|| Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
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
        let (begin, mut pace) = (ManualClock::new().now(), Pace::new());
        paced(&mut pace, begin, 7, 2, 1);
        assert_eq!(pace.usual_wait(1), None, "too few turns to know");
        paced(&mut pace, begin + ms(1000), 8, 2, 1);
        // The time between the two lines is no turn.
        assert_eq!(pace.usual_wait(1).map(|wait| wait.as_millis()), Some(20));
        assert_eq!(pace.usual_wait(50).map(|wait| wait.as_millis()), Some(100));
    }

    #[test]
    fn a_turn_that_does_not_come_is_longer_than_those_before() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::new());
        assert_eq!(pace.turn(begin, 1), None);
        paced(&mut pace, begin, 64, 2, 1);
        let turn = |pace: &Pace, after: u64| {
            pace.turn(begin + ms(128 + after), 1).map(|turn| (1000.0 * turn.time).round())
        };
        assert_eq!([0, 8, 40].map(|after| turn(&pace, after)), [Some(2.0), Some(2.0), Some(10.0)]);
        let gathers = pace.turn(begin + ms(128 + 40), 20).unwrap().time;
        assert!((gathers - 0.002).abs() < 1e-6, "twenty places for one call: {gathers}");
        pace.line_ends();
        assert_eq!(turn(&pace, 60_000), Some(2.0), "nobody waited for one");
    }

    #[test]
    fn turns_that_become_faster_are_known_soon() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::new());
        paced(&mut pace, begin, 256, 1000, 1);
        let later = begin + ms(256_000);
        paced(&mut pace, later, 160, 10, 1);
        let turn = pace.turn(later + ms(1_600), 1).unwrap();
        assert!(turn.time < 0.02 && turn.error > 0.15, "{turn:?}");
    }

    #[test]
    fn a_dear_call_takes_as_many_turns_as_places() {
        let (begin, mut pace) = (ManualClock::new().now(), Pace::new());
        paced(&mut pace, begin, 16, 40, 4);
        assert_eq!(pace.turn(begin + ms(640), 4).map(|turn| turn.time), Some(0.01));
        assert_eq!(pace.usual_wait(4).map(|wait| wait.as_millis()), Some(400), "ten such calls");
        assert_eq!(pace.usual_wait(80).map(|wait| wait.as_millis()), Some(800), "the places of twenty");
    }
}
