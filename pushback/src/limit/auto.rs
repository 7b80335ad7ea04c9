//! The limit that finds itself.

mod ceiling;
mod cohort;
mod knee;
mod rule;

use std::{ops::RangeInclusive, time::Duration};

use self::{
    cohort::{Cohort, Seen, Size},
    rule::{Known, Rule},
};
use super::{Controller, Decision, Limit, Sample, Start, Totals, checked};
use crate::{outcome::Outcome, settings::BuildError};

/// Finds the smallest limit under which the service is hardly ever idle, and follows it when the
/// service changes.
///
/// It is the default where you do not know how much a service can do.
///
/// It judges a decision only by a *cohort*: the calls that this decision admitted. Of each cohort
/// it asks, in this order:
///
/// 1. *Does the service say that it is too much?* It does where more than 2 % were overloaded or
///    given up by their callers, beyond what chance makes of that. The limit then goes a tenth
///    below the calls in flight at that time, and a ceiling stays there for a while. Not so if
///    fewer in flight do not help: if as large a part fails with half as many, that part fails
///    whatever is in flight, and is no sign any more. Callers who give up count only where calls
///    take more than 1.5 times b, for anybody can leave a service that is well; as long as b is not
///    known, they always count. Where all were given up, the service stands still. Then the limit
///    stays, or grows to the calls that will be answered in time when the service is back.
/// 2. *Is anybody refused?* If not, the limit only keeps some distance: twice the most in flight,
///    and not more than four times.
/// 3. *Do calls queue?* R is their mean time, and b the time of a call that does not queue. Then
///    `k = L · b / R` calls run and the others queue. The limit goes to `1.5 k + 2 √k`, enough for
///    a service of many workers not to wait for work.
/// 4. *Does the queue ever end?* Where more than 3 % of the calls find no more than k in flight,
///    the service is idle at times, and whoever was refused in between was refused for nothing. The
///    limit grows by a quarter, as long as that is so. A queue that does not end is of no use to
///    anybody, and goes.
/// 5. *Do fewer get more done?* Where throughput falls as the calls in flight grow, the limit goes
///    lower. Where the service broke down, a ceiling stays below that for a while, and longer each
///    time.
///
/// b is measured where nothing queues: while nobody is refused, and by a *dip*, a cohort at 0.8 k
/// now and then. Where b could only be measured while calls queue, a dip goes on to fewer until
/// less is done. When half as many in flight take as long as before, it is not our queue that makes
/// them slow. Then that time is b, and the limit doubles until calls queue.
///
/// In flight are the calls for which the service works. An answer that waits for its reader has
/// lent its place, up to ten times as many as the limit. While uploads that wait for their senders,
/// and answers beyond those, keep more than a tenth of the places, the limit does not grow.
///
/// It begins at 4 at most, and doubles with each round of calls, until they get slower.
///
/// Where it goes wrong (`docs/limits.md` has the figures):
///
/// - A service that breaks down suddenly is broken down now and then, to find out whether it still
///   does that.
/// - With few calls a second it is slow, for it needs some fifty calls to decide.
/// - Where calls have no deadline, it does not know how long callers wait. So in bursts it queues
///   less than their patience would allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Auto {
    initial: u32,
    initial_max: u32,
    /// It is known from before.
    resumed: Option<u32>,
    bounds: RangeInclusive<u32>,
    time_max: Option<Duration>,
    patience: Option<Duration>,
    without: Option<AutoPart>,
}

/// A part of the rule, which the lab leaves out to see what it is good for.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AutoPart {
    /// Only the calls that a decision admitted say what came of it.
    Cohorts,
    /// Doubling at the beginning.
    Start,
    /// A look at a quarter of the limit when calls queue for the first time.
    FirstLook,
    /// Looks at fewer in flight, now and then.
    Dips,
    /// Fewer that are no faster are no queue of ours.
    NotOurs,
    /// A service that is idle at times gets more.
    Idle,
    /// Fewer that get more done are better.
    Knee,
    /// A ceiling below where the service broke down.
    Breakdown,
    /// A limit that is held while nothing is done.
    StandStill,
    /// A cohort is judged though its last calls are late.
    Late,
    /// What fails however few are in flight is no sign.
    Chance,
}

