//! What the server tells: the JSON of the dashboard's frames, as far as it is shown here.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Frame {
    pub(super) seconds: f64,
    pub(super) gauges: Vec<Gauge>,
    pub(super) refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Gauge {
    pub(super) name: String,
    pub(super) limit: u32,
    pub(super) in_flight: u32,
    pub(super) in_line: u32,
    pub(super) admitted: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) closed: bool,
    pub(super) why: Option<Why>,
    pub(super) dry_run: Option<DryRun>,
    pub(super) times: Option<Times>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
    pub(super) seconds_ago: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct DryRun {
    pub(super) on: bool,
    pub(super) phantoms: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Times {
    pub(super) p50_seconds: f64,
    pub(super) p95_seconds: f64,
    pub(super) p99_seconds: f64,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Refusal {
    pub(super) seconds_ago: f64,
    pub(super) gauge: String,
    pub(super) reason: String,
    /// How many of the last were just like it.
    pub(super) count: u32,
    pub(super) request: String,
}

impl Gauge {
    pub(super) fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn phantoms(&self) -> u32 {
        self.dry_run.as_ref().map_or(0, |dry_run| dry_run.phantoms)
    }
}
