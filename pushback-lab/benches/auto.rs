//! What is asked of `Auto` beside its score: refusals of healthy loads, drift, steps, latency. In virtual time, so the figures
//! repeat: `cargo xtask bench auto`.

use std::time::Duration;

use pushback_lab::{
    limits::Contender,
    sim::{Record, STEP, Scenario, Steering, run},
};

const SEEDS: u64 = 5;
const INITIALS: [u32; 3] = [1, 20, 1000];

/// Services: a name, stations, how many calls a second they can do, the time of a call alone in seconds, and its unloaded 99th
/// percentile in milliseconds.
const SERVICES: [Service; 8] = [
    service("8 workers, 20 ms", "workers = 8\ntime.exponential = \"20ms\"", 400.0, 0.02, 92.1),
    service("1 worker, 20 ms", "workers = 1\ntime.exponential = \"20ms\"", 50.0, 0.02, 92.1),
    service("100 workers, 20 ms", "workers = 100\ntime.exponential = \"20ms\"", 5000.0, 0.02, 92.1),
    service("8 shared processors, 20 ms", "cores = 8\ntime.exponential = \"20ms\"", 400.0, 0.02, 92.1),
    service("4 workers, always 50 ms", "workers = 4\ntime.constant = \"50ms\"", 80.0, 0.05, 50.0),
    service("40 workers, always 500 ms", "workers = 40\ntime.constant = \"500ms\"", 80.0, 0.5, 500.0),
    service(
        "16 workers, 10 ms, some 110 ms",
        "workers = 16\ntime.bimodal = { most = \"10ms\", few = \"110ms\", share = 0.1 }",
        800.0,
        0.02,
        110.0,
    ),
    service(
        "32 workers, heavy tail",
        "workers = 32\ntime.pareto = { mean = \"20ms\", shape = 2.2 }",
        1600.0,
        0.02,
        88.5,
    ),
];

struct Service {
    name: &'static str,
    station: &'static str,
    capacity: f64,
    time: f64,
    p99_ms: f64,
}

const fn service(
    name: &'static str,
    station: &'static str,
    capacity: f64,
    time: f64,
    p99_ms: f64,
) -> Service {
    Service { name, station, capacity, time, p99_ms }
}

impl Service {
    /// Phases: how long, at which part of the capacity, and what is other then.
    fn scenario(&self, phases: &[(u64, f64, &str)]) -> Scenario {
        let mut text =
            format!("# A bench.\ndeadline = \"{:.0}ms\"\nwarmup = \"10s\"\n[[station]]\nname = \"a\"\n", {
                20.0 * 1000.0 * self.time
            });
        text += self.station;
        for (seconds, load, change) in phases {
            let rate = self.capacity * load;
            text += &format!("\n[[phase]]\nlasts = \"{seconds}s\"\nrate = {rate}\n{change}");
        }
        Scenario::parse("bench", &text).expect("it is a scenario")
    }
}

fn main() {
    refusals();
    drift();
    steps();
    latency();
}

/// Runs of all beginnings and seeds.
fn runs(scenario: &Scenario) -> Vec<Record> {
    let auto = Contender::parse("auto").expect("it is known");
    let all = INITIALS.iter().flat_map(|initial| (1..=SEEDS).map(move |seed| (*initial, seed)));
    all.map(|(initial, seed)| {
        run(scenario, auto.steering(initial, seed), seed).expect("the settings are right")
    })
    .collect()
}

fn at(seconds: u64) -> usize {
    usize::try_from(Duration::from_secs(seconds).as_millis() / STEP.as_millis()).unwrap_or(usize::MAX)
}

fn mark(is_missed: bool) -> &'static str {
    if is_missed { "  missed" } else { "" }
}

fn refusals() {
    println!("Refused after ten seconds of a steady load, in percent: the mean and the worst of 15 runs");
    println!("{:<32}{:>16}{:>16}{:>24}", "", "at half load", "at 70 %", "must 0, below 0.1");
    for service in &SERVICES {
        let [half, more] = [0.5, 0.7].map(|load| {
            let parts: Vec<f64> = runs(&service.scenario(&[(110, load, "")]))
                .iter()
                .map(|run| 100.0 * run.phases[0].refused as f64 / run.phases[0].requests as f64)
                .collect();
            let mean = parts.iter().sum::<f64>() / parts.len() as f64;
            (mean, parts.iter().copied().fold(0.0, f64::max))
        });
        let is_missed = half.0 > 0.0 || more.0 >= 0.1;
        let shown = |(mean, worst): (f64, f64)| format!("{mean:.4} / {worst:.3}");
        println!("{:<32}{:>16}{:>16}{}", service.name, shown(half), shown(more), mark(is_missed));
    }
}

