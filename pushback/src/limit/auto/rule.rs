//! From what a cohort says to the next limit.

use std::{borrow::Cow, time::Duration};

use super::{
    AutoPart, Cohort, Seen, Size,
    ceiling::{Breakdown, Ceiling},
    knee::{Knee, Slope},
};
use crate::limit::Decision;

/// Above this part of overloaded or cancelled calls, the service says that it is too much.
const TOO_MUCH: f64 = 0.02;
/// The limit goes so far below the calls in flight then.
const BELOW: f64 = 0.9;
/// For how long the ceiling stays there, in seconds.
const QUIET: f64 = 1.0;
/// Above this part of cancelled calls, the service stands still.
const STANDS_STILL: f64 = 0.5;
/// For how many times its callers' patience the limit is held then; after that it is halved, for it may be our queue.
const HOLDS: f64 = 6.0;
/// Which part of their patience those may wait who are held while it does.
const PATIENCE: f64 = 0.8;

/// The room that the limit has above the calls that run: this part of them, and so many times their root.
const ROOM: f64 = 0.5;
const ROOM_BY_ROOT: f64 = 2.0;
/// How far the limit goes at a time to where it should be, downwards: usually, and where that is below this part of it.
const STEP: f64 = 0.3;
const LARGE_STEP: f64 = 0.9;
const FAR: f64 = 0.6;
/// Of so few in flight, none takes longer than all of them after each other.
const FEW: f64 = 4.0;
/// So many may come at once.
const A_FEW: f64 = 8.0;
/// Bounds of one step.
const SHRINKS_TO: f64 = 0.4;
const GROWS_TO: f64 = 2.0;

/// Above this part of calls that find the service idle, whoever is refused is refused for nothing.
const IDLE: f64 = 0.03;
/// Above this, a limit that is too high now may be right in a moment.
const OFTEN_IDLE: f64 = 0.1;
/// Over how long that is averaged, in seconds.
const IDLE_OVER: f64 = 4.0;
/// The limit grows by this then.
const GROWS: f64 = 1.25;

/// A dip goes to this part of the calls that run; the first to this part of the limit.
const DIP: f64 = 0.8;
const FIRST_DIP: f64 = 0.25;
/// From one dip to the next, in seconds: at first, and at most, for it doubles while nothing has changed.
const GAP: f64 = 1.0;
const GAP_MAX: f64 = 30.0;

/// The state of the rule.
#[derive(Debug)]
pub(super) struct Rule {
    time_max: Option<f64>,
    without: Option<AutoPart>,
    /// The time of a call that does not queue, in seconds.
    base: Option<f64>,
    phase: Phase,
    /// How many calls the base was taken from at the start.
    started_with: f64,
    first_dip_due: bool,
    next_dip: f64,
    gap: f64,
    /// The most in flight lately.
    peak: f64,
    idle: f64,
    judged: f64,
    ceiling: Ceiling,
    breakdown: Breakdown,
    knee: Knee,
    /// How much of the usual limit is left where fewer get more done, 1 is all.
    part: f64,
    /// With the most in flight since calls queue: how many they were, and how long they took.
    queue: Option<(f64, f64)>,
    /// Calls a second while the service is well.
    rate: f64,
    /// Since when nothing is done.
    stands_still: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// It doubles with each round, until calls get slower.
    Starting,
    Usual,
    /// It doubles because calls are slow and it is not our queue.
    Ramping,
    Dipping(Dip),
}

/// What was before a dip.
#[derive(Debug, Clone, Copy)]
struct Dip {
    time: f64,
    in_flight: f64,
    limit: f64,
    /// The limit of the dip itself.
    to: f64,
    began: f64,
}

impl Rule {
    pub(super) fn new(time_max: Option<Duration>, without: Option<AutoPart>) -> Self {
        let has = |part| without != Some(part);
        Rule {
            time_max: time_max.map(|time| time.as_secs_f64()),
            without,
            base: None,
            phase: if has(AutoPart::Start) { Phase::Starting } else { Phase::Usual },
            started_with: 0.0,
            first_dip_due: has(AutoPart::FirstLook),
            next_dip: 0.0,
            gap: GAP,
            peak: 0.0,
            idle: 0.0,
            judged: 0.0,
            ceiling: Ceiling::none(),
            breakdown: Breakdown::none(),
            knee: Knee::default(),
            part: 1.0,
            queue: None,
            rate: 0.0,
            stands_still: None,
        }
    }

    fn has(&self, part: AutoPart) -> bool {
        self.without != Some(part)
    }