impl AutoPart {
    /// All of them.
    pub const ALL: [AutoPart; 11] = [
        AutoPart::Cohorts,
        AutoPart::Start,
        AutoPart::FirstLook,
        AutoPart::Dips,
        AutoPart::NotOurs,
        AutoPart::Idle,
        AutoPart::Knee,
        AutoPart::Breakdown,
        AutoPart::StandStill,
        AutoPart::Late,
        AutoPart::Chance,
    ];
}

/// A higher first limit does its damage to a small service before anything is measured, and doubling is quick: `docs/limits.md` has the figures
/// of others.
const INITIAL_MAX: u32 = 4;

impl Auto {
    /// No settings are needed.
    pub fn new() -> Self {
        Auto {
            initial: INITIAL_MAX,
            initial_max: INITIAL_MAX,
            resumed: None,
            bounds: 1..=100_000,
            time_max: None,
            patience: None,
            without: None,
        }
    }

    /// The first limit, within its bounds. Default: 4. More counts as 4.
    ///
    /// From 4 it doubles with each round of calls. A first limit that is too high does its damage
    /// before anything is measured.
    pub fn initial(self, initial: u32) -> Self {
        Auto { initial, ..self }
    }

    /// Begins where the limit last stood, for example before a restart, however high that is within
    /// its bounds.
    ///
    /// It is not doubled from there. When calls queue for the first time, a look at fewer in flight
    /// shows whether it is still right.
    pub fn resume(self, limit: u32) -> Self {
        Auto { resumed: Some(limit), ..self }
    }

    /// The bounds within which the limit is kept, from 1 on. Default: 1 to 100,000.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Auto { bounds, ..self }
    }

    /// How long calls may take on average, above 0. Default: no bound.
    ///
    /// Where they take longer, the limit goes down until they do not, even if that gets less done.
    pub fn time_max(self, time: Duration) -> Self {
        Auto { time_max: Some(time), ..self }
    }
}

impl Auto {
    /// How long callers wait before they give up, above 0, if you know it.
    ///
    /// Calls may then take half of that on average, and no longer. In bursts, that is longer than
    /// they may otherwise. Without this setting, calls with a [deadline](crate::Arrival::deadline)
    /// say the same.
    pub fn patience(self, time: Duration) -> Self {
        Auto { patience: Some(time), ..self }
    }
}

#[doc(hidden)]
impl Auto {
    /// The rule without one of its parts, for the lab.
    pub fn without(self, part: AutoPart) -> Self {
        Auto { without: Some(part), ..self }
    }

    /// The most at which it begins, for the lab.
    pub fn initial_max(self, most: u32) -> Self {
        Auto { initial_max: most, ..self }
    }
}

impl Default for Auto {
    fn default() -> Self {
        Auto::new()
    }
}

impl Auto {
    fn known(&self) -> Known {
        let seconds = |time: Duration| time.as_secs_f64();
        Known {
            time_max: self.time_max.map(seconds),
            patience: self.patience.map(seconds),
            without: self.without,
        }
    }
}

