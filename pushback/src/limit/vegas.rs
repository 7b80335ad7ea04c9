//! TCP Vegas, by how many calls seem to queue.

use std::ops::RangeInclusive;

use super::{Controller, Decision, Limit, Sample, Start, checked};
use crate::{dice, outcome::Outcome, settings::BuildError};

/// Estimates how many of the calls in flight queue, and keeps that between three and six for each
/// power of ten of the limit.
///
/// For each call that took R, with `lg = max(1, ⌊log10 L⌋)` and R0 the shortest time seen:
///
/// ```text
/// q = ⌈L · (1 − R0 / R)⌉
/// overloaded:          L ← L − lg
/// 2 · in flight < L:   L
/// q ≤ lg:              L ← L + 6 lg
/// q < 3 lg:            L ← L + lg
/// q > 6 lg:            L ← L − lg
/// ```
///
/// After every 15 to 30 calls for each place of the limit, the time of the next call becomes R0,
/// whatever it is.
///
/// Source: `VegasLimit` of Netflix/concurrency-limits, the default of all its limiters: 1 to 1000
/// places, 20 at first, no window; after Brakmo and Peterson, "TCP Vegas", 1995.
///
/// It goes wrong where the times vary: the luckiest call becomes the measure of all, and the limit
/// collapses. Under lasting overload, R0 is taken from a call that queued, and the limit creeps
/// upwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Vegas {
    initial: u32,
    bounds: RangeInclusive<u32>,
    smoothing: f64,
    seed: Option<u64>,
}

impl Vegas {
    /// Netflix' own settings.
    pub fn new() -> Self {
        Vegas { initial: 20, bounds: 1..=1000, smoothing: 1.0, seed: None }
    }

    /// The first limit, within its bounds. Default: 20.
    pub fn initial(self, initial: u32) -> Self {
        Vegas { initial, ..self }
    }

    /// The bounds within which the limit is kept, from 1 on. Default: 1 to 1000.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Vegas { bounds, ..self }
    }

    /// How far the limit goes towards where it should be, above 0 to 1. Default: 1, all the way.
    pub fn smoothing(self, smoothing: f64) -> Self {
        Vegas { smoothing, ..self }
    }

    /// Makes the moments repeat at which it measures anew, for tests and simulations.
    pub fn seed(self, seed: u64) -> Self {
        Vegas { seed: Some(seed), ..self }
    }
}

impl Default for Vegas {
    fn default() -> Self {
        Vegas::new()
    }
}

impl Limit for Vegas {
    fn start(&self) -> Result<Start, BuildError> {
        let limit = checked(self.initial, &self.bounds)?;
        if !(self.smoothing > 0.0 && self.smoothing <= 1.0) {
            return Err(BuildError::new("smoothing", self.smoothing.to_string(), "above 0, to 1"));
        }
        let mut running = Running {
            settings: self.clone(),
            dice: self.seed.unwrap_or_else(dice::any_seed),
            time_min: 0.0,
            calls: 0,
            jitter: 0.0,
        };
        running.roll();
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Vegas,
    dice: u64,
    /// R0 in seconds; 0 before the first call.
    time_min: f64,
    /// Since R0 was last measured anew.
    calls: u32,
    jitter: f64,
}

/// How many calls for each place of the limit there are at most before R0 is measured anew.
const CALLS_BETWEEN_PROBES: f64 = 30.0;

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        if sample.outcome == Outcome::Cancelled {
            return None;
        }
        let time = sample.time().as_secs_f64();
        self.calls = self.calls.saturating_add(1);
        let is_probe = self.jitter * CALLS_BETWEEN_PROBES * limit <= f64::from(self.calls);
        if is_probe {
            self.calls = 0;
            self.roll();
        }
        if is_probe || self.time_min == 0.0 || time < self.time_min {
            self.time_min = time;
            return None;
        }
        let (next, why) = self.next(sample, time, limit)?;
        let bounds = &self.settings.bounds;
        let next = next.clamp(f64::from(*bounds.start()), f64::from(*bounds.end()));
        let smoothing = self.settings.smoothing;
        Some(Decision::new((1.0 - smoothing) * limit + smoothing * next, why))
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

impl Running {
    fn next(&self, sample: &Sample, time: f64, limit: f64) -> Option<(f64, &'static str)> {
        let lg = limit.log10().floor().max(1.0);
        let queued = (limit * (1.0 - self.time_min / time)).ceil();
        if sample.outcome == Outcome::Overload {
            Some((limit - lg, "overloaded: shrank"))
        } else if 2.0 * f64::from(sample.in_flight) < limit {
            None
        } else if queued <= lg {
            Some((limit + 6.0 * lg, "nothing queues: grew fast"))
        } else if queued < 3.0 * lg {
            Some((limit + lg, "little queues: grew"))
        } else if queued > 6.0 * lg {
            Some((limit - lg, "much queues: shrank"))
        } else {
            None
        }
    }

