//! Who is served where there is not enough for all: calls of several priorities, without a line and with one. Medians of seven seeds.

use std::fmt;

use pushback::limit::{Auto, Limit};
use pushback_lab::{
    limits::Utilisation,
    sim::{Record, RouteRecord, Scenario, Steering, run},
};

const SEEDS: u64 = 7;
/// What each of the services can do, calls a second.
const CAPACITY: f64 = 120.0;
const LINE: &str = "line = { places = 20, wait = \"1s\" }\n";

/// By route.
struct Outcome {
    /// The percentage of its requests that was not refused.
    available: Vec<f64>,
    /// Answers in time a second, of all routes.
    good: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let available: Vec<String> = self.available.iter().map(|part| format!("{part:.2} %")).collect();
        write!(f, "{} | {:.1}", available.join(" | "), self.good)
    }
}

impl Outcome {
    fn of(text: &str, limit: impl Fn() -> Box<dyn Limit>) -> Self {
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

fn auto() -> Box<dyn Limit> {
    Box::new(Auto::default())
}

fn fixed(limit: u32) -> Box<dyn Limit> {
    Box::new(limit)
}

/// Calls of these priorities, so many a second of each, before so many workers who can do [`CAPACITY`] of them.
fn scenario(workers: u32, times: &str, line: &str, come: &[(&str, u32)]) -> String {
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
fn checkouts(workers: u32, times: &str) -> String {
    scenario(workers, times, "", &[("critical", 100), ("low", 60)])
}

/// Half of the capacity is of users, and prefetches have become twelve times as many (Netflix, "Enhancing Netflix Reliability with
/// Service-Level Prioritized Load Shedding", 2024).
fn prefetches(line: &str) -> String {
    scenario(8, "exponential", line, &[("critical", 30), ("high", 20), ("normal", 10), ("low", 180)])
}

#[test]
#[ignore = "prints the tables of docs/priorities.md"]
fn all_cases() {
    for workers in [1, 8, 40] {
        for times in ["constant", "exponential"] {
            println!("| {workers}, {times} | `auto` | {} |", Outcome::of(&checkouts(workers, times), auto));
            let twice = Outcome::of(&checkouts(workers, times), || fixed(2 * workers));
            println!("| {workers}, {times} | {} | {twice} |", 2 * workers);
        }
    }
    for (line, name) in [("", "no"), (LINE, "20")] {
        println!("| {name} | `auto` | {} |", Outcome::of(&prefetches(line), auto));
        println!("| {name} | 16 | {} |", Outcome::of(&prefetches(line), || fixed(16)));
    }
}

#[test]
fn checkouts_are_served_and_reports_have_what_is_left() {
    for workers in [1, 8] {
        let outcome = Outcome::of(&checkouts(workers, "constant"), auto);
        println!("{workers}: {outcome}");
        assert!(outcome.available[0] >= 99.0, "{workers}: {outcome}");
        assert!(outcome.good >= 0.97 * CAPACITY, "{workers}: {outcome}");
    }
}

#[test]
fn twelve_times_as_many_prefetches_are_not_felt_by_users() {
    for line in ["", LINE] {
        let outcome = Outcome::of(&prefetches(line), auto);
        println!("{outcome}");
        assert!(outcome.available[0] > 99.9, "{outcome}");
        assert!(outcome.available[2] > 99.0, "{outcome}");
        assert!(outcome.available[3] < 60.0, "somebody must be refused: {outcome}");
        assert!(outcome.good >= 0.95 * CAPACITY, "{outcome}");
    }
}

#[test]
fn without_pressure_nobody_is_refused_for_his_priority() {
    let text = scenario(8, "exponential", "", &[("critical", 30), ("background", 30)]);
    let outcome = Outcome::of(&text, auto);
    assert!(outcome.available[1] > 99.9, "{outcome}");
}
