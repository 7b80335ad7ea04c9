//! Calls of several priorities before services that do 120 of them a second.

use std::fmt;

use pushback::limit::{Auto, Limit};
use pushback_lab::{
    limits::Utilisation,
    sim::{Record, RouteRecord, Scenario, Steering, run},
};

const SEEDS: u64 = 7;
/// What each of the services can do, calls a second.
pub(crate) const CAPACITY: f64 = 120.0;
pub(crate) const LINE: &str = "line = { places = 20, wait = \"1s\" }\n";

/// By route.
pub(crate) struct Outcome {
    /// The percentage of its requests that was not refused.
    pub(crate) available: Vec<f64>,
    /// Answers in time a second, of all routes.
    pub(crate) good: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available: Vec<String> = self.available.iter().map(|part| format!("{part:.2} %")).collect();
        write!(f, "{} | {:.1}", available.join(" | "), self.good)
    }
}

impl Outcome {
    pub(crate) fn of(text: &str, limit: impl Fn() -> Box<dyn Limit>) -> Self {
        let scenario = Scenario::parse("test", text).unwrap();
        let steering = || Steering::limit(limit(), Utilisation::default());
        let records: Vec<Record> =
            (1..=SEEDS).map(|seed| run(&scenario, steering(), seed).unwrap()).collect();
        let phases = || records.iter().map(|record| &record.phases[0]);
        let available = |route: &RouteRecord| 100.0 - 100.0 * route.refused as f64 / route.requests as f64;
        let routes = 0..scenario.routes.len();
        Outcome {
            available: routes
                .map(|route| median(phases().map(|phase| available(&phase.routes[route]))))
                .collect(),
            good: median(phases().map(|phase| phase.good as f64 / phase.seconds)),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn auto() -> Box<dyn Limit> {
    Box::new(Auto::default())
}

/// Calls of these priorities, so many a second of each, before so many workers who can do [`CAPACITY`] of them.
pub(crate) fn scenario(workers: u32, times: &str, line: &str, come: &[(&str, u32)]) -> String {
    let micros = 1e6 * f64::from(workers) / CAPACITY;
    let rate: u32 = come.iter().map(|(_, rate)| rate).sum();
    let routes = come.iter().map(|(priority, rate)| {
        let share = f64::from(*rate) / f64::from(come.iter().map(|(_, rate)| rate).sum::<u32>());
        format!("[[route]]\nshare = {share:.6}\nwork = 1\npriority = \"{priority}\"\n")
    });
    format!(
        "# A test.\ndeadline = \"1s\"\nwarmup = \"5s\"\n{line}\
         [[station]]\nname = \"worker\"\nworkers = {workers}\ntime.{times} = \"{micros:.0}us\"\n{}\
         [[phase]]\nlasts = \"125s\"\nrate = {rate}",
        routes.collect::<String>()
    )
}

/// A hundred checkouts and sixty reports a second.
pub(crate) fn checkouts(workers: u32, times: &str) -> String {
    scenario(workers, times, "", &[("critical", 100), ("low", 60)])
}

/// Half of the capacity is of users, and prefetches have become twelve times as many (Netflix, "Enhancing Netflix Reliability with
/// Service-Level Prioritized Load Shedding", 2024).
pub(crate) fn prefetches(line: &str) -> String {
    scenario(8, "exponential", line, &[("critical", 30), ("high", 20), ("normal", 10), ("low", 180)])
}
