//! failsafe-go's adaptive limiter: Vegas on a smoothed percentile, with a look at how throughput follows the load.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use pushback::{
    BuildError, Outcome,
    limit::{Controller, Decision, Limit, Sample, Start},
};

use super::times::Times;

/// Estimates the queue as Vegas does, from a smoothed 90th percentile against its own longer average, and shrinks as well when
/// more in flight brought no more throughput.
///
/// For each window of at least 50 calls and a second (or twice the least time, to 30 s), with `r` the average over 5 windows of
/// the median of 5 windows' 90th percentiles, `b` the average of `r` over 10 windows, and `step` one for each hundred of L:
///
/// ```text
/// q = ⌈L · (1 − b / r)⌉
/// shrinks by step: q > 6 step; or the gauge is full, and throughput falls with the calls in flight, or hardly follows or varies
///                  while the time does follow
/// grows by step:   q < 3 step
/// ```
///
/// Throughput is the most in flight by `r` there; what follows what is a correlation over 50 windows. L is kept below five times the
/// most in flight.
///
/// Source: failsafe-go 0.9.7, `adaptivelimiter`: 1 to 200 places, 20 at first; after Uber's Cinnamon. Its t-digest is an exact
/// percentile here, and the gauge is full when a call of the window filled the limit.
///
/// It goes wrong at a cold start, for it adds one place a second at most.
#[derive(Debug, Clone)]
pub struct Failsafe {
    initial: u32,
    bounds: RangeInclusive<u32>,
}

impl Failsafe {
    /// failsafe-go's own settings.
    pub fn new() -> Self {
        Failsafe { initial: 20, bounds: 1..=200 }
    }

    /// Where the limit begins.
    pub fn initial(self, initial: u32) -> Self {
        Failsafe { initial, ..self }
    }

    /// Within which bounds the limit is kept.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Failsafe { bounds, ..self }
    }
}

impl Default for Failsafe {
    fn default() -> Self {
        Failsafe::new()
    }
}

