//! The calls that one decision admitted, which alone say what came of it.

use std::time::Duration;

use crate::{
    limit::{Sample, Totals},
    outcome::Outcome,
};

/// How many timed calls a cohort has, and how long it takes them in at least, in seconds: enough for a mean within 14 %
/// where times are exponentially distributed.
const CALLS: f64 = 50.0;
const LASTS: f64 = 0.1;
/// A cohort of fewer calls is complete after so long.
const FEW: u64 = 10;
const FEW_LASTS: f64 = 2.0;
const LASTS_MAX: f64 = 10.0;
/// When so many of a cohort are back, it is judged. With fewer, the quick ones of a service with a slow few would speak for all.
const BACK: f64 = 0.95;
/// At the start, so many are enough, for those that run on are counted with what they have taken.
const BACK_AT_START: f64 = 0.8;
/// While the limit doubles, there is no time to wait for the last ones.
const BACK_WHILE_RAMPING: f64 = 0.8;
/// After so long, in seconds, a cohort of which nobody is back is given up.
const GIVEN_UP: f64 = 60.0;
/// So many times are assumed to vary as exponentially distributed ones do, before any is known.
const ALIKE: f64 = 2.0;
/// For how many base times a cohort waits for its last calls at most.
const LATE: f64 = 5.0;

/// How the next cohort is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// As many calls as the limit has places: one round of a slow start.
    Round,
    /// Enough for a mean.
    Usual,
    /// The same, and judged somewhat early.
    Ramping,
    /// Somewhat more, for much depends on it, and no hurry.
    Dip,
}

/// Calls admitted since a decision.
#[derive(Debug)]
pub(super) struct Cohort {
    size: Size,
    began: f64,
    /// Calls that began earlier are not its own.
    since: f64,
    refused: u64,
    outranked: u64,
    timed: u64,
    unshown: u64,
    admitted: u64,
    /// When it was full, and how many calls it then had, timed and in all.
    intake: Option<Intake>,
    first: Option<(f64, u32)>,
    last: (f64, u32),
    /// Those that are back.
    back: Vec<Back>,
    /// When the last place was taken for the first time.
    filled: f64,
    peak: u32,
    /// The most places that calls kept which waited for their client.
    kept: u32,
    overloads: Group,
    cancelled: Group,
    left_early: f64,
    /// How long those that are back waited for their answers, all together.
    answered: f64,
}

/// A call that is back: when it began, how long it took, and how many places were taken then.
#[derive(Debug, Clone, Copy)]
struct Back {
    began: f64,
    time: f64,
    in_flight: f64,
}

#[derive(Debug, Clone, Copy)]
struct Intake {
    ended: f64,
    timed: u64,
    admitted: u64,
}

/// Calls that ended in one way: how many, with how many in flight, and after how long.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    calls: f64,
    in_flight: f64,
    /// Of those numbers.
    squares: f64,
    time: f64,
}

/// What a cohort says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When it was judged, and how long it had lasted.
    pub(super) now: f64,
    pub(super) lasted: f64,
    /// The limit that admitted it, in whole places.
    pub(super) limit: f64,
    /// How many timed calls are back.
    pub(super) calls: f64,
    /// Their mean time. If some were too late to be waited for, they count with the time that they had taken.
    pub(super) time: f64,
    pub(super) is_censored: bool,
    /// By what part of that their mean may be off by chance, one standard error.
    pub(super) error: f64,
    /// The mean time that their callers waited for their answers, which of a stream is less.
    pub(super) answered: f64,
    /// Mean and largest number of places that they saw taken.
    pub(super) in_flight: f64,
    pub(super) peak: f64,
    /// How many places were kept by calls that waited for their client.
    pub(super) kept: f64,
    /// Whether anybody was refused for whom places were free that are kept for more important calls.
    pub(super) keeps_free: bool,
    /// Whether anybody else was refused, or the last place was taken.
    pub(super) is_full: bool,
    /// Calls admitted a second while they went in, which is what completes a second where the limit is filled.
    pub(super) rate: f64,
    /// The parts that were overloaded or cancelled.
    pub(super) overloaded: f64,
    pub(super) cancelled: f64,
    /// How many were in flight at the mean of those that were overloaded, or of all, if none was.
    pub(super) overloaded_at: f64,
    /// By how many standard errors more were in flight where calls were overloaded or cancelled than where they were not.
    pub(super) failed_above: f64,
    /// How long those had waited whose callers went away.
    pub(super) patience: f64,
    /// How long callers wait, as far as their calls say.
    pub(super) told_patience: Option<f64>,
}

