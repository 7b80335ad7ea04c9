//! Envoy's adaptive concurrency: a gradient against a baseline that is measured at a pinned limit.

use std::{ops::RangeInclusive, time::Duration};

use pushback::{
    BuildError, Outcome,
    limit::{Controller, Decision, Limit, Sample, Start},
};

use super::{dice::Dice, times::Times};

/// Compares a percentile of the times of 100 ms with a baseline, which is measured now and then with hardly anybody in flight.
///
/// Every 100 ms in which calls ended, with `sample` their median:
///
/// ```text
/// g = clamp(1.25 · minRTT / sample, 0.5, 2)
/// L ← clamp(⌊g · L + √(g · L)⌋, 3, 1000)
/// ```
///
/// At the beginning, every 60 to 69 s, and after five updates at the minimum, L is pinned to 3 until 50 calls that began since
/// have ended; minRTT is their median, and L goes back to where it was.
///
/// Source: `gradient_controller.cc` of envoyproxy/envoy, with the example settings of its documentation. Envoy looks at its
/// timers when they fire, and this when a call ends; calls that were cancelled are not samples.
///
/// It goes wrong where a pin to 3 refuses most of a healthy load, and where nobody tests the limit: idle, it drifts to its
/// maximum.
#[derive(Debug, Clone)]
pub struct Envoy {
    initial: u32,
    bounds: RangeInclusive<u32>,
    is_pinned: bool,
    seed: u64,
}

impl Envoy {
    /// The settings of Envoy's documentation.
    pub fn new() -> Self {
        Envoy { initial: 3, bounds: 3..=1000, is_pinned: true, seed: 0 }
    }

    /// Where the limit goes after the first baseline; Envoy itself begins at the minimum.
    pub fn initial(self, initial: u32) -> Self {
        Envoy { initial, ..self }
    }

    /// Within which bounds the limit is kept; the lower is also what it is pinned to.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Envoy { bounds, ..self }
    }

    /// Takes the baseline from the traffic as it is, as Envoy does since 2026 when told to: nobody is refused for it, and under
    /// load it is that of the load.
    pub fn unpinned(self) -> Self {
        Envoy { is_pinned: false, ..self }
    }

    /// Makes the jitter repeat.
    pub fn seed(self, seed: u64) -> Self {
        Envoy { seed, ..self }
    }
}

impl Default for Envoy {
    fn default() -> Self {
        Envoy::new()
    }
}

impl Limit for Envoy {
    fn start(&self) -> Result<Start, BuildError> {
        let initial = self.initial.clamp(*self.bounds.start(), *self.bounds.end());
        let limit = if self.is_pinned { *self.bounds.start() } else { initial };
        let running = Running {
            settings: self.clone(),
            dice: Dice::new(self.seed),
            times: Times::default(),
            baseline: 0.0,
            at_minimum: 0,
            next_update: Duration::ZERO,
            next_probe: Duration::ZERO,
            probe: Some(Probe { limit: f64::from(initial) }),
            epoch: Duration::ZERO,
        };
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Envoy,
    dice: Dice,
    times: Times,
    /// minRTT, in seconds.
    baseline: f64,
    /// How many updates in a row left it at the minimum.
    at_minimum: u32,
    next_update: Duration,
    next_probe: Duration,
    probe: Option<Probe>,
    /// Calls that began before the last probe did are not looked at.
    epoch: Duration,
}

/// A baseline is being measured; the limit comes back afterwards.
#[derive(Debug)]
struct Probe {
    limit: f64,
}

const UPDATE: Duration = Duration::from_millis(100);
const PROBE: Duration = Duration::from_secs(60);
const PROBE_JITTER: f64 = 0.15;
const PROBE_CALLS: usize = 50;
const PERCENTILE: f64 = 0.5;
const BUFFER: f64 = 1.25;
const AT_MINIMUM_MAX: u32 = 5;

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let now = sample.ended;
        if self.probe.is_none() && now >= self.next_probe {
            return self.begin_probe(now, limit);
        }
        let mut decision = None;
        if self.probe.is_none() && now >= self.next_update {
            decision = self.update(now, limit);
        }
        if sample.outcome != Outcome::Cancelled && sample.began >= self.epoch {
            self.times.add(sample.time().as_secs_f64());
        }
        if self.probe.is_some() && self.times.len() >= PROBE_CALLS {
            return self.end_probe(now);
        }
        decision
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

impl Running {
    fn minimum(&self) -> f64 {
        f64::from(*self.settings.bounds.start())
    }

    fn begin_probe(&mut self, now: Duration, limit: f64) -> Option<Decision> {
        self.probe = Some(Probe { limit });
        self.epoch = now;
        self.times.clear();
        self.settings.is_pinned.then(|| Decision::new(self.minimum(), "pinned to measure the baseline"))
    }

