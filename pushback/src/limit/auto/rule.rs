//! From what a cohort says to the next limit.

mod base_time;
mod chance;

use std::borrow::Cow;

use self::{
    base_time::{Dip, GAP, Level, Start},
    chance::{Chance, Verdict},
};
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
/// Above this part of places that calls keep which wait for their client, the limit does not grow.
const KEPT: f64 = 0.1;
/// For how long the ceiling stays there, in seconds.
const QUIET: f64 = 1.0;
/// Callers who give up are a sign only where calls take so many times as long as one that does not queue.
const SLOW: f64 = 1.5;
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
/// Not where calls take so many times their base time: past a knee, a service is idle at times and slow.
const TOO_SLOW: f64 = 2.5;
/// If it is known how long callers wait, that is the bound: this part of it.
const OF_PATIENCE: f64 = 0.5;
/// Above this, a limit that is too high now may be right in a moment.
const OFTEN_IDLE: f64 = 0.1;
/// Over how long that is averaged, in seconds.
const IDLE_OVER: f64 = 4.0;
/// The limit grows by this then.
const GROWS: f64 = 1.25;

/// What the rule was told, times in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) time_max: Option<f64>,
    pub(super) patience: Option<f64>,
    pub(super) without: Option<AutoPart>,
}

/// The state of the rule.
#[derive(Debug)]
pub(super) struct Rule {
    known: Known,
    /// How long callers wait, as far as their calls say.
    told: Option<f64>,
    /// The time of a call that does not queue, in seconds, and whether it was measured where nothing queues.
    base: Option<f64>,
    is_base_sure: bool,
    phase: Phase,
    start: Start,
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
    /// With the most in flight since calls queue.
    queue: Option<Level>,
    /// What was taken for the base time because fewer were no faster, until it is seen that more are no slower.
    taken_for_base: Option<Level>,
    /// Calls a second while the service is well.
    rate: f64,
    /// Since when nothing is done.
    stands_still: Option<f64>,
    chance: Chance,
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

impl Rule {
    pub(super) fn new(known: Known, starts: bool) -> Self {
        let has = |part| known.without != Some(part);
        Rule {
            known,
            told: None,
            base: None,
            is_base_sure: false,
            phase: if starts && has(AutoPart::Start) { Phase::Starting } else { Phase::Usual },
            start: Start::new(),
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
            taken_for_base: None,
            rate: 0.0,
            stands_still: None,
            chance: Chance::default(),
        }
    }

    fn has(&self, part: AutoPart) -> bool {
        self.known.without != Some(part)
    }

    /// How long callers wait before they give up: what the settings say, or what calls do.
    fn patience(&self) -> Option<f64> {
        self.known.patience.or(self.told)
    }

    /// How long callers may wait on average. Where they wait for less than a call takes, fewer in flight would help none of them.
    fn longest(&self) -> Option<f64> {
        let least = SLOW * self.base.unwrap_or(0.0);
        let by_patience = self.patience().map(|patience| (OF_PATIENCE * patience).max(least));
        [self.known.time_max, by_patience].into_iter().flatten().min_by(f64::total_cmp)
    }

    /// The time of a call that does not queue, in seconds, if that is known.
    pub(super) fn base(&self) -> Option<f64> {
        self.base
    }

    /// Whether the limit is lower for a moment, to see what fewer in flight do.
    pub(super) fn is_looking(&self) -> bool {
        matches!(self.phase, Phase::Dipping(_)) || self.chance.is_looking()
    }

    /// Whether the most important calls have to be fewer, too.
    pub(super) fn looks_at_all(&self) -> bool {
        match self.phase {
            Phase::Dipping(dip) => dip.is_of_all,
            _ => true,
        }
    }

    /// The load ended in the middle of a look: back to before it.
    pub(super) fn give_up_look(&mut self) -> Option<Decision> {
        if let Phase::Dipping(dip) = self.phase {
            self.phase = Phase::Usual;
            return Some(because(dip.limit, "a dip", GIVEN_UP));
        }
        let limit = self.chance.give_up_look()?;
        self.ceiling = Ceiling::none();
        Some(because(limit, "chance", GIVEN_UP))
    }

    /// An operator has set the limit: what is being measured was of another, and would go back to it.
    pub(super) fn measure_anew(&mut self) {
        self.give_up_look();
        self.chance.give_up_trial();
        self.end_phase();
        self.queue = None;
        self.stands_still = None;
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
        let decision = self.judge(seen, cohort);
        if decision.limit > seen.limit && seen.kept > KEPT * seen.limit {
            let why =
                format!("{:.0} places wait for their clients, so more would not show: stays", seen.kept);
            return because(seen.limit, "clients", why);
        }
        decision
    }

    fn judge(&mut self, seen: &Seen, cohort: &Cohort) -> Decision {
        self.told = seen.told_patience;
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
        if !seen.is_full && !seen.keeps_free {
            return self.keep_distance(seen, base);
        }
        self.follow(seen, base, idle)
    }

