//! Runs `pushback/benches/primitives.rs` under cargo's own release settings and under full link-time optimisation, and
//! compares. The processes of the two builds and of Go take turns; the medians of all processes count.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use super::{build, median, verdict};
use crate::{
    command::{output, root, target},
    packages,
};

const PROCESSES: usize = 5;
const PROFILES: [(&str, &str); 2] = [("bench-default", "default"), ("bench-lto", "LTO")];

/// Medians in nanoseconds, by measure and threads.
type Times = BTreeMap<(String, u32), f64>;

/// One line of the comparison: what is measured, against what, and what must come out.
struct Row {
    measure: &'static str,
    threads: u32,
    against: Against,
    must: f64,
}

enum Against {
    /// A ratio to another measure of the same run.
    Measure(&'static str),
    /// Nanoseconds.
    Clock,
}

const ROWS: [Row; 36] = [
    ratio("pushback borrowed", 1, "floor", 1.3),
    ratio("pushback borrowed", 1, "tokio borrowed", 1.0),
    ratio("pushback borrowed", 2, "tokio borrowed", 1.0),
    ratio("pushback borrowed", 4, "tokio borrowed", 1.0),
    ratio("pushback auto", 1, "pushback borrowed", 2.0),
    ratio("pushback auto", 2, "pushback borrowed", 2.0),
    ratio("pushback auto", 4, "pushback borrowed", 2.0),
    ratio("pushback owned", 1, "tokio owned", 1.0),
    ratio("pushback owned", 2, "tokio owned", 1.0),
    ratio("pushback owned", 4, "tokio owned", 1.0),
    ratio("pushback kept", 1, "tokio kept", 1.0),
    ratio("pushback kept", 2, "tokio kept", 1.0),
    ratio("pushback kept", 4, "tokio kept", 1.0),
    ratio("pushback owned kept", 1, "tokio owned kept", 1.0),
    ratio("pushback owned kept", 2, "tokio owned kept", 1.0),
    ratio("pushback owned kept", 4, "tokio owned kept", 1.0),
    ratio("pushback auto kept", 1, "pushback kept", 1.3),
    ratio("pushback auto kept", 2, "pushback kept", 1.3),
    ratio("pushback auto kept", 4, "pushback kept", 1.3),
    ratio("pushback auto owned kept", 1, "pushback owned kept", 1.3),
    ratio("pushback auto owned kept", 2, "pushback owned kept", 1.3),
    ratio("pushback auto owned kept", 4, "pushback owned kept", 1.3),
    ratio("pushback process_async", 1, "tokio kept", 1.0),
    ratio("pushback process_async", 2, "tokio kept", 1.0),
    ratio("pushback process_async", 4, "tokio kept", 1.0),
    ratio("pushback auto process_async", 1, "pushback process_async", 1.3),
    ratio("pushback auto process_async", 2, "pushback process_async", 1.3),
    ratio("pushback auto process_async", 4, "pushback process_async", 1.3),
    ratio("pushback ranked", 1, "pushback borrowed", 1.1),
    ratio("pushback ranked", 2, "pushback borrowed", 1.1),
    ratio("pushback ranked", 4, "pushback borrowed", 1.1),
    ratio("pushback in line", 1, "tokio in line", 1.0),
    ratio("pushback left line", 1, "tokio left line", 1.0),
    Row { measure: "pushback refusal", threads: 1, against: Against::Clock, must: 4.0 },
    Row { measure: "pushback refusal, line full", threads: 4, against: Against::Clock, must: 20.0 },
    ratio("pushback process", 1, "Go process", 1.0 / 3.0),
];

const fn ratio(measure: &'static str, threads: u32, other: &'static str, must: f64) -> Row {
    Row { measure, threads, against: Against::Measure(other), must }
}

pub(crate) fn run() -> Result<(), String> {
    let programs = [build("primitives", PROFILES[0].0)?, build("primitives", PROFILES[1].0)?];
    let go = build_go()?;
    let mut samples = [BTreeMap::new(), BTreeMap::new()];
    for round in 1..=PROCESSES {
        eprintln!("round {round} of {PROCESSES}");
        for (program, samples) in programs.iter().zip(&mut samples) {
            measure(program, samples)?;
            if let Some(go) = &go {
                let time = output(&mut Command::new(go))?;
                let time: f64 = time.trim().parse().map_err(|error| format!("{time}: {error}"))?;
                samples.entry(("Go process".to_owned(), 1)).or_default().push(time);
            }
        }
    }
    let times =
        samples.map(|samples| samples.into_iter().map(|(key, all)| (key, median(all))).collect::<Times>());
    print_times(&times);
    print_comparison(&times)
}

/// The mission's own program, where Go is installed.
fn build_go() -> Result<Option<PathBuf>, String> {
    if !packages::is_there("go") {
        eprintln!("go is not installed (Debian: golang-go), so its channel is left out");
        return Ok(None);
    }
    let program = target().join("go-process");
    output(
        Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(root().join("xtask/go")),
    )?;
    Ok(Some(program))
}

fn measure(program: &Path, samples: &mut BTreeMap<(String, u32), Vec<f64>>) -> Result<(), String> {
    for line in output(&mut Command::new(program))?.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().ok_or_else(|| format!("a line without three fields: {line}"));
        let (name, threads, time) = (field()?.to_owned(), field()?, field()?);
        let threads = threads.parse().map_err(|error| format!("{line}: {error}"))?;
        let time = time.parse().map_err(|error| format!("{line}: {error}"))?;
        samples.entry((name, threads)).or_default().push(time);
    }
    Ok(())
}

fn print_times(times: &[Times; 2]) {
    println!(
        "Nanoseconds an operation: wall time through the operations of all threads, medians of {PROCESSES} processes\n"
    );
    println!("{:<32}{:>8}{:>10}{:>10}", "", "threads", PROFILES[0].1, PROFILES[1].1);
    for ((name, threads), time) in &times[0] {
        let other = times[1].get(&(name.clone(), *threads)).copied().unwrap_or(f64::NAN);
        println!("{name:<32}{threads:>8}{time:>10.2}{other:>10.2}");
    }
    println!();
}

fn print_comparison(times: &[Times; 2]) -> Result<(), String> {
    println!("{:<54}{:>8}{:>10}{:>10}{:>10}", "", "threads", "must", PROFILES[0].1, PROFILES[1].1);
    let mut missed = 0;
    for Row { measure, threads, against, must } in &ROWS {
        let value = |times: &Times| {
            let time = |name: &str| times.get(&(name.to_owned(), *threads)).copied();
            Some(match against {
                Against::Measure(other) => time(measure)? / time(other)?,
                Against::Clock => time(measure)?,
            })
        };
        let (Some(first), Some(second)) = (value(&times[0]), value(&times[1])) else {
            if matches!(against, Against::Measure("Go process")) {
                continue; // Go is not installed, as was said
            }
            return Err(format!("the benchmark did not measure what '{measure}' is compared by"));
        };
        let (what, unit) = match against {
            Against::Measure(other) => (format!("{measure} / {other}"), "x"),
            Against::Clock => ((*measure).to_owned(), "ns"),
        };
        let verdict = if first <= *must && second <= *must { "" } else { "  missed" };
        missed += usize::from(!verdict.is_empty());
        let shown = |value: f64| format!("{value:.2} {unit}");
        println!(
            "{what:<54}{threads:>8}{:>10}{:>10}{:>10}{verdict}",
            shown(*must),
            shown(first),
            shown(second)
        );
    }
    verdict(missed)
}