    fn end_probe(&mut self, now: Duration) -> Option<Decision> {
        self.baseline = self.times.take_quantile(PERCENTILE)?;
        self.next_probe = now + PROBE.mul_f64(1.0 + PROBE_JITTER * self.dice.roll());
        self.next_update = now + UPDATE;
        self.at_minimum = 0;
        let Probe { limit } = self.probe.take()?;
        self.settings.is_pinned.then(|| Decision::new(limit, "the baseline is measured"))
    }

    fn update(&mut self, now: Duration, limit: f64) -> Option<Decision> {
        self.next_update = now + UPDATE;
        let sample = self.times.take_quantile(PERCENTILE)?;
        let gradient = (BUFFER * self.baseline / sample).clamp(0.5, 2.0);
        let scaled = gradient * limit;
        let maximum = f64::from(*self.settings.bounds.end());
        let next = (scaled + scaled.sqrt()).floor().clamp(self.minimum(), maximum);
        let stays_at_minimum = limit == self.minimum() && next == self.minimum();
        self.at_minimum = if stays_at_minimum { self.at_minimum + 1 } else { 0 };
        if self.at_minimum >= AT_MINIMUM_MAX {
            return self.begin_probe(now, limit);
        }
        Some(Decision::new(
            next,
            if next > limit { "as quick as the baseline: grew" } else { "slower than the baseline: shrank" },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::testing::Bench;

    fn measured(settings: &Envoy) -> Bench {
        let mut bench = Bench::new(settings);
        for _ in 0..50 {
            bench.call(0.0, 0.100, 3);
        }
        bench
    }

    #[test]
    fn it_begins_pinned_and_goes_to_its_first_limit_when_the_baseline_is_measured() {
        let mut bench = Bench::new(&Envoy::new().initial(40));
        assert_eq!(bench.limit(), 3.0);
        for _ in 0..49 {
            assert_eq!(bench.call(0.0, 0.100, 3), 3.0);
        }
        assert_eq!(bench.call(0.0, 0.100, 3), 40.0);
    }

    #[test]
    fn the_limit_follows_the_gradient_and_the_root() {
        // g = 1.25 · 100 / 100: 50 + √50 = 57.07.
        let mut bench = measured(&Envoy::new().initial(40));
        bench.call(0.05, 0.100, 40);
        assert_eq!(bench.call(0.101, 0.100, 40), 57.0);
        // g = 1.25 · 100 / 200 = 0.625: 35.6 + 5.97 = 41.6. The call that lets it look belongs to the next window.
        bench.call(0.05, 0.200, 40);
        bench.call(0.01, 0.200, 40);
        bench.call(0.001, 0.200, 40);
        assert_eq!(bench.call(0.101, 0.200, 40), 41.0);
    }

    #[test]
    fn the_gradient_is_clamped() {
        let mut slow = measured(&Envoy::new().initial(100));
        slow.call(0.01, 10.0, 100);
        assert_eq!(slow.call(0.1, 10.0, 100), 57.0, "50 + √50");
        let mut quick = measured(&Envoy::new().initial(100));
        quick.call(0.01, 0.001, 100);
        assert_eq!(quick.call(0.1, 0.001, 100), 214.0, "200 + √200");
    }

    #[test]
    fn while_nothing_gets_slower_it_grows_to_its_maximum_though_nobody_uses_it() {
        let mut bench = measured(&Envoy::new().initial(40));
        for _ in 0..100 {
            bench.call(0.101, 0.100, 1);
        }
        assert_eq!(bench.limit(), 1000.0);
    }

    #[test]
    fn every_minute_or_a_little_more_it_is_pinned_and_old_calls_do_not_count() {
        let mut bench = measured(&Envoy::new().initial(40).seed(3));
        let mut seconds = 0.0;
        while bench.limit() > 3.0 {
            bench.call(0.5, 0.100, 1);
            seconds += 0.5;
        }
        assert!((60.0..=69.5).contains(&seconds), "{seconds}");
        for _ in 0..60 {
            assert_eq!(bench.call(0.0, 0.300, 3), 3.0, "these began before");
        }
        for _ in 0..49 {
            bench.call(0.3, 0.300, 3);
        }
        assert!(bench.call(0.3, 0.300, 3) > 3.0);
    }

    #[test]
    fn five_updates_at_the_minimum_measure_the_baseline_anew() {
        let mut bench = measured(&Envoy::new().initial(3));
        for _ in 0..6 {
            bench.call(0.101, 0.900, 3);
        }
        // From here on 50 calls are measured, of which none moves the limit.
        for _ in 0..50 {
            assert_eq!(bench.call(0.901, 0.900, 3), 3.0);
        }
        bench.call(0.05, 0.900, 3);
        assert_eq!(bench.call(0.101, 0.900, 3), 5.0, "as quick as the new baseline: 3.75 + √3.75");
    }

    #[test]
    fn unpinned_it_measures_at_the_limit_in_force() {
        let mut bench = Bench::new(&Envoy::new().initial(40).unpinned());
        for _ in 0..50 {
            assert_eq!(bench.call(0.0, 0.100, 40), 40.0);
        }
        bench.call(0.05, 0.100, 40);
        assert_eq!(bench.call(0.101, 0.100, 40), 57.0);
    }
}