    /// The time of a call that does not queue, in seconds, if that is known.
    pub(super) fn base(&self) -> Option<f64> {
        self.base
    }

    /// How the next cohort is to be.
    pub(super) fn next_size(&self) -> Size {
        match self.phase {
            Phase::Starting => Size::Round,
            Phase::Usual => Size::Usual,
            Phase::Ramping => Size::Ramping,
            Phase::Dipping(_) => Size::Dip,
        }
    }

    pub(super) fn decide(&mut self, seen: &Seen, cohort: &Cohort) -> Decision {
        let passed = (seen.now - self.judged).max(0.0);
        self.judged = seen.now;
        self.peak = (self.peak * (1.0 - passed / 20.0).max(0.0)).max(seen.peak);
        let running = (seen.in_flight * (self.base.unwrap_or(seen.time) / seen.time).min(1.0)).max(1.0);
        let idle = cohort.part_with_at_most(running);
        // In a dip the service is idle because we look.
        if !matches!(self.phase, Phase::Dipping(_)) {
            self.idle += (passed / IDLE_OVER).min(1.0) * (idle - self.idle);
        }
        if let Some(decision) = self.obey(seen) {
            return decision;
        }
        self.ceiling.rise(seen.now);
        let base = self.base.unwrap_or(seen.time);
        // One of few calls has waited for the others at most.
        let base = if seen.in_flight <= FEW { base.max(seen.time / seen.in_flight) } else { base };
        self.base = Some(base);
        match self.phase {
            Phase::Starting => {
                if let Some(decision) = self.go_on_starting(seen, base) {
                    return decision;
                }
            }
            // Unless an operator has set another limit meanwhile.
            Phase::Dipping(dip) if (0.5 * dip.to..=dip.limit).contains(&seen.limit) => {
                return self.end_dip(seen, dip, base);
            }
            Phase::Dipping(_) => self.phase = Phase::Usual,
            Phase::Usual | Phase::Ramping => (),
        }
        if !seen.is_full {
            return self.keep_distance(seen, base);
        }
        self.follow(seen, base, idle)
    }

    /// What the service says by itself.
    fn obey(&mut self, seen: &Seen) -> Option<Decision> {
        if seen.cancelled < TOO_MUCH {
            self.rate += (seen.lasted / 5.0).min(1.0) * (seen.rate - self.rate);
        }
        if seen.cancelled > STANDS_STILL && self.has(AutoPart::StandStill) {
            return Some(self.stand_still(seen));
        }
        self.stands_still = None;
        // One caller who goes away is no sign, however few calls there are.
        let cancelled = if seen.cancelled * seen.calls < 1.5 { 0.0 } else { seen.cancelled };
        if cancelled + seen.overloaded > TOO_MUCH {
            self.end_phase();
            self.ceiling = Ceiling::put(BELOW * seen.overloaded_at, seen.now, QUIET);
            let share = 100.0 * (cancelled + seen.overloaded);
            let why = format!("{share:.0} % overloaded or given up: shrank");
            return Some(because(self.ceiling.limit(), "overload", why));
        }
        None
    }

    /// Hardly anything is done in time.
    fn stand_still(&mut self, seen: &Seen) -> Decision {
        self.end_phase();
        let since = *self.stands_still.get_or_insert(seen.now - seen.patience);
        if seen.now - since > HOLDS * seen.patience {
            let why = "callers still give up: halved, for it may be our queue";
            return because(0.5 * seen.limit, "standing still", why);
        }
        let in_time = PATIENCE * self.rate * seen.patience;
        let limit = seen.limit.max(in_time.min(GROWS_TO * seen.limit));
        because(limit, "standing still", "callers give up and nothing is done: held for when it is back")
    }

    /// Doubles, unless calls get slower beyond chance.
    fn go_on_starting(&mut self, seen: &Seen, base: f64) -> Option<Decision> {
        let chance = 2.0 / seen.calls.sqrt();
        let chance_of_base = (1.0 + 2.0 / self.started_with.max(1.0).sqrt()).min(2.0);
        let is_slower = seen.time * (1.0 - chance) > 1.2 * base * chance_of_base
            || seen.is_censored && seen.time > 1.5 * base
            || seen.calls >= 10.0 && seen.time > 3.0 * base;
        if is_slower {
            self.phase = Phase::Usual;
            return None;
        }
        let known = self.started_with.min(200.0);
        self.base = Some((base * known + seen.time * seen.calls) / (known + seen.calls));
        self.started_with += seen.calls;
        seen.is_full
            .then(|| self.decision(2.0 * seen.limit + 1.0, "starting", "starting, not slower yet: doubled"))
    }

