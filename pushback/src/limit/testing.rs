//! Calls for the tests of controllers.

use std::time::Duration;

use super::{Controller, Limit, Sample};
use crate::outcome::Outcome;

/// A success that began then, in seconds, and took so long.
pub(super) fn sample(began: f64, time: f64, in_flight: u32) -> Sample {
    let began = Duration::from_secs_f64(began);
    let ended = began + Duration::from_secs_f64(time);
    Sample { in_flight, ..Sample::new(began, ended) }
}

/// Late enough for a first call that took long.
const BEGIN: f64 = 100.0;

/// A controller, and the gauge that does what it says.
pub(super) struct Bench {
    controller: Box<dyn Controller>,
    limit: f64,
    now: f64,
}

impl Bench {
    pub(super) fn new(settings: &dyn Limit) -> Self {
        let start = settings.start().unwrap();
        Bench { controller: start.controller.unwrap(), limit: f64::from(start.limit), now: BEGIN }
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// A call that ends now, and the limit after it.
    pub(super) fn call(&mut self, time: f64, in_flight: u32) -> f64 {
        self.call_with(Outcome::Success, time, in_flight)
    }

    pub(super) fn call_with(&mut self, outcome: Outcome, time: f64, in_flight: u32) -> f64 {
        let sample = Sample { outcome, ..sample(self.now - time, time, in_flight) };
        if let Some(decision) = self.controller.observe(&sample, self.limit) {
            let bounds = self.controller.bounds();
            self.limit = decision.limit.clamp(f64::from(*bounds.start()), f64::from(*bounds.end()));
        }
        self.limit
    }

    /// Ten calls, the last of which closes a window of one second, and the limit after them.
    pub(super) fn window(&mut self, time: f64, in_flight: u32) -> f64 {
        self.window_with(Outcome::Success, time, in_flight)
    }

    pub(super) fn window_with(&mut self, outcome: Outcome, time: f64, in_flight: u32) -> f64 {
        // The very first window ends with its first call, and is thrown away.
        if self.now == BEGIN {
            self.call(time, in_flight);
        }
        for _ in 0..9 {
            self.call_with(outcome, time, in_flight);
        }
        self.now += 1.001;
        self.call_with(outcome, time, in_flight)
    }
}
