//! Additive increase, multiplicative decrease.

use std::{ops::RangeInclusive, time::Duration};

use super::{Controller, Decision, Limit, Sample, Start, Totals, Window, checked};
use crate::settings::BuildError;

/// Grows by one place while it is used, and shrinks to nine tenths when a call is overloaded or
/// takes longer than a timeout.
///
/// For each [`Window`]:
///
/// ```text
/// overloaded, or mean time > timeout:  L ← ⌊0.9 · L⌋
/// 2 · in flight ≥ L:                   L ← L + 1
/// ```
///
/// Source: `AIMDLimit` of Netflix/concurrency-limits: 20 to 200 places, 20 at first, a timeout of 5
/// s; after Chiu and Jain, "Analysis of the increase and decrease algorithms", 1989.
///
/// It goes wrong where a service gets slow before it fails. Below the timeout it does not look at
/// the time, so the limit grows to its bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Aimd {
    initial: u32,
    bounds: RangeInclusive<u32>,
    timeout: Duration,
}

impl Aimd {
    /// Netflix' own settings.
    pub fn new() -> Self {
        Aimd { initial: 20, bounds: 20..=200, timeout: Duration::from_secs(5) }
    }

    /// The first limit, within its bounds. Default: 20.
    pub fn initial(self, initial: u32) -> Self {
        Aimd { initial, ..self }
    }

    /// The bounds within which the limit is kept, from 1 on. Default: 20 to 200.
    pub fn bounds(self, bounds: RangeInclusive<u32>) -> Self {
        Aimd { bounds, ..self }
    }

    /// The mean time from which on calls count as overloaded. Default: 5 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Aimd { timeout, ..self }
    }
}

impl Default for Aimd {
    fn default() -> Self {
        Aimd::new()
    }
}

impl Limit for Aimd {
    fn start(&self) -> Result<Start, BuildError> {
        let limit = checked(self.initial, &self.bounds)?;
        let running = Running { settings: self.clone(), window: Window::default() };
        Ok(Start::moving(limit, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Aimd,
    window: Window,
}

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let seen = self.window.observe(sample)?;
        if seen.is_overloaded || seen.mean > self.settings.timeout.as_secs_f64() {
            Some(Decision::new((limit * 0.9).floor(), "overloaded: shrank"))
        } else if 2.0 * f64::from(seen.in_flight) >= limit {
            Some(Decision::new(limit + 1.0, "used and not overloaded: grew"))
        } else {
            None
        }
    }

    fn measure_anew(&mut self, _now: Duration, _totals: Totals) {
        self.window = Window::default();
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.settings.bounds.clone()
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::{limit::testing::Bench, outcome::Outcome};

    #[test]
    fn it_grows_by_one_while_half_of_it_is_used() {
        let mut bench = Bench::new(&Aimd::new());
        assert_eq!(bench.window(0.010, 10), 21.0);
        assert_eq!(bench.window(0.010, 10), 21.0, "less than half");
        assert_eq!(bench.window(0.010, 11), 22.0);
    }

    #[test]
    fn it_shrinks_to_nine_tenths_when_a_call_is_overloaded_or_too_slow() {
        let mut bench = Bench::new(&Aimd::new().initial(30));
        assert_eq!(bench.window_with(Outcome::Overload, 0.010, 30), 27.0);
        assert_eq!(bench.window(5.1, 27), 24.0, "24.3, whole");
        bench.window(5.1, 27);
        assert_eq!(bench.window(5.1, 27), 20.0, "not below its bound");
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, key) in [(Aimd::new().initial(10), "initial"), (Aimd::new().bounds(0..=7), "bounds")] {
            assert_eq!(settings.start().unwrap_err().key(), key);
        }
    }
}
