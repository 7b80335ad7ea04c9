//! What an admitted call holds: its places, and what is to be said of it at its end.

use std::time::Duration;

use crate::outcome::{Outcome, Standing};

/// An admitted call: what is given back at its end. Sixteen bytes, so that a permit takes 24.
///
/// Two whole words, because a permit that is kept is written to memory when it is given and read from there at its end: a processor hands
/// what was just written to whoever reads the same word, but makes him wait who reads several smaller pieces as one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// `places taken when it was admitted, its own among them, or 0 if nobody measures it | its cost`, 32 bits each.
    places: u64,
    /// `when it began, in nanoseconds | outcome | place`; 60 bits of nanoseconds are 36 years.
    word: u64,
}

const PHANTOM: u64 = 1;
const OUTCOME: u64 = 0b1110;
const SAID: u64 = 0b1000;
const OUTCOME_AT: u32 = 1;
const TIME_AT: u32 = 4;
const IN_FLIGHT_AT: u32 = 32;

/// When a call began, as its word keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began(u64);

impl Began {
    pub(super) fn after(time: Duration) -> Self {
        Began(timed(time))
    }
}

impl Held {
    #[inline]
    pub(crate) fn new(cost: u32, place: Standing) -> Self {
        let word = if place == Standing::Phantom { PHANTOM } else { 0 };
        Held { places: u64::from(cost), word }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "it is the lower half")]
    pub(crate) fn cost(self) -> u32 {
        self.places as u32
    }

    /// 0 if nobody measures it.
    #[inline]
    fn in_flight(self) -> u32 {
        (self.places >> IN_FLIGHT_AT) as u32
    }

    /// The same call, measured from its beginning, with so many places taken.
    #[inline]
    pub(super) fn measured(self, began: Began, in_flight: u32) -> Self {
        let in_flight = u64::from(in_flight.max(1));
        Held { places: in_flight << IN_FLIGHT_AT | u64::from(self.cost()), word: began.0 | self.word }
    }

    /// The same call, with another beginning.
    #[cfg(feature = "http")]
    pub(super) fn restarted(self, began: Began, in_flight: u32) -> Self {
        Held { word: self.word & (PHANTOM | OUTCOME), ..self }.measured(began, in_flight)
    }

    /// Whether nobody measures it.
    #[inline]
    pub(super) fn is_unmeasured(self) -> bool {
        self.in_flight() == 0
    }

    /// A success that nobody measures, of a call within the limit, whether that was said or not.
    #[inline]
    pub(super) fn is_usual(self) -> bool {
        let is_success = self.word == 0 || self.word == SUCCESS << OUTCOME_AT;
        self.is_unmeasured() && is_success && !std::thread::panicking()
    }

    /// Nothing is to be said of it any more.
    #[cfg(feature = "http")]
    pub(super) fn told(self) -> Self {
        Held { places: u64::from(self.cost()), ..self }
    }

    #[inline]
    pub(super) fn standing(self) -> Standing {
        if self.word & PHANTOM == 0 { Standing::Real } else { Standing::Phantom }
    }

    #[inline]
    pub(super) fn record(&mut self, outcome: Outcome) {
        let said = SAID | (outcome as u64) << OUTCOME_AT;
        self.word = self.word & !OUTCOME | said;
    }

    /// A plain drop is a success, so that whoever knows nothing of outcomes does not starve a limit that learns from
    /// them; a call that panics says nothing about the load, and neither does one that seems cancelled because of it.
    #[inline]
    pub(super) fn outcome(self) -> Outcome {
        let recorded = (self.word & OUTCOME) >> OUTCOME_AT;
        match recorded {
            SUCCESS => Outcome::Success,
            OVERLOAD => Outcome::Overload,
            IGNORE => Outcome::Ignore,
            _ if std::thread::panicking() => Outcome::Ignore,
            CANCELLED => Outcome::Cancelled,
            _ => Outcome::Success,
        }
    }

    /// When it began, and how many places were taken then, if it is measured.
    #[inline]
    pub(super) fn measure(self) -> Option<(Duration, u32)> {
        let began = Duration::from_nanos(self.word >> TIME_AT);
        (!self.is_unmeasured()).then_some((began, self.in_flight()))
    }
}

/// What would not fit counts as the most that does.
fn timed(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> TIME_AT) << TIME_AT
}

const SUCCESS: u64 = SAID >> OUTCOME_AT | Outcome::Success as u64;
const OVERLOAD: u64 = SAID >> OUTCOME_AT | Outcome::Overload as u64;
const IGNORE: u64 = SAID >> OUTCOME_AT | Outcome::Ignore as u64;
const CANCELLED: u64 = SAID >> OUTCOME_AT | Outcome::Cancelled as u64;

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let all = [Outcome::Success, Outcome::Overload, Outcome::Ignore, Outcome::Cancelled];
        for place in [Standing::Real, Standing::Phantom] {
            let mut held = Held::new(3, place);
            assert_eq!((held.standing(), held.outcome(), held.measure()), (place, Outcome::Success, None));
            let now = Duration::from_nanos(86_400_000_000_007);
            held = held.measured(Began::after(now), 9);
            for outcome in all {
                held.record(outcome);
                assert_eq!((held.cost(), held.standing(), held.outcome()), (3, place, outcome));
                assert_eq!(held.measure(), Some((now, 9)), "the last word counts, and changes nothing else");
            }
        }
    }

    #[test]
    fn a_success_is_usual_whether_it_was_said_or_not() {
        let mut held = Held::new(u32::MAX, Standing::Real);
        assert!(held.is_usual());
        for (outcome, is_usual) in [
            (Outcome::Cancelled, false),
            (Outcome::Overload, false),
            (Outcome::Ignore, false),
            (Outcome::Success, true),
        ] {
            held.record(outcome);
            assert_eq!(held.is_usual(), is_usual, "{outcome:?}");
        }
        assert!(!held.measured(Began::after(Duration::ZERO), 0).is_usual());
        assert!(!Held::new(1, Standing::Phantom).is_usual());
    }

    #[cfg(feature = "http")]
    #[test]
    fn a_call_of_which_all_is_told_is_measured_no_more() {
        let mut held = Held::new(3, Standing::Phantom).measured(Began::after(Duration::from_secs(7)), 9);
        held.record(Outcome::Overload);
        let held = held.told();
        assert_eq!(held.measure(), None);
        assert_eq!((held.standing(), held.outcome()), (Standing::Phantom, Outcome::Overload));
    }
}
