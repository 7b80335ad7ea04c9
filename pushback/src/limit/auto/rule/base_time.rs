//! How the rule comes to know the time of a call that does not queue: at the start, by dips, and where fewer are no faster.

use super::{AutoPart, Ceiling, GROWS_TO, IDLE, Phase, ROOM, ROOM_BY_ROOT, Rule, Seen, because};
use crate::limit::Decision;

/// A dip goes to this part of the calls that run; the first to this part of the limit.
const DIP: f64 = 0.8;
const FIRST_DIP: f64 = 0.25;
/// Where the base time is not sure, and at least this part of what was done before is still done in a dip, there is still a
/// queue, and it goes on to this part of that.
const STILL_FULL: f64 = 0.75;
const DEEPER: f64 = 0.5;
/// More than this part of those before are no fewer.
const FEWER: f64 = 0.9;
/// From one dip to the next, in seconds: at first, and at most, for it doubles while nothing has changed.
pub(super) const GAP: f64 = 1.0;
const GAP_MAX: f64 = 30.0;
/// At the start, a round that does so many times as much as the one before shows that the one before did not queue, if it has as
/// many calls; and one of many calls that does not, though it has so many times as many in flight, that it queues itself.
const MORE: f64 = 1.4;
const CALLS: f64 = 10.0;
const MANY_CALLS: f64 = 12.0;
const MORE_IN_FLIGHT: f64 = 1.5;
/// Where fewer than this part of the places were taken on average, they were being filled.
const FILLED: f64 = 0.85;
/// After so many rounds in which nobody was refused, a service has long begun.
const CALM_ROUNDS: u32 = 20;
/// The base is taken from no round that took longer than this.
const NO_SLOWER: f64 = 1.3;
/// Below the first, a queue is not ours; above the second, what was taken for the base time was a queue of ours.
const NOT_OURS: f64 = 0.25;
const OURS: f64 = 0.5;

/// So many in flight took so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    in_flight: f64,
    time: f64,
}

impl Level {
    fn of(seen: &Seen) -> Self {
        Level { in_flight: seen.in_flight, time: seen.time }
    }

    /// How many were in flight while this was measured: all places, unless they were being filled.
    pub(super) fn filled(seen: &Seen) -> f64 {
        if Level::is_filled(seen) { seen.limit } else { seen.in_flight }
    }

    /// Whether nearly all places were taken all the time, and not only by a few calls that came at once.
    pub(super) fn is_filled(seen: &Seen) -> bool {
        seen.in_flight >= FILLED * seen.limit
    }

    /// Calls a second.
    fn rate(self) -> f64 {
        self.in_flight / self.time
    }

    /// How the time follows the calls in flight between two levels: 1 is a queue of ours, 0 is not.
    fn ours(self, other: Level) -> f64 {
        (self.time / other.time).ln() / (self.in_flight / other.in_flight).ln()
    }
}

/// What the start has seen.
#[derive(Debug)]
pub(super) struct Start {
    /// From how many calls the base was taken, and by what part it may be off by chance.
    calls: f64,
    error: f64,
    /// The last round, if there was one.
    last: Option<Level>,
    /// In how many rounds nobody was refused.
    calm: u32,
}

impl Start {
    pub(super) fn new() -> Self {
        Start { calls: 0.0, error: 1.0, last: None, calm: 0 }
    }
}

/// What was before a dip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dip {
    level: Level,
    pub(super) limit: f64,
    /// How many were in flight before it.
    filled: f64,
    /// The limit of the dip itself.
    pub(super) to: f64,
    /// Whether the most important calls are fewer, too.
    pub(super) is_of_all: bool,
    began: f64,
}

impl Rule {
    /// Doubles, unless calls get slower beyond chance, or the last doubling got hardly more done.
    pub(super) fn go_on_starting(&mut self, seen: &Seen, base: f64) -> Option<Decision> {
        let chance = seen.error;
        let chance_of_base = (1.0 + self.start.error).min(2.0);
        let level = Level::of(seen);
        let last = self.start.last.filter(|_| seen.calls >= CALLS);
        let does_more = last.is_some_and(|last| level.rate() > MORE * last.rate());
        let queues = !does_more
            && self.start.calls >= CALLS
            && seen.calls >= MANY_CALLS
            && last.is_some_and(|last| level.in_flight > MORE_IN_FLIGHT * last.in_flight);
        let is_slower = queues
            || seen.time * (1.0 - chance) > 1.2 * base * chance_of_base
            || seen.is_censored && seen.time > 1.5 * base * chance_of_base
            || seen.calls >= CALLS && seen.time > 3.0 * base;
        if is_slower {
            self.phase = Phase::Usual;
            return None;
        }
        let known = self.start.calls.min(200.0);
        // What took much longer than the rounds before may have queued.
        if known < CALLS || seen.time < NO_SLOWER * base {
            self.base = Some((base * known + seen.time * seen.calls) / (known + seen.calls));
        }
        self.is_base_sure |= does_more;
        let all = known + seen.calls;
        let error = ((known * self.start.error).powi(2) + (seen.calls * seen.error).powi(2)).sqrt() / all;
        let calm = self.start.calm + u32::from(!seen.is_full);
        self.start = Start { calls: self.start.calls + seen.calls, error, last: Some(level), calm };
        if calm >= CALM_ROUNDS {
            self.phase = Phase::Usual;
        }
        seen.is_full
            .then(|| self.decision(2.0 * seen.limit + 1.0, "starting", "starting, not slower yet: doubled"))
    }