    fn roll(&mut self) {
        self.dice = self.dice.wrapping_add(dice::STEP);
        self.jitter = 0.5 + 0.5 * dice::number(self.dice);
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::limit::testing::Bench;

    fn bench(vegas: &Vegas) -> Bench {
        Bench::new(&vegas.clone().seed(1))
    }

    fn small() -> Vegas {
        Vegas::new().initial(10).bounds(1..=20)
    }

    /// Netflix' own tests of `VegasLimit`.
    #[test]
    fn it_moves_as_the_original_does() {
        let mut up = bench(&small());
        assert_eq!(up.call(0.010, 10), 10.0, "the first sets R0");
        assert_eq!(up.call(0.010, 11), 16.0);
        let mut down = bench(&small());
        down.call(0.010, 10);
        assert_eq!(down.call(0.050, 11), 9.0);
        let mut steady = bench(&small());
        steady.call(0.010, 10);
        assert_eq!(steady.call(0.014, 14), 10.0);
        let mut large = bench(&Vegas::new().initial(10_000).bounds(1..=20_000));
        large.call(10.0, 5000);
        assert_eq!(large.call(10.0, 6000), 10_024.0);
    }

    #[test]
    fn it_stands_while_less_than_half_of_it_is_used_unless_it_is_overloaded() {
        let mut bench = bench(&small());
        bench.call(0.010, 10);
        assert_eq!(bench.call(0.050, 4), 10.0);
        assert_eq!(bench.call_with(Outcome::Overload, 0.010, 4), 9.0);
        assert_eq!(bench.call_with(Outcome::Cancelled, 9.0, 9), 9.0);
    }

    #[test]
    fn smoothing_goes_a_part_of_the_way() {
        let mut bench = bench(&Vegas::new().initial(100).smoothing(0.5));
        bench.call(0.010, 100);
        assert_eq!(bench.call_with(Outcome::Overload, 0.010, 100), 99.0, "half of lg 100, which is 2");
    }

    #[test]
    fn after_15_to_30_calls_for_each_place_the_measure_is_taken_anew_even_from_a_call_that_queued() {
        let mut bench = bench(&small());
        bench.call(0.010, 10);
        // In the middle of the queue that it keeps, so that the limit stands.
        let calls = (1..=300).find(|_| {
            bench.call(0.017, 10);
            // A call as slow as R0 is a call that found no queue.
            bench.limit() > 10.0
        });
        assert!(calls.is_some_and(|calls| (150..=300).contains(&calls)), "{calls:?}");
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, key) in [
            (Vegas::new().initial(0), "initial"),
            (Vegas::new().smoothing(0.0), "smoothing"),
            (Vegas::new().smoothing(f64::NAN), "smoothing"),
        ] {
            assert_eq!(settings.start().unwrap_err().key(), key);
        }
    }
}