impl Cohort {
    /// Begins with the calls that are admitted from now on.
    pub(super) fn since(now: Duration, totals: Totals, size: Size) -> Self {
        let Totals { admitted, refused, outranked, timed, unshown } = totals;
        let began = now.as_secs_f64();
        Cohort { began, since: began, refused, outranked, timed, unshown, admitted, ..Cohort::new(size) }
    }

    pub(super) fn new(size: Size) -> Self {
        Cohort {
            size,
            began: 0.0,
            since: 0.0,
            refused: 0,
            outranked: 0,
            timed: 0,
            unshown: 0,
            admitted: 0,
            intake: None,
            first: None,
            last: (0.0, 0),
            back: Vec::new(),
            filled: f64::INFINITY,
            peak: 0,
            kept: 0,
            overloads: Group::default(),
            cancelled: Group::default(),
            left_early: 0.0,
            answered: 0.0,
        }
    }

    /// Calls that others admitted count as well.
    pub(super) fn take_everybody(&mut self) {
        self.since = f64::NEG_INFINITY;
    }

    /// Takes in a call, and says what the cohort says once it is complete. `base` is the time of a call that does not queue, if
    /// that is known.
    pub(super) fn observe(&mut self, sample: &Sample, limit: f64, base: Option<f64>) -> Option<Seen> {
        let now = sample.ended.as_secs_f64();
        if self.intake.is_none() && self.is_filled(sample, now, limit) {
            let totals = sample.totals;
            let timed = totals.timed.saturating_sub(self.timed);
            let admitted = totals.admitted.saturating_sub(self.admitted);
            self.intake = Some(Intake { ended: now, timed, admitted });
        }
        self.take_in(sample, limit, base);
        let intake = self.intake?;
        let unshown = sample.totals.unshown.saturating_sub(self.unshown);
        let expected = intake.timed.saturating_sub(unshown) as f64;
        let back = self.back.len() as f64 + self.overloads.calls + self.left_early;
        let enough = match self.size {
            Size::Round => BACK_AT_START,
            Size::Ramping => BACK_WHILE_RAMPING,
            Size::Usual | Size::Dip => BACK,
        };
        let is_complete = back >= enough * expected;
        let is_late = now - intake.ended >= self.waits(base);
        let says_something = self.back.len() as f64 + self.overloads.calls > 0.0;
        if !says_something && (is_complete || now - intake.ended > GIVEN_UP) {
            // Nobody of it says anything, and nobody ever will.
            *self = Cohort::since(sample.ended, sample.totals, self.size);
            return None;
        }
        (says_something && (is_complete || is_late))
            .then(|| self.sum_up(intake, sample, limit, is_complete, expected - back))
    }

    fn is_filled(&self, sample: &Sample, now: f64, limit: f64) -> bool {
        let calls = sample.totals.timed.saturating_sub(self.timed);
        let lasted = now - self.began;
        let (enough, long_enough) = match self.size {
            Size::Round => (CALLS.min(limit.max(3.0)), LASTS / 10.0),
            Size::Usual | Size::Ramping => (CALLS, LASTS),
            Size::Dip => (1.2 * CALLS, LASTS),
        };
        calls as f64 >= enough && lasted >= long_enough
            || calls >= FEW && lasted >= FEW_LASTS
            || calls >= 1 && lasted >= LASTS_MAX
    }

    fn take_in(&mut self, sample: &Sample, limit: f64, base: Option<f64>) {
        let began = sample.began.as_secs_f64();
        if began < self.since || self.intake.is_some_and(|intake| began > intake.ended) {
            return;
        }
        let (time, in_flight) = (sample.time().as_secs_f64(), sample.in_flight);
        if self.first.is_none_or(|(first, _)| began < first) {
            self.first = Some((began, in_flight));
        }
        if began >= self.last.0 {
            self.last = (began, in_flight);
        }
        self.peak = self.peak.max(in_flight);
        if f64::from(in_flight) >= limit {
            self.filled = self.filled.min(began);
        }
        self.kept = self.kept.max(sample.awaiting_client);
        match sample.outcome {
            Outcome::Overload => return self.overloads.add(time, in_flight),
            Outcome::Ignore => {
                self.left_early += 1.0;
                return;
            }
            // Whoever went away before an answer could be there does not say that it was late.
            Outcome::Cancelled if base.is_some_and(|base| time < base) => {
                self.left_early += 1.0;
                return;
            }
            Outcome::Cancelled => self.cancelled.add(time, in_flight),
            _ => (),
        }
        self.answered += sample.answered.as_secs_f64();
        self.back.push(Back { began, time, in_flight: f64::from(in_flight) });
    }

    /// How long it waits for its last calls, once it is full.
    fn waits(&self, base: Option<f64>) -> f64 {
        let patient = 4.0 * mean(self.back.iter().map(|back| back.time)).unwrap_or(0.0) + 0.05;
        let hurried = base.map_or(f64::INFINITY, |base| LATE * base + 0.02);
        if self.size == Size::Dip { patient } else { patient.min(hurried) }
    }