    /// Whether half as many in flight took as long: then that is the base time, and the limit doubles.
    pub(super) fn is_not_our_queue(&mut self, seen: &Seen, slower: f64) -> bool {
        let level = Level::of(seen);
        if slower < 1.2 || !self.has(AutoPart::NotOurs) {
            self.queue = None;
            return false;
        }
        let Some(most) = self.queue.filter(|most| level.in_flight <= most.in_flight) else {
            self.queue = Some(level);
            return false;
        };
        if most.in_flight / level.in_flight < 2.0 || slower <= 1.3 {
            return false;
        }
        if most.ours(level) >= NOT_OURS || self.longest().is_some_and(|longest| seen.answered > longest) {
            self.queue = Some(level);
            return false;
        }
        self.queue = None;
        self.base = Some(level.time);
        self.is_base_sure = false;
        self.taken_for_base = Some(level);
        self.gap = GAP;
        self.next_dip = seen.now + GAP;
        self.ceiling = Ceiling::none();
        self.breakdown.forget();
        self.phase = Phase::Ramping;
        true
    }

    /// Doubles, unless calls queue. If they do so at once, they did before.
    pub(super) fn go_on_ramping(&mut self, seen: &Seen, slower: f64) -> Option<Decision> {
        let has_more = |taken: &Level| seen.in_flight > 1.3 * taken.in_flight;
        if slower <= 1.25 {
            self.taken_for_base = self.taken_for_base.filter(|taken| !has_more(taken));
            let why = "slow, but not by our queue: doubled";
            return Some(self.decision(GROWS_TO * seen.limit + 1.0, "not our queue", why));
        }
        self.phase = Phase::Usual;
        let taken = self.taken_for_base.take().filter(has_more)?;
        if Level::of(seen).ours(taken) <= OURS || taken.in_flight < 4.0 {
            return None;
        }
        self.is_base_sure = false;
        Some(self.dip(seen, (0.5 * taken.in_flight).floor(), "it was our queue: a look at fewer in flight"))
    }

    pub(super) fn wants_dip(&self, seen: &Seen, slower: f64) -> bool {
        let has_dips = self.has(AutoPart::Dips) && !seen.is_censored;
        has_dips && slower > 1.2 && slower <= 3.0 && self.idle < IDLE && seen.now >= self.next_dip
    }

    pub(super) fn first_dip(&mut self, seen: &Seen) -> Decision {
        let why = "a first look at fewer in flight, to see how long calls take without a queue";
        self.dip(seen, (FIRST_DIP * seen.limit).floor(), why)
    }

    pub(super) fn usual_dip(&mut self, seen: &Seen, running: f64) -> Decision {
        let limit = (DIP * running).floor().clamp(0.3 * seen.limit, DIP * seen.limit);
        self.dip(seen, limit, "a look at fewer in flight, to see how long calls take without a queue")
    }

    fn dip(&mut self, seen: &Seen, limit: f64, why: &'static str) -> Decision {
        let dip = Dip {
            level: Level::of(seen),
            limit: seen.limit,
            filled: Level::filled(seen),
            to: limit,
            is_of_all: false,
            began: seen.now,
        };
        self.phase = Phase::Dipping(dip);
        because(limit, "a dip", why)
    }

    /// With fewer in flight, calls took as long as seen now.
    pub(super) fn end_dip(&mut self, seen: &Seen, dip: Dip, base: f64) -> Decision {
        if !dip.is_of_all && seen.in_flight > FEWER * dip.level.in_flight {
            self.phase = Phase::Dipping(Dip { is_of_all: true, ..dip });
            let why = "the less important calls alone are too few for a look: a look at fewer of all";
            return because(dip.to, "a dip", why);
        }
        if let Some(deeper) = self.deeper(seen, dip) {
            return deeper;
        }
        self.is_base_sure = true;
        self.phase = Phase::Usual;
        let (time, before) = (seen.time, dip.level.time);
        // 0: they are no faster, so it is not our queue; 1: they are faster by as much as they are fewer.
        let fell = (before - time) / (before * (1.0 - (seen.in_flight / dip.level.in_flight).min(0.99)));
        let (is_less, is_more) = (time < 0.75 * base, time > 1.4 * base);
        let moved = is_less || is_more && fell < 0.4;
        let base = if moved { time } else { 0.5 * (base + time) };
        self.base = Some(base);
        let has_changed = is_less || is_more || self.first_dip_due;
        self.first_dip_due = false;
        self.gap = if has_changed { GAP } else { (2.0 * self.gap).min(GAP_MAX) };
        let lasted = (seen.now - dip.began).min(3.0);
        self.next_dip = seen.now + self.gap.max(if has_changed { 4.0 } else { 20.0 } * lasted);
        let running = dip.filled * (base / before).min(1.0);
        let target = self.part * ((1.0 + ROOM) * running + ROOM_BY_ROOT * running.sqrt());
        let why = format!(
            "with fewer in flight calls take {:.1} ms, {}: aims at {target:.0}",
            1000.0 * time,
            if moved { "which has changed" } else { "as was known" }
        );
        // After a few steps down, half of where they began may be far too many.
        let least = (0.5 * dip.limit).min(2.0 * seen.limit);
        self.decision(target.clamp(least, GROWS_TO * dip.limit), "a dip", why)
    }

    /// As long as as much is done with fewer, their time is still that of a queue.
    fn deeper(&mut self, seen: &Seen, dip: Dip) -> Option<Decision> {
        let to = (DEEPER * seen.limit).floor();
        let still_queues = Level::of(seen).rate() > STILL_FULL * dip.level.rate();
        if self.is_base_sure || !still_queues || to < 1.0 || seen.is_censored || !seen.is_full {
            return None;
        }
        self.phase = Phase::Dipping(Dip { to, ..dip });
        Some(because(to, "a dip", "fewer in flight still queue: a look at fewer yet"))
    }
}