    /// Nobody is refused.
    fn keep_distance(&mut self, seen: &Seen, base: f64) -> Decision {
        // More than that is a load that rises, and says nothing about a call that does not queue.
        if seen.time < 1.3 * base {
            self.base = Some(base + 0.2 * (seen.time - base));
        }
        let slower = if seen.is_censored { f64::INFINITY } else { seen.time / base };
        // A few calls may come at once however rare they are.
        let distance = match slower {
            slower if slower <= 1.5 => (2.0 * seen.peak).max(seen.peak + A_FEW),
            slower if slower <= 3.0 => seen.peak + A_FEW,
            _ => 0.0,
        };
        let wanted = seen.limit.max(distance);
        let limit = wanted.min(4.0 * self.peak + 10.0).min(self.ceiling.limit().max(seen.limit));
        let why = if limit > seen.limit {
            "nobody refused: grew to twice the most in flight"
        } else if limit < seen.limit {
            "nobody refused: shrank to four times the most in flight"
        } else {
            "nobody refused: stays"
        };
        because(limit, "nobody refused", why)
    }

    /// The limit is filled.
    fn follow(&mut self, seen: &Seen, base: f64, idle: f64) -> Decision {
        let ceiling = self.breakdown.learn(seen, seen.time > 3.0 * base && idle <= 0.0);
        if let Some(ceiling) = ceiling.filter(|_| self.has(AutoPart::Breakdown)) {
            self.ceiling = ceiling;
        }
        let slope = self.knee.learn(seen.in_flight, seen.rate).filter(|_| self.has(AutoPart::Knee));
        self.learn_part(slope);
        let base = if seen.time < base { base + 0.2 * (seen.time - base) } else { base };
        self.base = Some(base);
        let slower = seen.time / base;
        let running = seen.limit / slower.max(1.0);
        if self.first_dip_due && seen.limit >= 4.0 {
            return self.dip(seen, (FIRST_DIP * seen.limit).floor(), "a first look at fewer in flight");
        }
        if let Phase::Ramping = self.phase {
            if slower <= 1.25 {
                let why = "slow, but not by our queue: doubled";
                return self.decision(GROWS_TO * seen.limit + 1.0, "not our queue", why);
            }
            self.phase = Phase::Usual;
        }
        let (target, cause, why) = self.target(seen, running, slower, idle, slope);
        if self.is_not_our_queue(seen, slower) {
            let why = "fewer in flight are no faster: it is not our queue";
            return because(seen.limit, "not our queue", why);
        }
        if self.wants_dip(seen, slower) {
            let limit = (DIP * running).floor().clamp(0.2 * seen.limit, DIP * seen.limit);
            return self.dip(seen, limit, "a look at fewer in flight");
        }
        let step = match target {
            target if target > seen.limit => 1.0,
            target if target < FAR * seen.limit => LARGE_STEP,
            _ => STEP,
        };
        let limit = seen.limit + step * (target - seen.limit);
        self.decision(limit.clamp(SHRINKS_TO * seen.limit, GROWS_TO * seen.limit + 1.0), cause, why)
    }

    /// Where the limit should be, and why.
    fn target(
        &mut self,
        seen: &Seen,
        running: f64,
        slower: f64,
        idle: f64,
        slope: Option<Slope>,
    ) -> (f64, &'static str, String) {
        let room = self.part * ((1.0 + ROOM) * running + ROOM_BY_ROOT * running.sqrt());
        let mut target = room;
        let mut cause = if target > seen.limit { "room" } else { "a queue" };
        let mut why = format!("calls take {slower:.1} times their base time");
        if self.idle > IDLE && self.has(AutoPart::Idle) && !slope.is_some_and(Slope::falls) {
            self.part = (1.05 * self.part).min(1.0);
            let wanted = if idle > 0.0 {
                GROWS * seen.limit + 1.0
            } else if self.idle > OFTEN_IDLE {
                seen.limit
            } else {
                room
            };
            if wanted > target {
                target = wanted;
                cause = "idle at times";
                why = format!("idle {:.0} % of the time while some are refused", 100.0 * self.idle);
            }
        } else if self.part < 1.0 {
            cause = "a knee";
            why = format!("fewer in flight get more done, and {why}");
        }
        if let Some(time_max) = self.time_max.filter(|time_max| seen.time > *time_max) {
            target = target.min(seen.limit * time_max / seen.time);
            cause = "too slow";
            why = format!("calls take {:.0} ms, longer than they may", 1000.0 * seen.time);
        }
        (target, cause, why)
    }

