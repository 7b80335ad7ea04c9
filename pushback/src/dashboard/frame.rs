//! What the page shows at one moment, as JSON.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::RouteCount;
use crate::{gauge::PressureGauge, notebook::Quantiles, snapshot::Snapshot};

/// So many of the last refusals are shown, of all gauges together.
const REFUSALS: usize = 12;

#[derive(Serialize)]
struct Frame<'a> {
    /// Of this library: a page that is older knows that it is.
    version: &'static str,
    /// Since the first of those who look now came.
    seconds: f64,
    gauges: Vec<Shown<'a>>,
    routes: &'a [RouteCount],
    /// The newest first.
    refusals: Vec<Refused>,
}

#[derive(Serialize)]
struct Shown<'a> {
    /// Its name, or its name and a number.
    title: &'a str,
    #[serde(flatten)]
    snapshot: Snapshot,
    times: Option<Times>,
    /// Since somebody looks, of those requests that came by the HTTP layer.
    priorities: Vec<ByPriority>,
}

/// How long requests took in the last ten seconds, without what they waited in line.
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

/// A request that was refused, and how many were just like it.
#[derive(Serialize)]
struct Refused {
    seconds_ago: f64,
    count: u64,
    gauge: String,
    reason: &'static str,
    priority: &'static str,
    request: String,
}

pub(super) fn text(passed: Duration, gauges: &[PressureGauge], routes: &[RouteCount]) -> String {
    let titles = titles(gauges);
    let titled = || gauges.iter().zip(&titles);
    let mut refusals: Vec<Refused> = titled().flat_map(|(gauge, title)| refused(gauge, title)).collect();
    refusals.sort_by(|one, other| one.seconds_ago.total_cmp(&other.seconds_ago));
    refusals.truncate(REFUSALS);
    let frame = Frame {
        version: env!("CARGO_PKG_VERSION"),
        seconds: passed.as_secs_f64(),
        gauges: titled().map(|(gauge, title)| shown(gauge, title)).collect(),
        routes,
        refusals,
    };
    serde_json::to_string(&frame).expect("its maps have strings for keys, and nothing else can fail")
}

fn shown<'a>(gauge: &PressureGauge, title: &'a str) -> Shown<'a> {
    let notebook = gauge.notebook();
    let seen = notebook.by_priority().filter(|(_, admitted, refused)| admitted + refused > 0);
    Shown {
        title,
        snapshot: gauge.snapshot(),
        times: notebook.quantiles(gauge.now()).map(Times::from),
        priorities: seen
            .map(|(priority, admitted, refused)| ByPriority { name: priority.as_str(), admitted, refused })
            .collect(),
    }
}

fn refused(gauge: &PressureGauge, title: &str) -> Vec<Refused> {
    let now = gauge.now();
    let shown = gauge.notebook().refusals().into_iter().map(|refusal| Refused {
        seconds_ago: now.saturating_duration_since(refusal.at).as_secs_f64(),
        count: refusal.count,
        gauge: title.to_owned(),
        reason: refusal.reason.as_str(),
        priority: refusal.priority.as_str(),
        request: refusal.request(),
    });
    shown.collect()
}

/// What to call each gauge. Names need not differ, and many are called `gauge`; titles do.
fn titles(gauges: &[PressureGauge]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let titles = gauges.iter().map(|gauge| {
        let times = seen.entry(gauge.name()).and_modify(|times| *times += 1).or_insert(1);
        if *times == 1 { gauge.name().to_owned() } else { format!("{} #{times}", gauge.name()) }
    });
    titles.collect()
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
