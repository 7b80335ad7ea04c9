//! How many calls the simulator does in a second, on one core: `cargo xtask bench sim`.

use pushback::{Clock, SystemClock};
use pushback_lab::{
    limits::Contender,
    sim::{Scenario, run},
};

const ROUNDS: usize = 5;
const MUST: f64 = 1e6;

fn main() {
    let scenarios = Scenario::shipped().expect("the shipped scenarios are right");
    println!("Simulated calls a second on one core, refused ones among them, medians of {ROUNDS} rounds\n");
    println!("{:<14}{:>12}{:>14}{:>12}", "limit", "calls", "a second", "must");
    for name in ["fixed:20", "vegas", "envoy"] {
        let contender = Contender::parse(name).expect("it is known");
        let mut rates = Vec::new();
        let mut calls = 0;
        for _ in 0..ROUNDS {
            let begin = SystemClock.now();
            calls = scenarios
                .iter()
                .map(|scenario| {
                    run(scenario, contender.steering(20, 1), 1).expect("the settings are right").calls
                })
                .sum();
            rates.push(calls as f64 / (SystemClock.now() - begin).as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        let mark = if rate < MUST { "  missed" } else { "" };
        println!("{name:<14}{calls:>12}{rate:>14.0}{MUST:>12.0}{mark}");
    }
}
