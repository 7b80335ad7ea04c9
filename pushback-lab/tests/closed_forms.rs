//! The simulator against queueing theory: mean times in the system by their closed forms, and Little's law on every run.

use pushback_lab::sim::{Record, Scenario, Steering, run};

/// Some hundred thousand calls through one station, behind a gauge that admits all of them.
fn record(station: &str, rate: f64, seed: u64) -> Record {
    let text = format!(
        "# A queue.\ndeadline = \"1h\"\nwarmup = \"1ns\"\n[[station]]\nname = \"queue\"\n{station}\n[[phase]]\nlasts = \"3600s\"\nrate = {rate}\n"
    );
    let scenario = Scenario::parse("queue", &text).unwrap();
    let record = run(&scenario, Steering::by_phase(vec![100_000]), seed).unwrap();
    let little = record.in_flight_seconds / record.call_seconds;
    assert!((little - 1.0).abs() < 1e-6, "Little's law: {little}");
    record
}

/// The mean time in the system, in milliseconds, of three seeds.
fn mean(station: &str, rate: f64) -> f64 {
    let means = [1, 2, 3].map(|seed| {
        let record = record(station, rate, seed);
        record.call_seconds / record.calls as f64 * 1000.0
    });
    means.iter().sum::<f64>() / 3.0
}

fn within_two_percent(measured: f64, exact: f64) {
    assert!((measured / exact - 1.0).abs() < 0.02, "{measured} ms instead of {exact} ms");
}

#[test]
fn one_worker_with_exponential_times_is_an_m_m_1_queue() {
    // 1 / (mu - lambda).
    within_two_percent(mean("workers = 1\ntime.exponential = \"10ms\"", 70.0), 1000.0 / 30.0);
}

#[test]
fn one_worker_with_constant_times_is_an_m_d_1_queue() {
    // Pollaczek and Khinchine: 1 / mu + rho / (2 mu (1 - rho)).
    within_two_percent(mean("workers = 1\ntime.constant = \"10ms\"", 80.0), 10.0 + 0.8 * 10.0 / (2.0 * 0.2));
}

#[test]
fn eight_workers_with_exponential_times_are_an_m_m_8_queue() {
    let (servers, service, rate) = (8.0_f64, 0.020, 340.0);
    let load = rate * service;
    // Erlang's C by his B, whose recursion is exact.
    let b = (1..=8).fold(1.0, |b, n| load * b / (f64::from(n) + load * b));
    let c = b / (1.0 - load / servers * (1.0 - b));
    let exact = (service + c * service / (servers - load)) * 1000.0;
    within_two_percent(mean("workers = 8\ntime.exponential = \"20ms\"", rate), exact);
}

#[test]
fn a_shared_processor_has_the_same_mean_time_whatever_the_distribution() {
    let exact = 1000.0 / 30.0;
    within_two_percent(mean("cores = 1\ntime.exponential = \"10ms\"", 70.0), exact);
    within_two_percent(mean("cores = 1\ntime.constant = \"10ms\"", 70.0), exact);
    let bimodal = "cores = 1\ntime.bimodal = { most = \"5ms\", few = \"55ms\", share = 0.1 }";
    within_two_percent(mean(bimodal, 70.0), exact);
}

#[test]
fn a_delay_takes_its_time_however_many_come() {
    within_two_percent(mean("time.exponential = \"50ms\"", 200.0), 50.0);
    within_two_percent(mean("time.pareto = { mean = \"50ms\", shape = 3 }", 200.0), 50.0);
}

#[test]
fn a_full_gauge_before_workers_loses_what_erlang_says() {
    // Eight places, eight workers, nobody waits: Erlang's B.
    let text = "# Loss.\ndeadline = \"1h\"\nwarmup = \"1ns\"\n[[station]]\nname = \"w\"\nworkers = 8\n\
                time.exponential = \"20ms\"\n[[phase]]\nlasts = \"3600s\"\nrate = 400\n";
    let scenario = Scenario::parse("loss", text).unwrap();
    let record = run(&scenario, Steering::by_phase(vec![8]), 1).unwrap();
    let measured = record.phases[0].refused as f64 / record.phases[0].requests as f64;
    let b = (1..=8).fold(1.0, |b, n| 8.0 * b / (f64::from(n) + 8.0 * b));
    assert!((measured / b - 1.0).abs() < 0.02, "{measured} instead of {b}");
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_gives_another() {
    let text = |seed| format!("{:?}", record("workers = 2\ntime.exponential = \"10ms\"", 150.0, seed));
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}
