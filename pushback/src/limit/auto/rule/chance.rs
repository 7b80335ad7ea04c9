//! Which part of the calls fails however few are in flight: one answer in a hundred that is a 503 by chance, a route that always fails,
//! callers who hang up anyway. That is no sign of too much.
//!
//! Whether fewer in flight fail less is asked and not assumed. Where nobody is refused, chance itself moves how many are in flight: if no more
//! are where calls fail than where they do not, it is not the load. Where the limit is filled, it goes lower, as for any sign; if that does not
//! help, it goes to half, and if as large a part fails there, that part is chance from then on, and the limit comes back.

use super::Seen;

/// Above this part that fails, it is too much to wait for a proof.
const MUCH: f64 = 0.2;
/// By so many standard errors a part is larger than another; and so many calls more, for one that fails is no sign, however few there are.
const PROOF: f64 = 2.0;
const ONE: f64 = 1.5;
/// By so many standard errors more are in flight where calls fail.
const SURE: f64 = 3.0;
/// After so many steps down that did not help, half as many in flight are looked at.
const STEPS: u32 = 3;
const HALF: f64 = 0.5;
/// With at most this part in flight, so many calls say whether fewer fail less.
const FEWER: f64 = 0.6;
const CALLS: f64 = 200.0;
/// If at least this part of what failed before still fails, it is chance.
const STILL: f64 = 0.5;
/// Over how many calls what usually fails is averaged, and what fails by chance, when that becomes less.
const USUAL_OVER: f64 = 200.0;
const CHANCE_OVER: f64 = 1000.0;
/// And it is not more than so many times what was proven.
const MORE: f64 = 1.5;

#[derive(Debug, Default)]
pub(super) struct Chance {
    /// The part that fails by chance, as far as is known.
    part: f64,
    /// The part that was still failing with far fewer in flight.
    proven: f64,
    /// The part that failed lately.
    usual: f64,
    trial: Option<Trial>,
}

/// Whether fewer in flight fail less than what was seen before.
#[derive(Debug, Clone, Copy)]
struct Trial {
    limit: f64,
    in_flight: f64,
    part: f64,
    steps: u32,
    /// Whether half as many are looked at.
    looks: bool,
    /// Calls with far fewer in flight, and how many of them failed.
    calls: f64,
    failed: f64,
}

/// What to make of what failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Well,
    /// It is too much.
    TooMuch,
    /// Whether it is shows at this limit.
    Look(f64),
    /// It was chance: back to this limit.
    Chance(f64),
}

impl Chance {
    /// A cohort, of which this part failed.
    pub(super) fn learn(&mut self, seen: &Seen, failed: f64, too_much: f64) -> Verdict {
        self.usual += (seen.calls / USUAL_OVER).min(1.0) * (failed - self.usual);
        let error = |part: f64| (part * (1.0 - part) / seen.calls.max(1.0)).sqrt();
        let expected = self.part + too_much;
        let by_chance = expected * seen.calls;
        let is_too_much = failed * seen.calls > by_chance + PROOF * by_chance.sqrt() + ONE;
        if !is_too_much {
            let part = self.part + (seen.calls / CHANCE_OVER).min(1.0) * (failed - self.part);
            self.part = part.min(self.proven);
        }
        if let Some(verdict) = self.go_on(seen, failed, is_too_much) {
            return verdict;
        }
        let is_much = failed - PROOF * error(failed) > MUCH;
        let may_be_chance = !seen.is_full && !is_much && seen.failed_above < SURE;
        if !is_too_much || may_be_chance {
            return Verdict::Well;
        }
        let part = self.usual.max(failed - PROOF * error(failed));
        self.trial = Some(Trial {
            limit: seen.limit,
            in_flight: seen.in_flight,
            part,
            steps: 0,
            looks: false,
            calls: 0.0,
            failed: 0.0,
        });
        Verdict::TooMuch
    }

    /// Whether the limit is lower for a moment, to see what fails then.
    pub(super) fn is_looking(&self) -> bool {
        self.trial.is_some_and(|trial| trial.looks)
    }

    /// The load has ended in the middle of such a look. The limit before it.
    pub(super) fn give_up_look(&mut self) -> Option<f64> {
        let trial = self.trial.take_if(|trial| trial.looks)?;
        Some(trial.limit)
    }

    /// The limit is another by now, and the trial would come back to the one before it.
    pub(super) fn give_up_trial(&mut self) {
        self.trial = None;
    }

    /// What a trial says that has begun.
    fn go_on(&mut self, seen: &Seen, failed: f64, is_too_much: bool) -> Option<Verdict> {
        let trial = self.trial.as_mut()?;
        // With one at a time, nothing fails for the others.
        if seen.in_flight <= (FEWER * trial.in_flight).max(1.0) {
            trial.calls += seen.calls;
            trial.failed += failed * seen.calls;
        } else if !is_too_much {
            // Nothing fails beyond chance, so the way down has helped; or it was nothing.
            self.trial = None;
            return None;
        }
        if trial.calls >= CALLS {
            let (still, before) = (trial.failed / trial.calls, *trial);
            self.trial = None;
            if still < STILL * before.part {
                return is_too_much.then_some(Verdict::TooMuch);
            }
            (self.part, self.proven) = (still, MORE * still);
            return Some(Verdict::Chance(before.limit));
        }
        trial.steps += 1;
        trial.looks = trial.steps > STEPS || trial.calls > 0.0;
        Some(if trial.looks { Verdict::Look((HALF * trial.in_flight).max(1.0)) } else { Verdict::TooMuch })
    }
}
