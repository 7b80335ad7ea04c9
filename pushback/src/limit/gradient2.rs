//! Gradient2: the short time against the long.

use std::{ops::RangeInclusive, time::Duration};

use super::{Controller, Decision, Limit, Sample, Start, Totals, Window, checked};
use crate::settings::BuildError;

/// Compares the mean time of a window with its average over some hundred windows, and shrinks when
/// it is half as long again.
///
/// For each [`Window`] of mean time `short`:
///
/// ```text
/// long ← average of about 600 windows; ← 0.95 · long if it is twice the short
/// 2 · in flight < L:   L
/// g = clamp(1.5 · long / short, 0.5, 1)
/// L ← 0.8 · L + 0.2 · (g · L + 4)
/// ```
///
/// Source: `Gradient2Limit` of Netflix/concurrency-limits: 20 to 200 places, 20 at first.
/// Overloaded calls count like others there.
///
/// It goes wrong under lasting overload. The long average learns the queue, so the limit grows
/// without end, e-fold in about ten minutes.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient2 {
    initial: u32,
    bounds: RangeInclusive<u32>,
}

impl Gradient2 {
    /// Netflix' own settings.
    pub fn new() -> Self {
        Gradient2 { initial: 20, bounds: 20..=200 }
    }

    /// The first limit, within its bounds. Default: 20.
    pub fn initial(self, initial: u32) -> Self {
        Gradient2 { initial, ..self }
    }

    /// The bounds within which the limit is kept, from 1 on. Default: 20 to 200.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Gradient2 { bounds, ..self }
    }
}

impl Default for Gradient2 {
    fn default() -> Self {
        Gradient2::new()
    }
}

impl Limit for Gradient2 {
    fn start(&self) -> Result<Start, BuildError> {
        let limit = checked(self.initial, &self.bounds)?;
        let running = Running { settings: self.clone(), window: Window::default(), long: Average::default() };
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Gradient2,
    window: Window,
    long: Average,
}

const TOLERANCE: f64 = 1.5;
const SMOOTHING: f64 = 0.2;
const QUEUE: f64 = 4.0;

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let seen = self.window.observe(sample)?;
        let short = seen.mean;
        self.long.take_in(short);
        if self.long.value / short > 2.0 {
            self.long.value *= 0.95;
        }
        if 2.0 * f64::from(seen.in_flight) < limit {
            return None;
        }
        let gradient = (TOLERANCE * self.long.value / short).clamp(0.5, 1.0);
        let next = (1.0 - SMOOTHING) * limit + SMOOTHING * (gradient * limit + QUEUE);
        let why =
            if next > limit { "not much slower than for long: grew" } else { "slower than for long: shrank" };
        Some(Decision::new(next, why))
    }

    fn measure_anew(&mut self, _now: Duration, _totals: Totals) {
        self.window = Window::default();
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

/// An average over about 600 windows that begins as the plain mean of ten.
#[derive(Debug, Default)]
struct Average {
    value: f64,
    sum: f64,
    windows: u32,
}

impl Average {
    fn take_in(&mut self, time: f64) {
        const WINDOWS: f64 = 600.0;
        const FIRST: u32 = 10;
        if self.windows < FIRST {
            self.windows += 1;
            self.sum += time;
            self.value = self.sum / f64::from(self.windows);
        } else {
            let weight = 2.0 / (WINDOWS + 1.0);
            self.value = self.value * (1.0 - weight) + time * weight;
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::{limit::testing::Bench, outcome::Outcome};

    fn close(measured: f64, exact: f64) {
        assert!((measured - exact).abs() < 1e-6, "{measured} instead of {exact}");
    }

    #[test]
    fn it_grows_by_a_fifth_of_four_while_nothing_is_slower_and_half_is_used() {
        let mut bench = Bench::new(&Gradient2::new());
        close(bench.window(0.010, 10), 20.8);
        close(bench.window(0.010, 10), 20.8);
        close(bench.window_with(Outcome::Overload, 0.010, 20), 21.6);
    }

    #[test]
    fn it_shrinks_by_how_much_slower_the_window_is_than_the_long_average() {
        let mut bench = Bench::new(&Gradient2::new().initial(100));
        for _ in 0..9 {
            bench.window(0.010, 1);
        }
        // long = (9 · 10 + 40) / 10 = 13 ms, g = 1.5 · 13 / 40 = 0.4875, which is less than a half: 80 + 0.2 · 54.
        close(bench.window(0.040, 100), 90.8);
        // long = 13 · 599 / 601 + 20 · 2 / 601, g = 1.5 · long / 20.
        let long = (13.0 * 599.0 + 20.0 * 2.0) / 601.0;
        close(bench.window(0.020, 100), 0.8 * 90.8 + 0.2 * (1.5 * long / 20.0 * 90.8 + 4.0));
    }

    #[test]
    fn a_long_average_of_twice_the_short_falls_by_a_twentieth() {
        let mut bench = Bench::new(&Gradient2::new().initial(100));
        for _ in 0..10 {
            bench.window(0.100, 1);
        }
        let mut long = 100.0;
        // It must fall below twice the short, and then g decides again.
        for _ in 0..3 {
            long = (long * 599.0 + 40.0 * 2.0) / 601.0 * 0.95;
            bench.window(0.040, 1);
        }
        let long = (long * 599.0 + 150.0 * 2.0) / 601.0;
        close(bench.window(0.150, 100), 80.0 + 0.2 * (1.5 * long / 150.0 * 100.0 + 4.0));
    }
}