    fn sum_up(&mut self, intake: Intake, sample: &Sample, limit: f64, is_complete: bool, out: f64) -> Seen {
        let now = sample.ended.as_secs_f64();
        let (first, first_in_flight) = self.first.unwrap_or((self.began, 0));
        let calls = self.back.len() as f64 + self.overloads.calls;
        let in_flight: f64 = self.back.iter().map(|back| back.in_flight).sum();
        let in_flight = (in_flight + self.overloads.in_flight) / calls;
        // Those who are not back have taken at least this long, and count with it if they are many. At the start they always do, and those that are
        // back share all that time: the most likely mean where times are exponentially distributed (Epstein and Sobel, 1953).
        let is_start = self.size == Size::Round;
        let missing = if is_complete && !is_start { 0.0 } else { out.max(0.0) };
        let back = self.back.len() as f64;
        let counted = if is_start { back } else { back + missing };
        let waited = (now - 0.5 * (intake.ended + first)).max(0.0);
        let time: f64 = self.back.iter().map(|back| back.time).sum();
        // Of calls that came one after the other over a long time, the last ones are out.
        let waited = if is_start { waited.min(now - intake.ended + time / back) } else { waited };
        let time = (time + missing * waited) / counted;
        let answered = (self.answered + missing * waited) / counted;
        // What filled up places that had been free before was not completed.
        let filled = f64::from(self.last.1.saturating_sub(first_in_flight));
        let admitted = (intake.admitted as f64 - filled - 1.0).max(0.5);
        let was_refused = sample.totals.refused > self.refused;
        Seen {
            now,
            lasted: (now - self.began).max(1e-9),
            limit,
            calls,
            time: if time.is_finite() { time } else { 0.0 },
            is_censored: !is_complete,
            error: self.error(missing),
            answered: if answered.is_finite() { answered } else { 0.0 },
            in_flight,
            peak: f64::from(self.peak),
            kept: f64::from(self.kept),
            keeps_free: sample.totals.outranked > self.outranked,
            is_full: was_refused || f64::from(self.peak) >= limit,
            rate: admitted / (intake.ended - first).max(1e-6),
            overloaded: self.overloads.calls / calls,
            cancelled: self.cancelled.calls / calls,
            overloaded_at: self.overloads.mean_in_flight().unwrap_or(in_flight).min(limit),
            failed_above: self.failed_above(calls, in_flight),
            patience: self.cancelled.time / self.cancelled.calls.max(1.0),
            told_patience: sample.patience.map(|patience| patience.as_secs_f64()),
        }
    }

    /// One standard error of the mean time, as a part of it. A few times that are alike do not prove that all are, so two that are exponentially
    /// distributed count with them, and those that have not ended do too.
    fn error(&self, missing: f64) -> f64 {
        let calls = self.back.len() as f64;
        let Some(mean) = mean(self.back.iter().map(|back| back.time)) else { return 1.0 };
        let squares: f64 = self.back.iter().map(|back| (back.time / mean - 1.0).powi(2)).sum();
        ((ALIKE + missing + squares) / (ALIKE + missing + calls) / calls).sqrt()
    }

    fn failed_above(&self, calls: f64, in_flight: f64) -> f64 {
        let failed = self.overloads.calls + self.cancelled.calls;
        let squares: f64 = self.back.iter().map(|back| back.in_flight.powi(2)).sum();
        let variance = (squares + self.overloads.squares) / calls - in_flight.powi(2);
        let at = (self.overloads.in_flight + self.cancelled.in_flight) / failed.max(1.0);
        if failed > 0.0 { (at - in_flight) / (variance.max(0.01) / failed).sqrt() } else { 0.0 }
    }

    /// The part of the calls that found no more than so many in flight, their own among them. Not of those that came while a limit
    /// which had risen was being filled.
    pub(super) fn part_with_at_most(&self, places: f64) -> f64 {
        let since = if self.filled.is_finite() { self.filled } else { f64::NEG_INFINITY };
        let all = self.back.iter().filter(|back| back.began >= since);
        let (few, all) = all.fold((0.0, 0.0_f64), |(few, all), back| {
            (few + f64::from(u8::from(back.in_flight <= places)), all + 1.0)
        });
        few / all.max(1.0)
    }
}

impl Group {
    fn add(&mut self, time: f64, in_flight: u32) {
        self.calls += 1.0;
        self.in_flight += f64::from(in_flight);
        self.squares += f64::from(in_flight).powi(2);
        self.time += time;
    }