impl Limit for Auto {
    fn start(&self) -> Result<Start, BuildError> {
        let initial = checked(self.initial, &self.bounds)?;
        for (name, time) in [("time_max", self.time_max), ("patience", self.patience)] {
            if time.is_some_and(|time| time.is_zero()) {
                return Err(BuildError::new(name, "0s", "above 0"));
            }
        }
        let running = Running {
            bounds: self.bounds.clone(),
            cohort: Cohort::new(Size::Round),
            rule: Rule::new(self.known(), self.resumed.is_none()),
            without: self.without,
            known: self.known(),
            knows_ends: false,
        };
        let first = initial.min(self.initial_max.max(*self.bounds.start()));
        let limit = self.resumed.map_or(first, |limit| limit.clamp(*self.bounds.start(), *self.bounds.end()));
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    bounds: RangeInclusive<u32>,
    cohort: Cohort,
    rule: Rule,
    without: Option<AutoPart>,
    known: Known,
    /// Whether calls have come to their ends by themselves.
    knows_ends: bool,
}

impl Running {
    /// Of an answer whose end is its client's affair, only how soon it was answered is known. That is no time to compare with those of calls that
    /// came to their ends, and whoever leaves when he likes must not move a limit: so it counts only as long as there are no others.
    fn said(&mut self, sample: &Sample) -> Sample {
        let is_end = !sample.is_open && sample.outcome == Outcome::Success;
        if is_end && !std::mem::replace(&mut self.knows_ends, true) && self.rule.base().is_some() {
            self.rule = Rule::new(self.known, true);
            self.cohort = Cohort::since(sample.ended, sample.totals, self.rule.next_size());
        }
        let outcome = if sample.is_open && self.knows_ends { Outcome::Ignore } else { sample.outcome };
        Sample { outcome, ..*sample }
    }
}

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let limit = limit.floor().max(1.0);
        let sample = &self.said(sample);
        let base = self.rule.base().filter(|_| self.without != Some(AutoPart::Late));
        let seen = self.cohort.observe(sample, limit, base)?;
        let decision = self.rule.decide(&seen, &self.cohort);
        self.cohort = Cohort::since(sample.ended, sample.totals, self.rule.next_size());
        if self.without == Some(AutoPart::Cohorts) {
            self.cohort.take_everybody();
        }
        Some(decision)
    }

    fn is_looking(&self) -> bool {
        self.rule.is_looking()
    }

    fn looks_at_all(&self) -> bool {
        self.rule.looks_at_all()
    }

    fn rest(&mut self, now: Duration, totals: Totals) -> Option<Decision> {
        let decision = self.rule.give_up_look();
        self.cohort = Cohort::since(now, totals, self.rule.next_size());
        decision
    }

    fn measure_anew(&mut self, now: Duration, totals: Totals) {
        self.rule.measure_anew();
        self.cohort = Cohort::since(now, totals, self.rule.next_size());
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.bounds.clone()
    }

    fn needs_every_call(&self) -> bool {
        false
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    /// Calls that end a tenth of a second after each other, and were all admitted just before that: only how long they were held counts here.
    struct Told {
        running: Running,
        totals: Totals,
    }

    impl Told {
        fn new() -> Self {
            let known = Auto::new().known();
            let running = Running {
                bounds: 1..=1000,
                cohort: Cohort::new(Size::Round),
                rule: Rule::new(known, true),
                without: None,
                known,
                knows_ends: false,
            };
            Told { running, totals: Totals::default() }
        }

        /// A call, and the time of one that does not queue, in milliseconds.
        fn call(&mut self, held: u64, is_open: bool) -> f64 {
            self.totals.admitted += 1;
            self.totals.timed += 1;
            let ended = Duration::from_millis(1000 + 100 * self.totals.admitted);
            let held = Duration::from_millis(held);
            let (began, totals) = (ended - Duration::from_millis(1), self.totals);
            let sample =
                Sample { held, answered: held, is_open, totals, in_flight: 6, ..Sample::new(began, ended) };
            self.running.observe(&sample, 100.0);
            1000.0 * self.running.rule.base().unwrap_or(0.0)
        }
    }

    #[test]
    fn calls_that_their_clients_end_move_nothing_while_others_come_to_their_ends() {
        let mut told = Told::new();
        (0..300).for_each(|_| {
            told.call(500, false);
        });
        for call in 0..3_000 {
            let base = told.call(if call % 3 == 0 { 500 } else { 20 }, call % 3 != 0);
            assert!((base - 500.0).abs() < 1.0, "{base} ms after {call} calls");
        }
    }

    #[test]
    fn where_all_are_open_they_count_until_one_comes_to_its_end() {
        let mut told = Told::new();
        let base = (0..300).map(|_| told.call(20, true)).last().unwrap();
        assert!((base - 20.0).abs() < 1.0, "{base} ms");
        let base = (0..300).map(|_| told.call(500, false)).last().unwrap();
        assert!((base - 500.0).abs() < 1.0, "{base} ms");
    }
}