    /// What the service says by itself, and callers by giving up.
    fn obey(&mut self, seen: &Seen) -> Option<Decision> {
        // Whoever wants to can leave at any time. It is a sign only where calls, those who left among them, take long; or as long as nobody
        // knows how long a call takes that does not queue.
        let is_slow = !self.is_base_sure || self.base.is_none_or(|base| seen.time > SLOW * base);
        let cancelled = if is_slow { seen.cancelled } else { 0.0 };
        if cancelled < TOO_MUCH {
            self.rate += (seen.lasted / 5.0).min(1.0) * (seen.rate - self.rate);
        }
        if cancelled > STANDS_STILL && self.has(AutoPart::StandStill) {
            return Some(self.stand_still(seen));
        }
        self.stands_still = None;
        // One caller who goes away is no sign, however few calls there are.
        let cancelled = if cancelled * seen.calls < 1.5 { 0.0 } else { cancelled };
        let failed = cancelled + seen.overloaded;
        let verdict = if self.has(AutoPart::Chance) {
            self.chance.learn(seen, failed, TOO_MUCH)
        } else if failed > TOO_MUCH {
            Verdict::TooMuch
        } else {
            Verdict::Well
        };
        match verdict {
            Verdict::Well => None,
            Verdict::TooMuch => {
                self.end_phase();
                self.ceiling = Ceiling::put(BELOW * seen.overloaded_at, seen.now, QUIET);
                let why = format!("{:.0} % overloaded or given up: shrank", 100.0 * failed);
                Some(because(self.ceiling.limit(), "overload", why))
            }
            Verdict::Look(limit) => {
                self.end_phase();
                let why = "as many fail with somewhat fewer in flight: a look at half";
                Some(because(limit, "chance", why))
            }
            Verdict::Chance(limit) => {
                self.ceiling = Ceiling::none();
                let why = "as many fail with fewer in flight, so it is chance: as before";
                Some(because(limit, "chance", why))
            }
        }
    }

    /// Hardly anything is done in time.
    fn stand_still(&mut self, seen: &Seen) -> Decision {
        if let Phase::Starting = self.phase {
            // It was well before it was doubled, so it is our doing.
            self.phase = Phase::Usual;
            self.ceiling = Ceiling::put(0.5 * seen.limit, seen.now, QUIET);
            let why = "callers give up since it was doubled: halved";
            return because(0.5 * seen.limit, "standing still", why);
        }
        self.end_phase();
        let since = *self.stands_still.get_or_insert(seen.now - seen.patience);
        if seen.now - since > HOLDS * seen.patience {
            let why = "callers still give up: halved, for it may be our queue";
            return because(0.5 * seen.limit, "standing still", why);
        }
        let in_time = PATIENCE * self.rate * seen.patience;
        if PATIENCE * seen.limit > in_time {
            // However well the service is, so many wait longer than they are willing to.
            let why = "callers give up, for so many are not done in time: fewer let in";
            return because((0.5 * seen.limit).max(in_time), "standing still", why);
        }
        let limit = seen.limit.max(in_time.min(GROWS_TO * seen.limit));
        because(limit, "standing still", "callers give up and nothing is done: held for when it is back")
    }

    /// Nobody is refused.
    fn keep_distance(&mut self, seen: &Seen, base: f64) -> Decision {
        self.is_base_sure = true;
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
        let limit = wanted.min(4.0 * self.peak + 10.0 + seen.kept).min(self.ceiling.limit().max(seen.limit));
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
        let running = (Level::filled(seen) / slower.max(1.0)).max(1.0);
        if self.first_dip_due && seen.limit >= 4.0 && Level::is_filled(seen) {
            return self.first_dip(seen);
        }
        if let Phase::Ramping = self.phase {
            if let Some(decision) = self.go_on_ramping(seen, slower) {
                return decision;
            }
        }
        let (target, cause, why) = self.target(seen, running, slower, idle, slope);
        let why = format!("{why}; {}: aims at {target:.0}", belief(running, base));
        if self.is_not_our_queue(seen, slower) {
            let why = "fewer in flight are no faster: it is not our queue";
            return because(seen.limit, "not our queue", why);
        }
        if self.wants_dip(seen, slower) {
            return self.usual_dip(seen, running);
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
        // What is kept for more important calls is beside what the others may queue in.
        let kept_free = if seen.keeps_free { (seen.limit - seen.in_flight).max(0.0) } else { 0.0 };
        let room = self.part * ((1.0 + ROOM) * running + ROOM_BY_ROOT * running.sqrt()) + kept_free;
        let mut target = room;
        let mut cause = if target > seen.limit { "room" } else { "a queue" };
        let mut why = format!("calls take {slower:.1} times as long as without a queue");
        if self.idle > IDLE && seen.is_full && self.has(AutoPart::Idle) && !slope.is_some_and(Slope::falls) {
            self.part = (1.05 * self.part).min(1.0);
            let may_queue = match self.patience() {
                Some(patience) => seen.answered < OF_PATIENCE * patience,
                None => slower < TOO_SLOW,
            };
            let wanted = if idle > 0.0 && may_queue {
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
        if let Some(time_max) = self.longest().filter(|longest| seen.answered > *longest) {
            target = target.min(seen.limit * time_max / seen.answered);
            cause = "too slow";
            why = format!("callers wait {:.0} ms, longer than they may", 1000.0 * seen.answered);
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

/// What the rule goes by, for an operator: how many run at once, by how long a call takes that does not queue.
fn belief(running: f64, base: f64) -> String {
    let (rate, time) = (running / base, 1000.0 * base);
    format!(
        "about {running:.0} are worked on at once ({rate:.0} a second, {time:.1} ms each without a queue)"
    )
}

const GIVEN_UP: &str = "the load ended in a look at fewer in flight: as before";

fn because(limit: f64, cause: &'static str, why: impl Into<Cow<'static, str>>) -> Decision {
    Decision::with_cause(limit, cause, why)
}