fn drift() {
    println!(
        "\nSixty minutes at half as much again as it can do: the mean limit of minutes 2 to 5 and 55 to 60, and goodput"
    );
    println!(
        "{:<32}{:>10}{:>10}{:>10}{:>12}{:>36}",
        "", "2 to 5", "55 to 60", "ratio", "goodput", "must within 20 %, 95 % of the best"
    );
    let knee = service(
        "64 processors with a knee",
        "cores = 64\ncontention = 0.01\ncoherency = 0.001\ntime.exponential = \"20ms\"",
        690.0,
        0.02,
        92.1,
    );
    for service in SERVICES.iter().chain([&knee]) {
        let scenario = service.scenario(&[(3600, 1.5, "")]);
        let auto = Contender::parse("auto").expect("it is known");
        let run = run(&scenario, auto.steering(20, 1), 1).expect("the settings are right");
        let mean = |from: u64, to: u64| {
            let steps = &run.steps[at(60 * from)..at(60 * to)];
            steps.iter().map(|step| f64::from(step.limit)).sum::<f64>() / steps.len() as f64
        };
        let (early, late) = (mean(2, 5), mean(55, 60));
        let goodput = run.phases[0].good as f64 / run.phases[0].seconds / best(&scenario);
        let is_missed = (late / early - 1.0).abs() > 0.2 || goodput < 0.95;
        println!(
            "{:<32}{early:>10.1}{late:>10.1}{:>10.2}{:>10.1} %{}",
            service.name,
            late / early,
            100.0 * goodput,
            mark(is_missed)
        );
    }
}

/// What the best fixed limit answers in time, a second.
fn best(scenario: &Scenario) -> f64 {
    let goodput = |limit: u32| {
        let run = run(scenario, Steering::by_phase(vec![limit]), 1).expect("a number is a limit");
        run.phases[0].good as f64 / run.phases[0].seconds
    };
    [2, 3, 4, 6, 8, 10, 14, 20, 28, 34, 40, 57, 80, 115, 163].into_iter().map(goodput).fold(0.0, f64::max)
}

fn steps() {
    println!(
        "\nA step of the capacity under twice the load it can do before: seconds to 95 % of the later goodput, mean of 15 runs"
    );
    println!("{:<32}{:>14}{:>14}{:>10}", "", "to a quarter", "to fourfold", "must");
    for service in &SERVICES {
        let must = f64::max(3.0, 100.0 * service.time);
        let [down, up] = [0.25, 4.0].map(|speed| {
            let load = 2.0 * f64::max(1.0, speed);
            let change = format!("change.a.speed = {speed}\n");
            let records = runs(&service.scenario(&[(30, 2.0, ""), (60, load, &change)]));
            // What the service does in the last third is what it can do.
            let good = |from: usize, to: usize| -> f64 {
                let each = records.iter().flat_map(|run| &run.steps[from..to]);
                each.map(|step| f64::from(step.good)).sum::<f64>() / (to - from) as f64
            };
            let later = good(at(70), at(90));
            let second = at(1);
            let back = (at(30)..at(70)).find(|step| good(*step, step + second) >= 0.95 * later);
            back.map_or(f64::INFINITY, |step| (step - at(30)) as f64 * STEP.as_secs_f64())
        });
        let is_missed = down > must || up > must;
        println!("{:<32}{down:>14.2}{up:>14.2}{must:>10.1}{}", service.name, mark(is_missed));
    }
}

fn latency() {
    println!(
        "\nThe 99th percentile of the admitted at ten times the load, once the phase is five seconds old, by that of an idle service"
    );
    println!("{:<32}{:>10}{:>10}{:>10}", "", "ms", "ratio", "must 3");
    for service in &SERVICES {
        let records = runs(&service.scenario(&[(60, 10.0, "")]));
        let mut all = records[0].phases[0].settled.clone();
        for record in &records[1..] {
            all.add(&record.phases[0].settled).expect("all have the same bounds");
        }
        let p99 = all.value_at_quantile(0.99) as f64 / 1000.0;
        let ratio = p99 / service.p99_ms;
        println!("{:<32}{p99:>10.0}{ratio:>10.2}{:>10}{}", service.name, "", mark(ratio > 3.0));
    }
}
