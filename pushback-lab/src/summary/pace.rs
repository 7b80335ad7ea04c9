//! How an open loop kept its schedule.

use std::time::Duration;

use serde::Serialize;

use super::Times;
use crate::load::{Call, Open, Run};

/// The lag that is nobody's fault: waking a thread and handing a request over.
const LAG_LEAST: Duration = Duration::from_millis(1);

/// How an open loop kept its schedule.
#[derive(Debug, Clone, Serialize)]
pub struct Pace {
    /// How requests came.
    pub arrivals: String,
    /// How many a second on average.
    pub rate: f64,
    /// Which schedule of this kind.
    pub seed: u64,
    /// For how many seconds they came.
    pub duration: f64,
    /// How many a second this schedule had.
    pub offered_per_second: f64,
    /// How many a second were handed to the client.
    pub sent_per_second: f64,
    /// How late they were.
    pub lag: Times,
    /// The highest lag of 99 of a hundred with which a run is valid: 1 ms, or a hundredth of the latency wanted.
    pub lag_max_ms: f64,
}

impl Pace {
    pub(super) fn of(open: &Open, run: &Run, slo: Option<Duration>) -> Self {
        let window = run.window();
        let lags: Vec<Duration> = run.calls.iter().filter_map(|call| call.lag).collect();
        let handed_over = |call: &Call| call.lag.map(|lag| call.start + lag);
        let last = run.calls.iter().filter_map(handed_over).max().unwrap_or_default();
        let due = open.moments().take_while(|moment| *moment < window).count();
        let lag = Times::of(&lags);
        let lag_max = slo.map_or(LAG_LEAST, |slo| LAG_LEAST.max(slo / 100));
        Pace {
            arrivals: open.arrivals.to_string(),
            rate: open.rate,
            seed: open.seed,
            duration: open.duration.as_secs_f64(),
            offered_per_second: super::rate(due as u64, window),
            sent_per_second: super::rate(lags.len() as u64, window.max(last)),
            lag,
            lag_max_ms: lag_max.as_secs_f64() * 1000.0,
        }
    }

    /// Why the run is not what it was meant to be, if its own lag is to blame.
    pub(super) fn why_invalid(&self) -> Option<String> {
        let (lag, allowed) = (self.lag.p99_ms, self.lag_max_ms);
        (lag > allowed)
            .then(|| format!("requests were sent late, with a lag of p99 {lag:.2} ms where {allowed:.2} ms are allowed: lower --rate, or use a quieter machine"))
    }
}