impl Limit for Failsafe {
    fn start(&self) -> Result<Start, BuildError> {
        let running = Running {
            settings: self.clone(),
            window: Window::default(),
            percentiles: VecDeque::new(),
            recent: Average::over(5),
            baseline: Average::over(10),
            history: History::default(),
        };
        Ok(Start::moving(self.initial, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Failsafe,
    window: Window,
    percentiles: VecDeque<f64>,
    recent: Average,
    baseline: Average,
    history: History,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Duration>,
    times: Times,
    least: f64,
    in_flight: u32,
}

const CALLS_MIN: usize = 50;
const PERCENTILE: f64 = 0.9;
const MEDIAN_OF: usize = 5;
const IN_FLIGHT_FACTOR: f64 = 5.0;

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        // Calls that were dropped give no sample.
        if sample.outcome != Outcome::Success {
            return None;
        }
        if !self.window.take_in(sample) {
            return None;
        }
        let mut window = std::mem::take(&mut self.window);
        let in_flight = f64::from(window.in_flight);
        let recent = self.smooth(window.times.take_quantile(PERCENTILE)?);
        let baseline = self.baseline.take_in(recent);
        let (throughput, time, varies) = self.history.take_in(in_flight, in_flight / recent, recent);
        let step = (limit / 100.0).floor() + 1.0;
        let queued = (limit * (1.0 - baseline / recent)).ceil();
        let is_full = in_flight >= limit.floor();
        let shrinks = if queued > 6.0 * step {
            Some("a queue: shrank")
        } else if is_full && throughput < 0.0 {
            Some("more in flight, less done: shrank")
        } else if is_full && throughput < 0.3 && time > 0.5 {
            Some("more in flight, slower and hardly more done: shrank")
        } else if is_full && varies < 0.2 && time > 0.5 {
            Some("more in flight, slower and as much done: shrank")
        } else {
            None
        };
        let (next, why) = match shrinks {
            Some(why) => (limit - step, why),
            None if queued < 3.0 * step => (limit + step, "hardly a queue: grew"),
            None => (limit, "as it should be"),
        };
        let cap = in_flight * IN_FLIGHT_FACTOR;
        // Whoever is above the cap already comes down by steps.
        let next = if limit > cap { limit - step } else { next.min(cap) };
        (next != limit).then(|| Decision::new(next.max(1.0), why))
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

impl Running {
    fn smooth(&mut self, percentile: f64) -> f64 {
        self.percentiles.push_back(percentile);
        if self.percentiles.len() > MEDIAN_OF {
            self.percentiles.pop_front();
        }
        let mut sorted: Vec<f64> = self.percentiles.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        self.recent.take_in(sorted[sorted.len() / 2])
    }
}

impl Window {
    /// Takes in a call; says whether it is the last of its window.
    fn take_in(&mut self, sample: &Sample) -> bool {
        let began = *self.began.get_or_insert(sample.ended);
        let time = sample.time().as_secs_f64();
        self.least = if self.times.len() == 0 { time } else { self.least.min(time) };
        self.times.add(time);
        self.in_flight = self.in_flight.max(sample.in_flight);
        let lasts = Duration::from_secs_f64((2.0 * self.least).clamp(1.0, 30.0));
        self.times.len() >= CALLS_MIN && sample.ended.saturating_sub(began) >= lasts
    }
}

/// An exponential average that begins as the plain mean of ten.
#[derive(Debug)]
struct Average {
    weight: f64,
    value: f64,
    count: u32,
}

impl Average {
    fn over(age: u32) -> Self {
        Average { weight: 2.0 / f64::from(age + 1), value: 0.0, count: 0 }
    }

    fn take_in(&mut self, value: f64) -> f64 {
        const FIRST: u32 = 10;
        let weight = if self.count < FIRST {
            self.count += 1;
            1.0 / f64::from(self.count)
        } else {
            self.weight
        };
        self.value += weight * (value - self.value);
        self.value
    }
}

/// The last fifty windows: in flight, throughput and time.
#[derive(Debug, Default)]
struct History(VecDeque<[f64; 3]>);

impl History {
    /// How throughput and how time follow the calls in flight, and how much throughput varies.
    fn take_in(&mut self, in_flight: f64, throughput: f64, time: f64) -> (f64, f64, f64) {
        const WINDOWS: usize = 50;
        self.0.push_back([in_flight, throughput, time]);
        if self.0.len() > WINDOWS {
            self.0.pop_front();
        }
        (self.correlation(1), self.correlation(2), self.variation(1))
    }

    fn moments(&self, which: usize) -> (f64, f64) {
        let count = self.0.len() as f64;
        let mean = self.0.iter().map(|row| row[which]).sum::<f64>() / count;
        let variance = self.0.iter().map(|row| (row[which] - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    /// The standard deviation by the mean.
    fn variation(&self, which: usize) -> f64 {
        let (mean, deviation) = self.moments(which);
        if mean > 0.0 { deviation / mean } else { 0.0 }
    }

    /// Pearson's; 0 where there is too little to tell.
    fn correlation(&self, which: usize) -> f64 {
        if self.0.len() < 10 || self.variation(0) < 0.01 || self.variation(which) < 0.01 {
            return 0.0;
        }
        let ((a, deviation_a), (b, deviation_b)) = (self.moments(0), self.moments(which));
        let count = self.0.len() as f64;
        let common = self.0.iter().map(|row| (row[0] - a) * (row[which] - b)).sum::<f64>() / count;
        common / (deviation_a * deviation_b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::testing::Bench;

    /// A window of 51 calls in a second, and the limit after it.
    fn window(bench: &mut Bench, time: f64, in_flight: u32) -> f64 {
        bench.call(0.01, time, in_flight);
        for _ in 0..50 {
            bench.call(0.02, time, in_flight);
        }
        bench.limit()
    }

    #[test]
    fn it_adds_one_place_a_window_while_nothing_queues() {
        let mut bench = Bench::new(&Failsafe::new());
        assert_eq!(window(&mut bench, 0.010, 10), 21.0);
        assert_eq!(window(&mut bench, 0.010, 10), 22.0);
    }

    #[test]
    fn the_step_is_one_more_for_each_hundred() {
        let mut bench = Bench::new(&Failsafe::new().initial(150));
        assert_eq!(window(&mut bench, 0.010, 100), 152.0);
    }

    #[test]
    fn a_queue_takes_it_down_once_the_median_has_seen_it() {
        let mut bench = Bench::new(&Failsafe::new().initial(100));
        for _ in 0..12 {
            window(&mut bench, 0.010, 99);
        }
        let high = bench.limit();
        (0..2).for_each(|_| drop(window(&mut bench, 0.030, 99).to_string()));
        assert!(bench.limit() >= high, "two windows of five are outliers");
        (0..3).for_each(|_| drop(window(&mut bench, 0.030, 99).to_string()));
        assert!(bench.limit() < high, "{}", bench.limit());
    }

    #[test]
    fn it_is_kept_below_five_times_the_most_in_flight() {
        let mut bench = Bench::new(&Failsafe::new());
        for _ in 0..30 {
            window(&mut bench, 0.010, 5);
        }
        assert_eq!(bench.limit(), 25.0);
        window(&mut bench, 0.010, 1);
        assert_eq!(bench.limit(), 24.0, "by steps");
    }

    #[test]
    fn what_follows_what_is_a_correlation() {
        let mut history = History::default();
        for n in 1..=10 {
            let n = f64::from(n);
            history.take_in(n, 100.0 - n, 2.0 * n);
        }
        assert!((history.correlation(1) + 1.0).abs() < 1e-9 && (history.correlation(2) - 1.0).abs() < 1e-9);
        assert!((history.variation(2) - history.variation(0)).abs() < 1e-9);
    }
}
