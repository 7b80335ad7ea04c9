//! Runs `pushback/benches/layer.rs` under callgrind and compares instructions a request: a count that repeats exactly,
//! whatever else the machine does.

use std::{fs, path::Path, process::Command};

use super::{build, verdict};
use crate::{
    command::{output, target},
    packages,
};

/// The difference between these two is what so many more requests cost, without start and end of the process.
const REQUESTS: [u64; 2] = [2_000, 4_000];

/// What is compared with what, and what must come out; without a figure it is for information.
const ROWS: [(&str, &str, Option<f64>); 9] = [
    ("around", "plain", Some(1.05)),
    // What a layer spends that wraps both bodies, as one must that sees them end, and does nothing else.
    ("wrapped", "plain", None),
    ("around", "wrapped", None),
    ("admitted", "plain", Some(1.05)),
    // What axum's `Router::layer` spends on any layer, even on one that does nothing.
    ("identity", "plain", None),
    ("admitted", "identity", None),
    ("refused-around", "fixed-429", Some(1.1)),
    ("refused", "fixed-429", Some(1.1)),
    ("refused", "identity-429", None),
];

pub(crate) fn run() -> Result<(), String> {
    if !packages::is_there("valgrind") {
        return Err("valgrind counts the instructions, and is not installed (Debian: valgrind)".to_owned());
    }
    let program = build("layer", "bench-default")?;
    println!(
        "Instructions a request, by oneshot; 'around' is the layer around axum's router, the others are on it\n"
    );
    println!("{:<16}{:>10}   {:<12}{:>10}{:>8}{:>8}", "", "", "against", "", "must", "ratio");
    let mut missed = 0;
    for (ours, other, must) in ROWS {
        let (mine, theirs) = (instructions(&program, ours)?, instructions(&program, other)?);
        let ratio = mine / theirs;
        let is_missed = must.is_some_and(|must| ratio > must);
        missed += usize::from(is_missed);
        let must = must.map_or(String::new(), |must| format!("{must:.2}"));
        let mark = if is_missed { "  missed" } else { "" };
        println!("{ours:<16}{mine:>10.0}   {other:<12}{theirs:>10.0}{must:>8}{ratio:>8.3}{mark}");
    }
    super::served::run()?;
    verdict(missed)
}

fn instructions(program: &Path, what: &str) -> Result<f64, String> {
    let [few, many] = REQUESTS.map(|requests| counted(program, what, requests));
    let requests = REQUESTS[1] - REQUESTS[0];
    Ok(many?.saturating_sub(few?) as f64 / requests as f64)
}

fn counted(program: &Path, what: &str, requests: u64) -> Result<u64, String> {
    let report = target().join(format!("callgrind-{what}-{requests}.out"));
    output(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind"])
            .arg(format!("--callgrind-out-file={}", report.display()))
            .arg(program)
            .args([what, &requests.to_string()]),
    )?;
    let text = fs::read_to_string(&report).map_err(|error| format!("{}: {error}", report.display()))?;
    let total =
        text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| format!("{} says no total", report.display()))
}
