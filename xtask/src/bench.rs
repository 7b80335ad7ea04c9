//! Measurements; those of our own, beside a peer in the same run.

mod goodput;
mod layer;
mod leave;
mod primitives;
pub(crate) mod priorities;
mod proxy;
mod served;
mod wrk;

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::command::{cargo, output, run as run_command};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum What {
    /// What one admission and one refusal cost, beside a bare compare-and-swap, tokio's semaphore and Go's channel
    Primitives,
    /// What the HTTP layer adds to axum, and what a refusal costs, in instructions counted by valgrind
    Layer,
    /// How many calls the lab simulates in a second
    Sim,
    /// What is asked of Auto beside its score, in the lab: false refusals, drift, steps, latency
    Auto,
    /// Whether real services behind a limit answer as many requests in time, and as fast, as the lab says
    Goodput {
        /// How long each run is, 1 to 3600 seconds
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
        /// This service alone
        #[arg(long, value_name = "NAME")]
        service: Option<goodput::Service>,
    },
    /// Which services notice that the client of a call has gone, and whether their work stops
    Leave,
    /// Who is served where there is not enough for all: classes of real load before a real service
    Priorities {
        /// How long each run is, 1 to 3600 seconds
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
        seconds: u32,
    },
    /// What `pushback proxy` costs and does beside nginx, HAProxy and Envoy
    Proxy {
        /// How many interleaved rounds, 1 to 100
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
        /// This part alone
        #[arg(long, value_name = "NAME")]
        part: Option<proxy::Part>,
    },
}

/// What Linux tells programs, whatever the kernel counts in.
const TICKS_A_SECOND: f64 = 100.0;

pub(crate) fn run(what: What) -> Result<(), String> {
    match what {
        What::Primitives => primitives::run(),
        What::Layer => layer::run(),
        What::Sim => run_command(&mut cargo("bench --package pushback-lab --bench sim")),
        What::Auto => run_command(&mut cargo("bench --package pushback-lab --bench auto")),
        What::Goodput { seconds, service } => goodput::run(seconds, service),
        What::Leave => leave::run(),
        What::Priorities { seconds } => priorities::run(seconds),
        What::Proxy { rounds, part } => proxy::run(rounds, part),
    }
}

/// Builds one of the library's benchmarks under a profile and says where it is.
fn build(name: &str, profile: &str) -> Result<PathBuf, String> {
    let arguments =
        "bench --package pushback --features http --no-run --message-format json-render-diagnostics";
    let messages = output(cargo(arguments).args(["--bench", name, "--profile", profile]))?;
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.ok_or_else(|| format!("cargo built no benchmark {name} under the profile {profile}"))
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn verdict(missed: usize) -> Result<(), String> {
    if missed == 0 { Ok(()) } else { Err(format!("{missed} of the figures above are missed")) }
}
