//! What the page shows at one moment, as JSON.

use std::time::Duration;

use serde::Serialize;

use super::RouteCount;
use crate::{
    gauge::PressureGauge,
    snapshot::Snapshot,
    watch::{LastRefusal, Quantiles},
};

/// So many of the last refusals are shown, of all gauges together.
const REFUSALS: usize = 12;

#[derive(Serialize)]
struct Frame<'a> {
    /// Since the first of those who look now came.
    seconds: f64,
    gauges: Vec<Shown>,
    routes: &'a [RouteCount],
    /// The newest first.
    refusals: Vec<Refused>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    snapshot: Snapshot,
    times: Option<Times>,
    /// Since somebody first looked, of those requests that came by the HTTP layer.
    priorities: Vec<ByPriority>,
}

/// How long requests took in the last ten seconds.
#[derive(Serialize)]
struct Times {
    count: u64,
    p50_seconds: f64,
    p95_seconds: f64,
    p99_seconds: f64,
}

#[derive(Serialize)]
struct ByPriority {
    name: &'static str,
    admitted: u64,
    refused: u64,
}

/// A request that was refused, and how many of the last were just like it.
#[derive(Serialize)]
struct Refused {
    seconds_ago: f64,
    count: u32,
    gauge: &'static str,
    reason: &'static str,
    priority: &'static str,
    request: String,
}

pub(super) fn text(passed: Duration, gauges: &[PressureGauge], routes: &[RouteCount]) -> String {
    let mut refusals: Vec<Refused> = gauges.iter().flat_map(refused).collect();
    refusals.sort_by(|one, other| one.seconds_ago.total_cmp(&other.seconds_ago));
    refusals.truncate(REFUSALS);
    let frame =
        Frame { seconds: passed.as_secs_f64(), gauges: gauges.iter().map(shown).collect(), routes, refusals };
    serde_json::to_string(&frame).expect("its maps have strings for keys, and nothing else can fail")
}

fn shown(gauge: &PressureGauge) -> Shown {
    let watch = gauge.watch();
    let seen = watch.by_priority().filter(|(_, admitted, refused)| admitted + refused > 0);
    Shown {
        snapshot: gauge.snapshot(),
        times: watch.quantiles(gauge.now()).map(Times::from),
        priorities: seen
            .map(|(priority, admitted, refused)| ByPriority { name: priority.as_str(), admitted, refused })
            .collect(),
    }
}

fn refused(gauge: &PressureGauge) -> Vec<Refused> {
    let now = gauge.now();
    let mut shown: Vec<Refused> = Vec::new();
    for LastRefusal { at, reason, priority, request } in gauge.watch().refusals().into_iter().rev() {
        let (reason, priority) = (reason.as_str(), priority.as_str());
        let is_same = |other: &&mut Refused| {
            (other.reason, other.priority, &other.request) == (reason, priority, &request)
        };
        match shown.iter_mut().find(is_same) {
            Some(same) => same.count += 1,
            None => {
                let seconds_ago = now.saturating_duration_since(at).as_secs_f64();
                shown.push(Refused { seconds_ago, count: 1, gauge: gauge.name(), reason, priority, request });
            }
        }
    }
    shown
}

impl From<Quantiles> for Times {
    fn from(found: Quantiles) -> Self {
        Times {
            count: found.count,
            p50_seconds: found.p50.as_secs_f64(),
            p95_seconds: found.p95.as_secs_f64(),
            p99_seconds: found.p99.as_secs_f64(),
        }
    }
}