    fn mean_in_flight(&self) -> Option<f64> {
        (self.calls > 0.0).then(|| self.in_flight / self.calls)
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::limit::testing::sample;

    /// Tells a cohort of calls one after the other: each begins so long after the last, and takes so long.
    fn tell(cohort: &mut Cohort, calls: u64, apart: f64, time: f64) -> Option<Seen> {
        (0..calls).find_map(|call| {
            let admitted = call + 1;
            let totals = Totals { admitted, timed: admitted, ..Totals::default() };
            let sample = Sample { totals, ..sample(call as f64 * apart, time, 5) };
            cohort.observe(&sample, 20.0, Some(time))
        })
    }

    #[test]
    fn a_cohort_is_complete_with_fifty_calls_of_which_nearly_all_are_back() {
        let mut cohort = Cohort::new(Size::Usual);
        let seen = tell(&mut cohort, 100, 0.004, 0.02).unwrap();
        assert_eq!((seen.calls, seen.is_censored, seen.is_full), (50.0, false, false));
        assert!((seen.time - 0.02).abs() < 1e-9 && (seen.in_flight - 5.0).abs() < 1e-9);
        // Forty-nine after the first, until the fiftieth came back.
        assert!((seen.rate - 49.0 / 0.216).abs() < 1e-6, "{} a second", seen.rate);
    }

    #[test]
    fn calls_of_earlier_decisions_do_not_count() {
        let begin =
            Sample { totals: Totals { admitted: 7, timed: 7, ..Totals::default() }, ..sample(9.0, 1.0, 3) };
        let mut cohort = Cohort::since(begin.ended, begin.totals, Size::Usual);
        for call in 0..200_u64 {
            let totals = Totals { admitted: 8 + call, timed: 8 + call, ..Totals::default() };
            let old = Sample { totals, ..sample(9.5, 1.0, 19) };
            assert!(cohort.observe(&old, 20.0, None).is_none(), "all of these began before it");
        }
    }

    #[test]
    fn the_late_ones_are_not_waited_for_for_ever_and_count_with_the_time_that_they_took() {
        let mut cohort = Cohort::new(Size::Usual);
        // A hundred are admitted, of which every second comes back after 20 ms.
        let seen = (0..200_u64).find_map(|call| {
            let admitted = (2 * call + 1).min(100);
            let totals = Totals { admitted, timed: admitted, ..Totals::default() };
            let sample = Sample { totals, ..sample(call as f64 * 0.004, 0.02, 5) };
            cohort.observe(&sample, 20.0, Some(0.02))
        });
        let seen = seen.unwrap();
        assert!(seen.is_censored);
        assert!(seen.time > 0.05, "{}: half of them are out for five base times and more", seen.time);
    }

    #[test]
    fn those_that_say_nothing_about_the_load_are_not_waited_for() {
        let mut cohort = Cohort::new(Size::Usual);
        let seen = (0..200_u64).find_map(|call| {
            let admitted = 2 * call + 1;
            let totals = Totals { admitted, timed: admitted, unshown: call, ..Totals::default() };
            let sample = Sample { totals, ..sample(call as f64 * 0.004, 0.02, 5) };
            cohort.observe(&sample, 20.0, Some(0.02))
        });
        assert!(!seen.unwrap().is_censored);
    }

    #[test]
    fn a_cohort_of_which_nobody_says_anything_begins_anew() {
        let told = |admitted, unshown| Totals { admitted, timed: admitted, unshown, ..Totals::default() };
        // One call of an earlier decision ends when all of its own have ended and said nothing.
        let begin = Sample { totals: told(1, 0), ..sample(0.0, 20.0, 2) };
        let mut cohort = Cohort::since(begin.ended, begin.totals, Size::Usual);
        let old = Sample { totals: told(2, 1), ..sample(10.0, 25.0, 2) };
        assert!(cohort.observe(&old, 20.0, Some(0.02)).is_none());
        let seen = (0..100_u64).find_map(|call| {
            let totals = told(3 + call, 1);
            cohort.observe(&Sample { totals, ..sample(36.0 + 0.01 * call as f64, 0.02, 5) }, 20.0, Some(0.02))
        });
        assert!(seen.is_some(), "it must not wait for those for ever");
    }

    #[test]
    fn the_part_that_found_few_in_flight_is_counted() {
        let mut cohort = Cohort::new(Size::Usual);
        for in_flight in [1, 2, 3, 8] {
            let totals = Totals { admitted: 1, timed: 1, ..Totals::default() };
            cohort.observe(&Sample { totals, ..sample(0.0, 0.01, in_flight) }, 20.0, None);
        }
        assert_eq!(
            [0.0, 2.0, 7.9, 8.0].map(|places| cohort.part_with_at_most(places)),
            [0.0, 0.5, 0.75, 1.0]
        );
    }
}
