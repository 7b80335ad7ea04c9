//! brpc's automatic limit: the least time multiplied by the most calls a second.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use pushback::{
    BuildError, Outcome,
    limit::{Controller, Decision, Limit, Sample, Start},
};

use super::dice::Dice;

/// Multiplies the least mean time by the most calls a second, and adds some room while calls are hardly slower than that.
///
/// For each window of 100 to 500 calls in at most a second, with `mean` the time of all calls by the number of those that did
/// not fail:
///
/// ```text
/// least ← 0.9 · least + 0.1 · mean, downwards only
/// most  ← the largest rate of 50 windows; downwards by a tenth
/// idle  = ⌈least · most⌉
/// L ← ⌈idle · (2.4 − mean / least)⌉ while mean < 1.4 · least, and else idle; at least 40
/// ```
///
/// Every 25 to 50 s L is halved for 2 s, and the least is measured anew. Not more than one call in 100 µs is looked at.
///
/// Source: `auto_concurrency_limiter.cpp` of apache/brpc in an earlier form. Calls that fail count with their time.
///
/// It goes wrong where the load varies: time and rate come from different windows, and their product from neither.
#[derive(Debug, Clone)]
pub struct Brpc {
    initial: u32,
    bounds: RangeInclusive<u32>,
    seed: u64,
}

impl Brpc {
    /// brpc's own settings.
    pub fn new() -> Self {
        Brpc { initial: 40, bounds: 40..=u32::MAX, seed: 0 }
    }

    /// Where the limit begins.
    pub fn initial(self, initial: u32) -> Self {
        Brpc { initial, ..self }
    }

    /// Within which bounds the limit is kept.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Brpc { bounds, ..self }
    }

    /// Makes the jitter repeat.
    pub fn seed(self, seed: u64) -> Self {
        Brpc { seed, ..self }
    }
}

impl Default for Brpc {
    fn default() -> Self {
        Brpc::new()
    }
}

impl Limit for Brpc {
    fn start(&self) -> Result<Start, BuildError> {
        let limit = self.initial.clamp(*self.bounds.start(), *self.bounds.end());
        let mut running = Running {
            settings: self.clone(),
            dice: Dice::new(self.seed),
            window: Window::default(),
            looked: None,
            least: None,
            most: 0.0,
            rates: VecDeque::new(),
            remeasure: Duration::ZERO,
            halved_until: None,
        };
        running.plan_remeasuring(Duration::ZERO);
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Brpc,
    dice: Dice,
    window: Window,
    /// When a call was last looked at.
    looked: Option<Duration>,
    /// The least mean time, in seconds.
    least: Option<f64>,
    /// The most calls a second.
    most: f64,
    rates: VecDeque<f64>,
    remeasure: Duration,
    halved_until: Option<Duration>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Duration>,
    succeeded: u32,
    failed: u32,
    /// Of all of them, in seconds.
    time: f64,
}

const LOOK_EVERY: Duration = Duration::from_micros(100);
const WINDOW: Duration = Duration::from_secs(1);
const CALLS_MIN: u32 = 100;
const CALLS_MAX: u32 = 500;
const WINDOWS: usize = 50;
const HALVED: Duration = Duration::from_secs(2);

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let now = sample.ended;
        let is_too_soon = self.looked.is_some_and(|looked| now < looked + LOOK_EVERY);
        if is_too_soon || sample.outcome == Outcome::Cancelled {
            return None;
        }
        self.looked = Some(now);
        if let Some(until) = self.halved_until {
            if now < until {
                return None;
            }
            self.halved_until = None;
            self.least = None;
            self.window = Window::default();
            self.plan_remeasuring(now);
        }
        self.window.take_in(sample);
        let lasted = now.saturating_sub(self.window.began.unwrap_or(now));
        let calls = self.window.succeeded + self.window.failed;
        if calls < CALLS_MIN {
            if lasted >= WINDOW {
                self.window = Window::default();
            }
            return None;
        }
        if lasted < WINDOW && calls < CALLS_MAX {
            return None;
        }
        let window = std::mem::take(&mut self.window);
        if window.succeeded == 0 {
            return Some(Decision::new((limit / 2.0).ceil(), "all failed: halved"));
        }
        let mean = window.time / f64::from(window.succeeded);
        self.learn(mean, f64::from(window.succeeded) / lasted.as_secs_f64().max(1e-6));
        if now >= self.remeasure {
            self.halved_until = Some(now + HALVED);
            return Some(Decision::new((limit / 2.0).ceil(), "halved to measure the least time"));
        }
        let least = self.least.unwrap_or(mean);
        let idle = (least * self.most).ceil();
        Some(if mean < 1.4 * least {
            Decision::new((idle * (2.4 - mean / least)).ceil(), "hardly slower than the least: some room")
        } else {
            Decision::new(idle, "slower than the least: no room")
        })
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

impl Running {
    fn learn(&mut self, mean: f64, rate: f64) {
        self.least = Some(match self.least {
            Some(least) if mean < least => 0.9 * least + 0.1 * mean,
            Some(least) => least,
            None => mean,
        });
        self.rates.push_back(rate);
        if self.rates.len() > WINDOWS {
            self.rates.pop_front();
        }
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        self.most = if most > self.most { most } else { 0.9 * self.most + 0.1 * most };
    }

