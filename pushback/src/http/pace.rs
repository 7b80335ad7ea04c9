//! When a refused caller should come back.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    dice,
    gauge::PressureGauge,
    sync::{AtomicU64, Ordering},
};

/// How old the counts must be before they are compared again: over less, they say little.
const WINDOW: Duration = Duration::from_secs(1);
/// The bounds of the wait that is asked for, before the random factor.
const SECONDS_MIN: u64 = 1;
const SECONDS_MAX: u64 = 60;

/// The pace at which a gauge refuses and completes, looked at by refusals themselves, at most once a second.
#[derive(Debug)]
pub(super) struct Pace {
    seen: Mutex<Option<Counts>>,
    /// What the last comparison came to, in seconds; refusals in between use it.
    seconds: AtomicU64,
    dice: AtomicU64,
}

/// How long to stay away, in the units that answers can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// For `Retry-After`, which knows whole seconds only.
    pub(super) seconds: u64,
    /// For `grpc-retry-pushback-ms`.
    pub(super) milliseconds: u64,
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    at: Instant,
    refused: u64,
    /// How many calls were admitted: where calls are refused, one is admitted when another has completed.
    admitted: u64,
}

impl Pace {
    pub(super) fn new(seed: Option<u64>) -> Self {
        let seed = seed.unwrap_or_else(dice::any_seed);
        Pace { seen: Mutex::new(None), seconds: AtomicU64::new(SECONDS_MIN), dice: AtomicU64::new(seed) }
    }

    /// How long a caller refused now should stay away.
    pub(super) fn wait(&self, gauge: &PressureGauge) -> Wait {
        // Whoever does not get the lock uses what is known; one look a second is enough.
        if let Ok(mut seen) = self.seen.try_lock() {
            let now = gauge.now();
            if seen.is_none_or(|seen| now.saturating_duration_since(seen.at) >= WINDOW) {
                let counts = Counts::of(gauge, now);
                let seconds = seen.map_or(Some(SECONDS_MIN), |before| counts.seconds_since(before));
                // Where nothing has completed yet, it is looked at again later.
                if let Some(seconds) = seconds {
                    self.seconds.store(seconds, Ordering::Relaxed);
                    *seen = Some(counts);
                }
            }
        }
        let base = Duration::from_secs(self.seconds.load(Ordering::Relaxed));
        Wait::rounded(base.mul_f64(1.0 + 0.5 * self.roll()), self.roll())
    }

    /// The next random number, 0 to 1.
    fn roll(&self) -> f64 {
        dice::number(self.dice.fetch_add(dice::STEP, Ordering::Relaxed).wrapping_add(dice::STEP))
    }
}

impl Wait {
    /// What is left over of a second is rounded up or down by chance, so that the mean stays what it is and callers do
    /// not all come back on the same second. `roll` is 0 to 1.
    fn rounded(exact: Duration, roll: f64) -> Self {
        let up = roll < f64::from(exact.subsec_nanos()) / 1e9;
        let milliseconds = u64::try_from(exact.as_millis()).unwrap_or(u64::MAX);
        Wait { seconds: exact.as_secs() + u64::from(up), milliseconds }
    }
}

impl Counts {
    fn of(gauge: &PressureGauge, at: Instant) -> Self {
        let snapshot = gauge.snapshot();
        Counts { at, refused: snapshot.refused.total(), admitted: snapshot.admitted }
    }

    /// How many seconds' worth of work was refused for each second's worth that was done; `None` if it is too early to say,
    /// because work that takes longer than a second has not completed yet.
    fn seconds_since(self, before: Counts) -> Option<u64> {
        let refused = self.refused.saturating_sub(before.refused);
        match self.admitted.saturating_sub(before.admitted) {
            0 if refused == 0 => Some(SECONDS_MIN),
            0 if self.at.saturating_duration_since(before.at) < Duration::from_secs(SECONDS_MAX) => None,
            0 => Some(SECONDS_MAX),
            completed => Some(refused.div_ceil(completed).clamp(SECONDS_MIN, SECONDS_MAX)),
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn the_wait_is_what_was_refused_over_what_was_completed() {
        let at = ManualClock::new().now();
        let counts = |at, refused, admitted| Counts { at, refused, admitted };
        for (refused, completed, seconds) in
            [(0, 0, 1), (0, 9, 1), (5, 10, 1), (10, 10, 1), (11, 10, 2), (400, 10, 40), (999, 10, 60)]
        {
            let before = counts(at, 100, 100);
            let after = counts(at + WINDOW, 100 + refused, 100 + completed);
            assert_eq!(
                after.seconds_since(before),
                Some(seconds),
                "{refused} refused, {completed} completed"
            );
        }
        let stuck =
            |seconds| counts(at + Duration::from_secs(seconds), 101, 100).seconds_since(counts(at, 100, 100));
        assert_eq!(
            (stuck(1), stuck(59), stuck(60)),
            (None, None, Some(60)),
            "long work is no standstill at first"
        );
    }

    #[test]
    fn the_random_factor_is_between_one_and_one_and_a_half_and_repeats_with_its_seed() {
        let rolls = |seed| {
            let pace = Pace::new(Some(seed));
            (0..1_000).map(|_| pace.roll()).collect::<Vec<_>>()
        };
        assert_eq!(rolls(1), rolls(1));
        assert_ne!(rolls(1), rolls(2));
        let mean = rolls(1).iter().sum::<f64>() / 1_000.0;
        assert!(rolls(1).iter().all(|roll| (0.0..1.0).contains(roll)) && (mean - 0.5).abs() < 0.05, "{mean}");
    }

    #[test]
    fn seconds_are_rounded_by_chance_and_milliseconds_are_exact() {
        let exact = Duration::from_millis(1_250);
        assert_eq!(Wait::rounded(exact, 0.249), Wait { seconds: 2, milliseconds: 1_250 });
        assert_eq!(Wait::rounded(exact, 0.250), Wait { seconds: 1, milliseconds: 1_250 });
        assert_eq!(Wait::rounded(Duration::from_secs(60), 0.0).seconds, 60);
    }

    #[test]
    fn the_pace_is_looked_at_once_a_second() {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
        let pace = Pace::new(Some(7));
        let base = |pace: &Pace| {
            pace.wait(&gauge);
            pace.seconds.load(Ordering::Relaxed)
        };
        assert_eq!(base(&pace), 1, "nothing is known yet");
        let held = gauge.try_acquire().unwrap();
        for _ in 0..30 {
            assert!(gauge.try_acquire().is_err());
        }
        drop(held);
        clock.advance(Duration::from_millis(999));
        assert_eq!(base(&pace), 1);
        clock.advance(Duration::from_millis(1));
        assert_eq!(base(&pace), 30);
        clock.advance(WINDOW);
        assert_eq!(base(&pace), 1, "nothing was refused since");
    }
}
