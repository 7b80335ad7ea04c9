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
        let now = now.max(self.raised);
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
/// How long it stays there: at first, and at most, for it doubles when the same happens again within a minute. Not if that is below
/// the ceiling: a service that pauses now and then, whatever is in flight, would be left with ever less for ever longer.
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
        let is_soon = seen.now < self.last + self.quiet + MINUTE;
        let quiet = if is_soon && seen.in_flight < BELOW * self.level {
            // It broke down below the ceiling, so not because that was gone too early.
            self.quiet
        } else if is_soon && (level / self.level).ln().abs() < 0.3 {
            (2.0 * self.quiet).min(QUIET_MAX)
        } else {
            QUIET
        };
        *self = Breakdown { rate: self.rate, best: None, last: seen.now, level, quiet };
        Some(Ceiling::put(BELOW * level, seen.now, self.quiet))
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_stays_for_a_while_and_rises_ever_faster() {
        let mut ceiling = Ceiling::put(100.0, 10.0, 2.0);
        ceiling.rise(12.0);
        assert_eq!(ceiling.limit(), 100.0);
        ceiling.rise(13.0);
        // 5 % a second, doubled after a second.
        assert!((ceiling.limit() - 110.0).abs() < 1e-9, "{}", ceiling.limit());
        ceiling.rise(23.0);
        let before = ceiling.limit();
        ceiling.rise(24.0);
        assert!((ceiling.limit() / before - 3.0).abs() < 1e-9, "not faster than 200 % a second");
        assert_eq!(Ceiling::none().limit(), f64::INFINITY);
    }

    fn seen(now: f64, in_flight: f64, rate: f64) -> super::super::Seen {
        super::super::Seen {
            failed_above: 0.0,
            now,
            lasted: 0.2,
            limit: in_flight,
            calls: 50.0,
            time: in_flight / rate,
            is_censored: false,
            answered: in_flight / rate,
            error: 0.1,
            in_flight,
            peak: in_flight,
            kept: 0.0,
            keeps_free: false,
            is_full: true,
            rate,
            overloaded: 0.0,
            cancelled: 0.0,
            overloaded_at: in_flight,
            patience: 0.0,
            told_patience: None,
        }
    }

    /// It is well for a while with so many in flight, and then breaks down with some more.
    fn fall(breakdown: &mut Breakdown, now: &mut f64, in_flight: f64) -> Option<Ceiling> {
        for _ in 0..20 {
            *now += 0.2;
            assert!(breakdown.learn(&seen(*now, in_flight, 500.0), false).is_none());
        }
        (0..5).find_map(|_| {
            *now += 0.2;
            breakdown.learn(&seen(*now, 1.1 * in_flight, 100.0), true)
        })
    }

    #[test]
    fn a_breakdown_puts_a_ceiling_below_where_it_was_well_and_a_second_one_for_twice_as_long() {
        let mut breakdown = Breakdown::none();
        let mut now = 0.0;
        let mut first = fall(&mut breakdown, &mut now, 40.0).unwrap();
        assert_eq!(first.limit(), 0.85 * 40.0);
        first.rise(now + 3.0);
        assert_eq!(first.limit(), 0.85 * 40.0);
        first.rise(now + 3.5);
        assert!(first.limit() > 0.85 * 40.0);
        let mut second = fall(&mut breakdown, &mut now, 40.0).unwrap();
        second.rise(now + 6.0);
        assert_eq!(second.limit(), 0.85 * 40.0);
    }

    #[test]
    fn a_breakdown_below_the_ceiling_puts_another_for_no_longer() {
        let mut breakdown = Breakdown::none();
        let mut now = 0.0;
        fall(&mut breakdown, &mut now, 40.0).unwrap();
        let mut second = fall(&mut breakdown, &mut now, 30.0).unwrap();
        assert_eq!(second.limit(), 0.85 * 30.0);
        second.rise(now + 3.5);
        assert!(second.limit() > 0.85 * 30.0, "it used to stay for twice as long");
    }

    #[test]
    fn less_work_for_fewer_calls_is_no_breakdown() {
        let mut breakdown = Breakdown::none();
        for call in 0..20 {
            breakdown.learn(&seen(f64::from(call), 40.0, 500.0), false);
        }
        let fewer = (20..40).find_map(|call| breakdown.learn(&seen(f64::from(call), 8.0, 100.0), true));
        assert!(fewer.is_none());
    }
}
