//! Before a pool of 8 workers who take 20 ms each: what is answered in time, how fast, and who is refused without need.

use std::process::Command;

use serde_json::Value;

use super::{
    judge,
    peer::{LOAD_CORE, Peer, Programs},
};
use crate::bench::median;

/// What the pool does in a second.
const CAPACITY: f64 = 400.0;
const LOADS: [f64; 4] = [0.5, 2.0, 5.0, 10.0];
const SLO: &str = "200ms";
const SECONDS: u32 = 10;
/// A proxy by its name and how it starts before a service.
type Start = (&'static str, fn(&Programs, &str) -> Result<Peer, String>);
const PROXIES: [Start; 4] = [
    ("HAProxy maxconn 8, queue 100 ms", |programs, to| Peer::haproxy(programs, to, 8, "100ms")),
    ("pushback", |programs, to| Peer::ours(programs, to, &[])),
    ("Envoy, adaptive concurrency", Peer::envoy),
    ("nginx without a limit", |programs, to| Peer::nginx(programs, to, 65_535)),
];

/// A run's figures; times in milliseconds.
struct Run {
    goodput: f64,
    p99_ms: f64,
    refused: f64,
}

pub(super) fn run(programs: &Programs, rounds: u32) -> Result<usize, String> {
    println!(
        "Before a pool of 8 x 20 ms, an open loop, answers within {SLO} a second, p99 of those admitted, and refusals in all: \
         medians of {rounds} interleaved rounds of {SECONDS} s\n"
    );
    let mut runs = LOADS.map(|_| PROXIES.map(|_| Vec::new()));
    for round in 1..=rounds {
        for (load, runs) in LOADS.iter().zip(&mut runs) {
            for ((name, start), runs) in PROXIES.iter().zip(runs) {
                let pool = Peer::pool(programs)?;
                let proxy = start(programs, &pool.address)?;
                runs.push(
                    measure(programs, &proxy, load * CAPACITY, round)
                        .map_err(|error| format!("{name}: {error}"))?,
                );
            }
        }
        eprintln!("round {round} of {rounds}");
    }
    println!("{:<8}{:<34}{:>10}{:>10}{:>10}", "load", "", "goodput", "p99, ms", "refused");
    for (load, runs) in LOADS.iter().zip(&runs) {
        for ((name, _), runs) in PROXIES.iter().zip(runs) {
            let median = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
            println!(
                "{:<8}{name:<34}{:>10.1}{:>10.1}{:>10.0}",
                format!("{load}x"),
                median(|run| run.goodput),
                median(|run| run.p99_ms),
                median(|run| run.refused)
            );
        }
    }
    println!();
    let paired = |load: usize, figure: fn(&Run, &Run) -> f64| {
        median(runs[load][1].iter().zip(&runs[load][0]).map(|(ours, theirs)| figure(ours, theirs)).collect())
    };
    let mut missed = judge(
        "p99 at half load above HAProxy's",
        paired(0, |ours, theirs| ours.p99_ms - theirs.p99_ms),
        0.2,
        " ms",
    );
    missed +=
        judge("false refusals at half load", runs[0][1].iter().map(|run| run.refused).sum::<f64>(), 0.0, "");
    for (load, times) in LOADS.iter().enumerate().skip(1) {
        // Turned around, so that less is better here too.
        let goodput = paired(load, |ours, theirs| theirs.goodput / ours.goodput);
        missed += judge(&format!("HAProxy's goodput against ours at {times}x"), goodput, 1.0 / 0.985, "");
        let p99 = paired(load, |ours, theirs| ours.p99_ms / theirs.p99_ms);
        missed += judge(&format!("p99 against HAProxy's at {times}x"), p99, 1.5, "");
    }
    println!();
    Ok(missed)
}

fn measure(programs: &Programs, proxy: &Peer, rate: f64, seed: u32) -> Result<Run, String> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE])
        .arg(&programs.pushback)
        .args(["load", &format!("http://{}/request", proxy.address), "--json", "--slo", SLO])
        .args([
            "--rate",
            &rate.to_string(),
            "--duration",
            &format!("{SECONDS}s"),
            "--seed",
            &seed.to_string(),
        ])
        .output()
        .map_err(|error| format!("cannot run pushback load: {error}"))?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("pushback load: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let statuses = report["statuses"].as_object().ok_or("no statuses")?;
    let refused = statuses.iter().filter(|(status, _)| status.as_str() != "200");
    Ok(Run {
        goodput: number(&report["goodput"]["per_second"]),
        p99_ms: number(&statuses.get("200").unwrap_or(&Value::Null)["p99_ms"]),
        refused: refused.map(|(_, counts)| number(&counts["count"])).sum::<f64>() + 0.0, // an empty sum is -0
    })
}