    fn plan_remeasuring(&mut self, now: Duration) {
        self.remeasure = now + Duration::from_secs_f64(25.0 * (1.0 + self.dice.roll()));
    }
}

impl Window {
    fn take_in(&mut self, sample: &Sample) {
        self.began.get_or_insert(sample.ended);
        self.time += sample.time().as_secs_f64();
        if sample.outcome == Outcome::Success {
            self.succeeded += 1;
        } else {
            self.failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::testing::Bench;

    /// A window of 101 calls in a second and a little more, and the limit after it.
    fn window(bench: &mut Bench, time: f64) -> f64 {
        bench.call(0.001, time, 1);
        for _ in 0..99 {
            bench.call(0.01, time, 1);
        }
        bench.call(0.010_001, time, 1)
    }

    fn close(measured: f64, exact: f64) {
        assert!((measured - exact).abs() < 1e-9, "{measured} instead of {exact}");
    }

    #[test]
    fn the_least_time_by_the_most_calls_with_room_while_calls_are_quick() {
        let mut bench = Bench::new(&Brpc::new().bounds(1..=1000));
        // 101 calls a second of 0.5 s: 51 places, 1.4 times that.
        close(window(&mut bench, 0.5), (51.0_f64 * 1.4).ceil());
        // 0.6 s is 1.2 times the least.
        close(window(&mut bench, 0.6), (51.0_f64 * 1.2).ceil());
        close(window(&mut bench, 0.8), 51.0);
    }

    #[test]
    fn the_least_falls_by_a_tenth_of_the_way() {
        let mut bench = Bench::new(&Brpc::new().bounds(1..=1000));
        window(&mut bench, 0.5);
        // least 0.45 + 0.01 = 0.46, 46.46 is 47; mean / least = 0.217.
        close(window(&mut bench, 0.1), (47.0 * (2.4 - 0.1 / 0.46_f64)).ceil());
    }

    #[test]
    fn it_never_goes_below_forty() {
        assert_eq!(window(&mut Bench::new(&Brpc::new()), 0.001), 40.0);
    }

    #[test]
    fn every_25_to_50_seconds_it_is_halved_and_the_least_is_measured_anew() {
        let mut bench = Bench::new(&Brpc::new().initial(100).bounds(1..=1000));
        while window(&mut bench, 0.5) > 50.0 {
            assert!(bench.now() < 51.0, "{}", bench.now());
        }
        assert!(bench.now() > 25.0, "{}", bench.now());
        let halved = bench.limit();
        close(window(&mut bench, 0.8), halved); // for two seconds nothing is looked at
        bench.call(1.1, 0.8, 1);
        // 102 calls in 1.001 s of 0.8 s: 82 places.
        close(window(&mut bench, 0.8), (82.0_f64 * 1.4).ceil());
    }

    #[test]
    fn a_window_in_which_all_failed_halves() {
        let mut bench = Bench::new(&Brpc::new().initial(100).bounds(1..=1000));
        for _ in 0..101 {
            bench.call_with(Outcome::Overload, 0.0101, 0.001, 1);
        }
        assert_eq!(bench.limit(), 50.0);
    }
}
