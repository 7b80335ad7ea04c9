//! Calls for the tests of limits.

use std::time::Duration;

use pushback::{
    Outcome,
    limit::{Controller, Limit, Sample},
};

/// A controller, and a gauge that does what it says.
pub(super) struct Bench {
    controller: Box<dyn Controller>,
    limit: f64,
    now: f64,
}

/// Late enough for a first call that took long.
const BEGIN: f64 = 20.0;

impl Bench {
    pub(super) fn new(settings: &dyn Limit) -> Self {
        let start = settings.start().unwrap();
        Bench { controller: start.controller.unwrap(), limit: f64::from(start.limit), now: BEGIN }
    }

    pub(super) fn limit(&self) -> f64 {
        self.limit
    }

    /// Seconds since the gauge was built.
    pub(super) fn now(&self) -> f64 {
        self.now
    }

    /// A call that ends so many seconds after the last, and the limit after it.
    pub(super) fn call(&mut self, later: f64, time: f64, in_flight: u32) -> f64 {
        self.call_with(Outcome::Success, later, time, in_flight)
    }

    pub(super) fn call_with(&mut self, outcome: Outcome, later: f64, time: f64, in_flight: u32) -> f64 {
        self.now += later;
        let (began, ended) = (Duration::from_secs_f64(self.now - time), Duration::from_secs_f64(self.now));
        let mut sample = Sample::new(began, ended);
        (sample.in_flight, sample.outcome) = (in_flight, outcome);
        if let Some(decision) = self.controller.observe(&sample, self.limit) {
            let bounds = self.controller.bounds();
            self.limit = decision.limit.clamp(f64::from(*bounds.start()), f64::from(*bounds.end()));
        }
        self.limit
    }
}
