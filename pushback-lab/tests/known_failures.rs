//! What is known to go wrong with each rule must go wrong here too, or the baselines are not those of others.

use std::time::Duration;

use pushback::limit::{Aimd, Gradient2, Limit, Vegas};
use pushback_lab::{
    limits::{Bbr, Envoy, Failsafe, Utilisation},
    sim::{Record, STEP, Scenario, Steering, run},
};

fn scenario(text: &str) -> Scenario {
    let head = "# A test.\ndeadline = \"1s\"\nwarmup = \"1ns\"\n[[station]]\nname = \"a\"\n";
    Scenario::parse("test", &format!("{head}{text}")).unwrap()
}

fn runs(scenario: &Scenario, limit: impl Limit) -> Record {
    let steering = Steering::limit(Box::new(limit), Utilisation::default());
    run(scenario, steering, 1).unwrap()
}

fn limit_at(record: &Record, seconds: u64) -> u32 {
    let step = Duration::from_secs(seconds).as_millis() / STEP.as_millis();
    record.steps[usize::try_from(step).unwrap() - 1].limit
}

fn refused_percent(record: &Record) -> f64 {
    let (refused, requests) =
        record.phases.iter().fold((0, 0), |(a, b), phase| (a + phase.refused, b + phase.requests));
    100.0 * refused as f64 / requests as f64
}

#[test]
fn gradient2_takes_its_own_queue_for_the_service_and_drifts_in_minutes_to_a_multiple() {
    // Eight shared processors at half as much again as they can do.
    let overloaded =
        scenario("cores = 8\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"15m\"\nrate = 600");
    let record = runs(&overloaded, Gradient2::new());
    let limits = [60, 300, 600, 900].map(|seconds| limit_at(&record, seconds));
    for (limit, published) in limits.into_iter().zip([40.0, 61.0, 104.0, 165.0]) {
        assert!((f64::from(limit) / published - 1.0).abs() < 0.15, "{limits:?}");
    }
}

#[test]
fn envoys_pin_refuses_a_healthy_service_that_takes_half_a_second() {
    for rate in [20, 40, 100] {
        let healthy =
            scenario(&format!("time.exponential = \"500ms\"\n[[phase]]\nlasts = \"10m\"\nrate = {rate}"));
        let refused = refused_percent(&runs(&healthy, Envoy::new().initial(1000)));
        assert!((8.0..=21.0).contains(&refused), "{rate} a second: {refused} % refused");
    }
}

#[test]
fn envoys_limit_drifts_to_its_maximum_while_hardly_anybody_comes() {
    let idle = scenario("workers = 8\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"40s\"\nrate = 40");
    let record = runs(&idle, Envoy::new().initial(20));
    assert!(limit_at(&record, 39) > 900, "{}", limit_at(&record, 39));
}

#[test]
fn vegas_takes_a_slower_dependency_for_a_queue() {
    // Nothing queues: the delay is ten times as long from the thirtieth second on, and every call could be served.
    let text = "time.exponential = \"40ms\"\n[[phase]]\nlasts = \"30s\"\nrate = 1000\n\
                [[phase]]\nlasts = \"60s\"\nrate = 1000\nchange.a.speed = 0.1";
    let record = runs(&scenario(text), Vegas::new());
    let served = record.phases[1].good as f64 / record.phases[1].requests as f64;
    assert!(served < 0.5, "{served} served");
}

#[test]
fn aimd_does_not_see_a_service_that_only_gets_slow() {
    let overloaded =
        scenario("workers = 8\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"5m\"\nrate = 600");
    assert_eq!(limit_at(&runs(&overloaded, Aimd::new()), 300), 200);
}

#[test]
fn failsafe_is_late_at_a_cold_start() {
    let large =
        scenario("workers = 400\ntime.exponential = \"50ms\"\n[[phase]]\nlasts = \"15s\"\nrate = 4000");
    let record = runs(&large, Failsafe::new());
    assert!(refused_percent(&record) > 50.0, "{}", refused_percent(&record));
}

#[test]
fn bbr_lets_thousands_pass_before_it_sees_that_the_processors_are_busy() {
    let overloaded =
        scenario("workers = 8\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"60s\"\nrate = 600");
    let utilisation = Utilisation::default();
    let limit = Box::new(Bbr::new(utilisation.clone(), 5000));
    let record = run(&overloaded, Steering::limit(limit, utilisation), 1).unwrap();
    // After the processors' mean has come to 0.8, the least time it knows is that of the queue.
    assert!(record.phases[0].settled.value_at_quantile(0.5) > 2_000_000, "microseconds");
}
