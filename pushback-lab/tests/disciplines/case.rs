//! One worker before a line, under twice the load that it can do, and at 93 % of it.

use hdrhistogram::Histogram;
use pushback_lab::sim::{Record, Scenario, Steering, run};

pub(crate) const SEEDS: u64 = 7;

pub(crate) struct Case {
    /// What the worker takes, calls a second, and for how many seconds.
    pub(crate) service: &'static str,
    pub(crate) rate: u32,
    pub(crate) lasts: u32,
}

pub(crate) const OVERLOADED: Case = Case { service: "2ms", rate: 1_000, lasts: 10 };
/// A worker of 3.33 ms does 300 a second.
pub(crate) const HEALTHY: Case = Case { service: "3333us", rate: 279, lasts: 60 };

/// Medians of the seeds.
pub(crate) struct Outcome {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) good: f64,
    pub(crate) refused_percent: f64,
}

impl Case {
    pub(crate) fn with(&self, discipline: &str) -> Outcome {
        let Case { service, rate, lasts } = self;
        let text = format!(
            "# A test.\ndeadline = \"1h\"\nwarmup = \"1ns\"\n\
             line = {{ places = 100000, wait = \"1h\", discipline = \"{discipline}\" }}\n\
             [[station]]\nname = \"worker\"\nworkers = 1\ntime.exponential = \"{service}\"\n\
             [[phase]]\nlasts = \"{lasts}s\"\nrate = {rate}"
        );
        let scenario = Scenario::parse("test", &text).unwrap();
        let records: Vec<Record> =
            (1..=SEEDS).map(|seed| run(&scenario, Steering::by_phase(vec![1]), seed).unwrap()).collect();
        let of = |percentile| {
            median(records.iter().map(|record| times(record).value_at_quantile(percentile) as f64 / 1000.0))
        };
        let phases = || records.iter().map(|record| &record.phases[0]);
        let refused = phases().map(|phase| 100.0 * phase.refused as f64 / phase.requests as f64);
        Outcome {
            p50_ms: of(0.5),
            p99_ms: of(0.99),
            good: median(phases().map(|phase| phase.good as f64)),
            refused_percent: median(refused),
        }
    }
}

/// How long the admitted took from their arrival on, in microseconds.
fn times(record: &Record) -> Histogram<u32> {
    let phase = &record.phases[0];
    let mut all = phase.settling.clone();
    all.add(&phase.settled).unwrap();
    all
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
