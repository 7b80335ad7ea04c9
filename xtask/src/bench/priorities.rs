//! Who is served where there is not enough for all: the example `priorities` as a process, and a `pushback load` for each class.
//!
//! The cases are those of docs/priorities.md, which has them from the simulator too. The load comes twice: what is found out in the
//! first seconds does not count.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{
    goodput::real::{LOAD_CORE, Process, pinned},
    median, verdict,
};
use crate::command::{cargo, run as run_command, target};

const ROUNDS: u32 = 3;
/// For so long limit and ranks find out.
const FOUND: u32 = 5;
/// What the shop can do, calls a second.
const CAPACITY: f64 = 120.0;

/// Requests to a path, so many a second.
type Class = (&'static str, u32);

struct Case {
    name: &'static str,
    /// The most important first.
    classes: &'static [Class],
    /// Limits, and how many wait in line.
    gauges: &'static [(&'static str, u32)],
    /// The percentage of the first class that must be served, and the part of the capacity that must be used.
    must: (f64, f64),
}

const CASES: [Case; 2] = [
    Case {
        name: "100 checkouts and 60 reports a second",
        classes: &[("/checkout", 100), ("/report", 60)],
        gauges: &[("auto", 0), ("16", 0)],
        must: (99.0, 0.97),
    },
    Case {
        name: "30 critical, 20 high, 10 normal, and 180 low prefetches a second",
        classes: &[("/checkout", 30), ("/browse", 20), ("/search", 10), ("/report", 180)],
        gauges: &[("auto", 0), ("16", 0), ("auto", 20), ("16", 20)],
        must: (99.9, 0.0),
    },
];

/// Of each class, the percentage that was not refused; and answers in time a second, of all.
struct Outcome {
    served: Vec<f64>,
    in_time: f64,
}

/// The shop, and what asks it.
struct Programs {
    shop: PathBuf,
    pushback: PathBuf,
}

impl Programs {
    fn build() -> Result<Self, String> {
        run_command(&mut cargo("build --release --package pushback-cli"))?;
        run_command(&mut cargo("build --release --package pushback --example priorities --features axum"))?;
        let release = target().join("release");
        Ok(Programs { shop: release.join("examples/priorities"), pushback: release.join("pushback") })
    }

    fn shop(&self, (limit, line): (&str, u32)) -> Result<Process, String> {
        Process::start(&self.shop, &[limit, &line.to_string(), "127.0.0.1:0"], "")
    }
}

/// Draws what becomes of each of the checkouts and of the reports, from the first moment on.
pub(crate) fn draw(folder: &Path) -> Result<(), String> {
    const SECONDS: u32 = 8;
    let programs = Programs::build()?;
    let service = programs.shop(("auto", 0))?;
    let loads: Result<Vec<Child>, String> = (CASES[0].classes.iter())
        .map(|class| {
            let file = folder.join(class.0.trim_start_matches('/')).with_extension("svg");
            let mut load = load(&service, &programs.pushback, *class, SECONDS, 1);
            started(load.arg("--plot").arg(file))
        })
        .collect();
    loads?.into_iter().try_for_each(|load| report(load).map(|_| ()))
}

pub(crate) fn run(seconds: u32) -> Result<(), String> {
    let programs = Programs::build()?;
    println!(
        "A shop that does {CAPACITY} calls a second: the part of each class that was not refused, and answers within a second, a second:\n\
         medians of {ROUNDS} interleaved rounds of {seconds} s\n"
    );
    let mut missed = 0;
    for case in &CASES {
        println!("{}", case.name);
        let mut outcomes: Vec<Vec<Outcome>> = case.gauges.iter().map(|_| Vec::new()).collect();
        for round in 1..=ROUNDS {
            for (gauge, outcomes) in case.gauges.iter().zip(&mut outcomes) {
                outcomes.push(measure(case.classes, *gauge, &programs, seconds, round)?);
            }
            eprintln!("round {round} of {ROUNDS}");
        }
        for ((limit, line), outcomes) in case.gauges.iter().zip(&outcomes) {
            let served = (0..case.classes.len())
                .map(|class| median(outcomes.iter().map(|outcome| outcome.served[class]).collect()));
            let served: Vec<f64> = served.collect();
            let in_time = median(outcomes.iter().map(|outcome| outcome.in_time).collect());
            let is_missed = served[0] < case.must.0 || in_time < case.must.1 * CAPACITY;
            // A fixed limit is for comparison.
            missed += usize::from(is_missed && *limit == "auto");
            let mark = if is_missed { "  missed" } else { "" };
            let served: String = served.iter().map(|part| format!("{part:>9.2} %")).collect();
            println!("limit {limit:<6}line {line:<4}{served}{in_time:>10.1}{mark}");
        }
        println!();
    }
    verdict(missed)
}

fn measure(
    classes: &[Class],
    gauge: (&str, u32),
    programs: &Programs,
    seconds: u32,
    round: u32,
) -> Result<Outcome, String> {
    let service = programs.shop(gauge)?;
    let all = |seconds: u32| -> Result<Vec<Value>, String> {
        let loads: Result<Vec<Child>, String> = (classes.iter())
            .map(|class| started(&mut load(&service, &programs.pushback, *class, seconds, round)))
            .collect();
        loads?.into_iter().map(report).collect()
    };
    all(FOUND)?;
    let reports = all(seconds)?;
    let count = |report: &Value, status: &str| report["statuses"][status]["count"].as_f64().unwrap_or(0.0);
    let served = reports.iter().map(|report| {
        let (answered, refused) = (count(report, "200"), count(report, "429"));
        100.0 * answered / (answered + refused)
    });
    let in_time = reports.iter().filter_map(|report| report["goodput"]["per_second"].as_f64()).sum();
    Ok(Outcome { served: served.collect(), in_time })
}

fn load(service: &Process, pushback: &Path, (path, rate): Class, seconds: u32, seed: u32) -> Command {
    let mut load = pinned(LOAD_CORE, pushback);
    load.args(["load", &format!("{}{path}", service.url()), "--json", "--slo", "1s"])
        .args([
            "--rate",
            &rate.to_string(),
            "--duration",
            &format!("{seconds}s"),
            "--seed",
            &seed.to_string(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    load
}

fn started(load: &mut Command) -> Result<Child, String> {
    load.spawn().map_err(|error| format!("cannot run pushback load: {error}"))
}

/// What it says, also of an invalid run, whose requests were sent somewhat late.
fn report(load: Child) -> Result<Value, String> {
    let output = load.wait_with_output().map_err(|error| format!("pushback load: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("pushback load: {error}"))
}
