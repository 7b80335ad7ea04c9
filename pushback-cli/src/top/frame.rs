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
    /// Its name, or its name and a number.
    pub(super) title: String,
    pub(super) limit: u32,
    pub(super) in_flight: u32,
    pub(super) in_line: u32,
    pub(super) admitted: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) closed: bool,
    /// Those of other versions do not say it.
    #[serde(default)]
    pub(super) pinned: bool,
    #[serde(default)]
    pub(super) paused: bool,
    #[serde(default)]
    pub(super) priorities: Vec<ByPriority>,
    /// Requests that said that they were retries.
    #[serde(default)]
    pub(super) retries: u64,
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

/// Since somebody looks.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ByPriority {
    pub(super) name: String,
    pub(super) admitted: u64,
    pub(super) refused: u64,
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
    /// How many were just like it.
    pub(super) count: u64,
    pub(super) request: String,
}

impl Frame {
    /// The same, without what would move a terminal's cursor: names and paths are other people's text.
    pub(super) fn visible(mut self) -> Self {
        for gauge in &mut self.gauges {
            make_visible(&mut gauge.title);
            gauge.priorities.iter_mut().for_each(|priority| make_visible(&mut priority.name));
            let reasons = std::mem::take(&mut gauge.refused).into_iter();
            gauge.refused = reasons.map(|(reason, count)| (visible(reason), count)).collect();
            if let Some(reason) = gauge.why.as_mut().and_then(|why| why.reason.as_mut()) {
                make_visible(reason);
            }
        }
        for refusal in &mut self.refusals {
            make_visible(&mut refusal.gauge);
            make_visible(&mut refusal.reason);
            make_visible(&mut refusal.request);
        }
        self
    }
}

fn make_visible(text: &mut String) {
    *text = visible(std::mem::take(text));
}

fn visible(text: String) -> String {
    let visible = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    if text.contains(char::is_control) { text.chars().map(visible).collect() } else { text }
}

impl Gauge {
    pub(super) fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn phantoms(&self) -> u32 {
        self.dry_run.as_ref().map_or(0, |dry_run| dry_run.phantoms)
    }
}