    fn learn_part(&mut self, slope: Option<Slope>) {
        match slope {
            Some(slope) if slope.falls() => self.part = (0.93 * self.part).max(0.3),
            Some(slope) if slope.rises() => self.part = (1.03 * self.part).min(1.0),
            _ => (),
        }
    }

    /// Whether half as many in flight took as long: then that is the base time, and the limit doubles.
    fn is_not_our_queue(&mut self, seen: &Seen, slower: f64) -> bool {
        let (in_flight, time) = (seen.in_flight, seen.time);
        if slower < 1.2 || !self.has(AutoPart::NotOurs) {
            self.queue = None;
            return false;
        }
        let Some((most, their_time)) = self.queue.filter(|(most, _)| in_flight <= *most) else {
            self.queue = Some((in_flight, time));
            return false;
        };
        if most / in_flight < 2.0 || slower <= 1.3 {
            return false;
        }
        // 1 is a queue of ours, 0 is not.
        let ours = (their_time / time).ln() / (most / in_flight).ln();
        if ours >= 0.25 || self.time_max.is_some_and(|time_max| time > time_max) {
            self.queue = Some((in_flight, time));
            return false;
        }
        self.queue = None;
        self.base = Some(time);
        self.gap = GAP;
        self.next_dip = seen.now + GAP;
        self.ceiling = Ceiling::none();
        self.breakdown.forget();
        self.phase = Phase::Ramping;
        true
    }

    fn wants_dip(&self, seen: &Seen, slower: f64) -> bool {
        let has_dips = self.has(AutoPart::Dips) && !seen.is_censored;
        has_dips && slower > 1.2 && slower <= 3.0 && self.idle < IDLE && seen.now >= self.next_dip
    }

    fn dip(&mut self, seen: &Seen, limit: f64, why: &'static str) -> Decision {
        let Seen { time, in_flight, limit: before, now, .. } = *seen;
        self.phase = Phase::Dipping(Dip { time, in_flight, limit: before, to: limit, began: now });
        because(limit, "a dip", why)
    }

    /// With fewer in flight, calls took as long as seen now.
    fn end_dip(&mut self, seen: &Seen, dip: Dip, base: f64) -> Decision {
        self.phase = Phase::Usual;
        let time = seen.time;
        // 0: they are no faster, so it is not our queue; 1: they are faster by as much as they are fewer.
        let fell = (dip.time - time) / (dip.time * (1.0 - (seen.in_flight / dip.in_flight).min(0.99)));
        let (is_less, is_more) = (time < 0.75 * base, time > 1.4 * base);
        let moved = is_less || is_more && fell < 0.4;
        let base = if moved { time } else { 0.5 * (base + time) };
        self.base = Some(base);
        let has_changed = is_less || is_more || self.first_dip_due;
        self.first_dip_due = false;
        self.gap = if has_changed { GAP } else { (2.0 * self.gap).min(GAP_MAX) };
        let lasted = (seen.now - dip.began).min(3.0);
        self.next_dip = seen.now + self.gap.max(if has_changed { 4.0 } else { 20.0 } * lasted);
        let running = dip.limit * (base / dip.time).min(1.0);
        let target = self.part * ((1.0 + ROOM) * running + ROOM_BY_ROOT * running.sqrt());
        let why = format!(
            "with fewer in flight calls take {:.1} ms: the base time {}",
            1000.0 * time,
            if moved { "has changed" } else { "is confirmed" }
        );
        self.decision(target.clamp(0.5 * dip.limit, GROWS_TO * dip.limit), "a dip", why)
    }

    fn end_phase(&mut self) {
        if !matches!(self.phase, Phase::Starting) {
            self.phase = Phase::Usual;
        }
    }

    /// Kept below the ceiling.
    fn decision(&self, limit: f64, cause: &'static str, why: impl Into<Cow<'static, str>>) -> Decision {
        let (ceiling, why) = (self.ceiling.limit(), why.into());
        if limit > ceiling {
            return because(ceiling, "a ceiling", format!("{why}, but kept below where it went wrong"));
        }
        because(limit, cause, why)
    }
}

fn because(limit: f64, cause: &'static str, why: impl Into<Cow<'static, str>>) -> Decision {
    Decision { limit, cause, why: why.into() }
}
