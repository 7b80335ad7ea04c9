//! Runs `pushback/benches/served.rs` under wrk, server and load on different cores: CPU of the server for each request.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use super::{TICKS_A_SECOND, build, median, wrk};
use crate::packages;

const SERVED: [&str; 5] = ["plain", "pushback", "tower", "pushback-refusing", "tower-refusing"];
const ROUNDS: usize = 5;
const SECONDS: u32 = 3;

/// For information: nothing must come out.
pub(crate) fn run() -> Result<(), String> {
    if !packages::is_there("wrk") {
        println!("\nFor CPU under load, install wrk (Debian: wrk)");
        return Ok(());
    }
    let program = build("served", "bench-default")?;
    println!(
        "\nCPU of the server for each request under wrk, microseconds, medians of {ROUNDS} interleaved rounds"
    );
    println!(
        "16 connections, one core for each of the two, HTTP/1.1 keep-alive; tower is LoadShed on GlobalConcurrencyLimit\n"
    );
    let mut costs = SERVED.map(|_| Vec::new());
    for round in 1..=ROUNDS {
        for (served, costs) in SERVED.iter().zip(&mut costs) {
            costs.push(cost(&program, served)?);
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    let medians = costs.map(median);
    println!("{:<20}{:>8}{:>18}", "", "µs", "against plain");
    for (served, median) in SERVED.iter().zip(medians) {
        println!("{served:<20}{median:>8.2}{:>18.3}", median / medians[0]);
    }
    Ok(())
}

fn cost(program: &Path, served: &str) -> Result<f64, String> {
    let said = |error| format!("{served}: {error}");
    let mut server = Command::new("taskset")
        .args(["-c", "0"])
        .arg(program)
        .arg(served)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(said)?;
    let mut told = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut address = String::new();
    told.read_line(&mut address).map_err(said)?;
    let counted = wrk::run(16, SECONDS, &format!("http://{}/", address.trim()));
    drop(server.stdin.take()); // ends it
    let mut ticks = String::new();
    told.read_to_string(&mut ticks).map_err(said)?;
    server.wait().map_err(said)?;
    match ticks.trim().parse::<f64>() {
        Ok(ticks) => Ok(ticks / TICKS_A_SECOND * 1e6 / counted?.requests),
        Err(_) => Err(format!("{served} said {ticks:?}")),
    }
}
