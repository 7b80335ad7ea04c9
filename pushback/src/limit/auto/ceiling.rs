//! A ceiling over the limit, where it once went wrong.

/// What the limit is kept below for a while, after the service said that it was too much, or broke down under it.
#[derive(Debug)]
pub(super) struct Ceiling {
    limit: f64,
    /// Until when it was last raised.
    raised: f64,
    /// Until when it stays.
    quiet_until: f64,
}

/// How fast it rises at first, a second; twice as fast with each second, but not faster than the other.
const RISES: f64 = 0.05;
const RISES_MAX: f64 = 2.0;

impl Ceiling {
    pub(super) fn none() -> Self {
        Ceiling { limit: f64::INFINITY, raised: 0.0, quiet_until: 0.0 }
    }

    pub(super) fn put(limit: f64, now: f64, quiet: f64) -> Self {
        Ceiling { limit: limit.max(1.0), raised: now, quiet_until: now + quiet }
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    pub(super) fn rise(&mut self, now: f64) {
        let quick = now - self.quiet_until;
        if quick > 0.0 && self.limit.is_finite() {
            let rate = (RISES * quick.exp2()).min(RISES_MAX);
            self.limit *= 1.0 + rate * (now - self.raised);
        }
        self.raised = now;
    }
}

/// Finds out when a service broke down: more in flight than once got much done, and now much less is done.
#[derive(Debug)]
pub(super) struct Breakdown {
    rate: f64,
    best: Option<Best>,
    /// When it last happened, and with how many in flight it had been well before.
    last: f64,
    level: f64,
    quiet: f64,
}

#[derive(Debug, Clone, Copy)]
struct Best {
    rate: f64,
    in_flight: f64,
}

/// Less than this part of the best is a breakdown.
const BROKEN: f64 = 0.6;
/// The ceiling is put so far below the level at which it was well.
const BELOW: f64 = 0.85;
/// How long it stays there: at first, and at most, for it doubles when the same happens again within a minute.
const QUIET: f64 = 3.0;
const QUIET_MAX: f64 = 60.0;
const MINUTE: f64 = 60.0;

impl Breakdown {
    pub(super) fn none() -> Self {
        Breakdown { rate: 0.0, best: None, last: f64::NEG_INFINITY, level: 1.0, quiet: QUIET }
    }

    /// The best was under conditions that are no more.
    pub(super) fn forget(&mut self) {
        self.best = None;
    }

    /// A cohort that filled the limit; a ceiling, if it shows a breakdown. `is_slow` if calls take much longer than they might.
    pub(super) fn learn(&mut self, seen: &super::Seen, is_slow: bool) -> Option<Ceiling> {
        let best = self.best.get_or_insert(Best { rate: 0.0, in_flight: seen.in_flight });
        best.rate *= 1.0 - (seen.lasted / MINUTE).min(1.0);
        if seen.in_flight < 0.9 * seen.limit {
            return None;
        }
        self.rate += 0.7 * (seen.rate - self.rate);
        if self.rate > best.rate {
            *best = Best { rate: self.rate, in_flight: seen.in_flight };
        }
        let is_broken = self.rate.max(seen.rate) < BROKEN * best.rate;
        let is_more = seen.in_flight > 0.8 * best.in_flight && seen.in_flight >= 3.0;
        if !(is_slow && is_broken && is_more && seen.now - self.last > QUIET) {
            return None;
        }
        let level = best.in_flight.min(seen.limit);
        let again = (level / self.level).ln().abs() < 0.3 && seen.now < self.last + self.quiet + MINUTE;
        *self = Breakdown {
            rate: self.rate,
            best: None,
            last: seen.now,
            level,
            quiet: if again { (2.0 * self.quiet).min(QUIET_MAX) } else { QUIET },
        };
        Some(Ceiling::put(BELOW * level, seen.now, self.quiet))
    }
}
