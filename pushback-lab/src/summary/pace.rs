//! How an open loop kept its schedule.

use std::time::Duration;

use serde::Serialize;

use super::Times;
use crate::load::{Call, End, Open, Run};

/// The lag that is nobody's fault: waking a thread and handing a request over.
const LAG_LEAST: Duration = Duration::from_millis(1);

/// How an open loop kept its schedule.
#[derive(Debug, Clone, Serialize)]
pub struct Pace {
    /// Whether the run is what it was meant to be, so that its figures say something about the service.
    pub valid: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid_because: Option<String>,
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
        let invalid_because = why_invalid(run, lag.p99_ms, lag_max.as_secs_f64() * 1000.0);
        Pace {
            valid: invalid_because.is_none(),
            invalid_because,
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
}

fn why_invalid(run: &Run, lag_ms: f64, lag_max_ms: f64) -> Option<String> {
    let mut reasons = Vec::new();
    if lag_ms > lag_max_ms {
        reasons.push(format!("requests were sent late: lag p99 {lag_ms:.2} ms, allowed {lag_max_ms:.2} ms"));
    }
    let unsent = run.calls.iter().filter(|call| call.end == End::NotSent).count();
    if unsent > 0 {
        let cause = run.causes.get(&End::NotSent).map_or("", String::as_str);
        reasons.push(format!("{unsent} of {} requests were not sent: {cause}", run.calls.len()));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
