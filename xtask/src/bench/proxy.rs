//! `pushback proxy` beside nginx, HAProxy and Envoy: one worker each, on a core of its own, in one run, interleaved.
//!
//! CPU is the process's own, user and system time, for each request. Load and backends are on the other core.

mod cost;
mod overload;
mod page;
mod peer;
mod room;

use clap::ValueEnum;

use self::peer::Programs;
use super::verdict;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// CPU of a proxied and of a refused request
    Cost,
    /// Goodput, latency and false refusals before a pool of workers, at loads from a half to ten times its capacity
    Overload,
    /// Memory of idle connections and of big bodies
    Room,
    /// CPU of the live page, with a hundred gauges and ten viewers
    Page,
}

pub(crate) fn run(rounds: u32, only: Option<Part>) -> Result<(), String> {
    let programs = Programs::find()?;
    let wants = |part| only.is_none_or(|only| only == part);
    let mut missed = 0;
    if wants(Part::Cost) {
        missed += cost::run(&programs, rounds)?;
    }
    if wants(Part::Overload) {
        missed += overload::run(&programs, rounds)?;
    }
    if wants(Part::Room) {
        missed += room::run(&programs)?;
    }
    if wants(Part::Page) {
        missed += page::run(&programs, rounds)?;
    }
    verdict(missed)
}

/// Says a ratio or another figure beside what it must be; counts it if it is missed.
fn judge(what: &str, figure: f64, must: f64, unit: &str) -> usize {
    let is_missed = figure.is_nan() || figure > must;
    println!(
        "{what:<72}{figure:>9.3}{unit}  (at most {must:.3}{unit}){}",
        if is_missed { "  missed" } else { "" }
    );
    usize::from(is_missed)
}
