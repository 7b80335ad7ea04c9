//! What the disciplines of a line do before one worker: under twice the load that it can do, and at 93 % of it. Medians of seven
//! seeds. The overload is the one of bohde's `codel` (github.com/bohde/codel): Poisson 1,000 a second into exponential 500 a second.

use hdrhistogram::Histogram;
use pushback::Reason;
use pushback_lab::sim::{Record, Scenario, Steering, run};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

const SEEDS: u64 = 7;

struct Case {
    /// What the worker takes, calls a second, and for how many seconds.
    service: &'static str,
    rate: u32,
    lasts: u32,
}

const OVERLOADED: Case = Case { service: "2ms", rate: 1_000, lasts: 10 };
/// A worker of 3.33 ms does 300 a second.
const HEALTHY: Case = Case { service: "3333us", rate: 279, lasts: 60 };

/// Medians of the seeds.
struct Outcome {
    p50_ms: f64,
    p99_ms: f64,
    good: f64,
    refused_percent: f64,
}

impl Case {
    fn with(&self, discipline: &str) -> Outcome {
        let Case { service, rate, lasts } = self;
        let text = format!(
            "# A test.\ndeadline = \"1h\"\nwarmup = \"1ns\"\n\
             line = {{ places = 100000, wait = \"1h\", discipline = \"{discipline}\" }}\n\
             [[station]]\nname = \"worker\"\nworkers = 1\ntime.exponential = \"{service}\"\n\
             [[phase]]\nlasts = \"{lasts}s\"\nrate = {rate}"
        );
        let scenario = Scenario::parse("test", &text).unwrap();
        let records: Vec<Record> =
            (1..=SEEDS).map(|seed| run(&scenario, Steering::by_phase(vec![1]), seed).unwrap()).collect();
        let of = |percentile| {
            median(records.iter().map(|record| times(record).value_at_quantile(percentile) as f64 / 1000.0))
        };
        let phases = || records.iter().map(|record| &record.phases[0]);
        let refused = phases().map(|phase| 100.0 * phase.refused as f64 / phase.requests as f64);
        Outcome {
            p50_ms: of(0.5),
            p99_ms: of(0.99),
            good: median(phases().map(|phase| phase.good as f64)),
            refused_percent: median(refused),
        }
    }
}

/// How long the admitted took from their arrival on, in microseconds.
fn times(record: &Record) -> Histogram<u32> {
    let phase = &record.phases[0];
    let mut all = phase.settling.clone();
    all.add(&phase.settled).unwrap();
    all
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
#[ignore = "prints the table of docs/line.md"]
fn all_disciplines_in_both_cases() {
    for discipline in ["fifo", "codel", "adaptive-lifo", "lifo"] {
        let (much, nearly) = (OVERLOADED.with(discipline), HEALTHY.with(discipline));
        println!(
            "| `{discipline}` | {:.1} ms | {:.0} ms | {:.1} % | {:.0} ms |",
            much.p50_ms, much.p99_ms, nearly.refused_percent, nearly.p99_ms
        );
    }
}

#[test]
fn a_plain_line_makes_everybody_late_and_codel_does_not() {
    let (fifo, codel) = (OVERLOADED.with("fifo"), OVERLOADED.with("codel"));
    println!(
        "fifo {:.1} ms, codel {:.1} ms; {} and {} served",
        fifo.p99_ms, codel.p99_ms, fifo.good, codel.good
    );
    assert!(fifo.p99_ms > 1_000.0);
    assert!(codel.p99_ms <= 63.0, "{:.1} ms", codel.p99_ms);
    assert!(codel.good >= 0.99 * fifo.good, "{} and {}", codel.good, fifo.good);
}

#[test]
fn codel_refuses_few_of_a_service_that_is_nearly_full() {
    let codel = HEALTHY.with("codel");
    println!("{:.2} % refused, p99 {:.1} ms", codel.refused_percent, codel.p99_ms);
    assert!(codel.refused_percent <= 3.0, "{:.2} %", codel.refused_percent);
}

#[test]
fn at_three_times_the_load_hardly_anybody_waits_for_nothing() {
    for (service, workers, cost) in [("2ms", 1, 1), ("20ms", 10, 1), ("20ms", 10, 3)] {
        for discipline in ["fifo", "codel"] {
            let rate = 1_500 / cost;
            let text = format!(
                "# A test.\ndeadline = \"1s\"\nwarmup = \"1ns\"\n\
                 line = {{ places = 10000, wait = \"200ms\", discipline = \"{discipline}\" }}\n\
                 [[route]]\nshare = 1\nwork = 1\ncost = {cost}\n\
                 [[station]]\nname = \"worker\"\nworkers = {workers}\ntime.exponential = \"{service}\"\n\
                 [[phase]]\nlasts = \"20s\"\nrate = {rate}"
            );
            let scenario = Scenario::parse("test", &text).unwrap();
            let waited = median((1..=SEEDS).map(|seed| {
                let refusals = run(&scenario, Steering::by_phase(vec![workers]), seed).unwrap().refusals;
                100.0 * refusals.by(Reason::WaitedTooLong) as f64 / refusals.total() as f64
            }));
            println!(
                "{discipline}, {workers} of {service}, cost {cost}: {waited:.2} % of the refused had waited"
            );
            assert!(waited <= 1.0, "{discipline}, {workers} of {service}, cost {cost}: {waited:.2} %");
        }
    }
}

#[test]
fn half_of_the_answers_come_at_once_where_the_newest_is_next_in_a_line_that_stands() {
    let newest = OVERLOADED.with("adaptive-lifo");
    println!("p50 {:.1} ms, p99 {:.1} ms, {} served", newest.p50_ms, newest.p99_ms, newest.good);
    assert!(newest.p50_ms <= 10.0, "{:.1} ms", newest.p50_ms);
    assert!(newest.p99_ms <= 100.0, "{:.1} ms", newest.p99_ms);
}

/// One worker before a line whose newest call is next: at twice the load.
struct NewestFirst {
    random: SplitMix64,
    waiting: Vec<f64>,
    now: f64,
    next: f64,
}

impl NewestFirst {
    fn new(seed: u64) -> Self {
        NewestFirst { random: SplitMix64::seed_from_u64(seed), waiting: Vec::new(), now: 0.0, next: 0.0 }
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        let number = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        -mean * (1.0 - number).ln()
    }

    /// Takes whoever came last, once somebody has come; says how long that call has waited.
    fn newest(&mut self) -> f64 {
        if self.waiting.is_empty() {
            self.now = self.now.max(self.next);
        }
        while self.next <= self.now {
            self.waiting.push(self.next);
            self.next += self.exponential(0.001);
        }
        self.now - self.waiting.pop().unwrap()
    }

    /// Ten seconds, where `drops` says of each call that is next whether it is dropped, by the time and by its wait.
    fn work(&mut self, mut drops: impl FnMut(f64, f64) -> bool) {
        while self.now < 10.0 {
            let waited = self.newest();
            if !drops(self.now, waited) {
                self.now += self.exponential(0.002);
            }
        }
    }
}

/// CoDel as RFC 8289 has it, with its 5 ms and 100 ms.
#[derive(Default)]
struct TextbookCodel {
    first_above: Option<f64>,
    dropping: bool,
    next: f64,
    count: f64,
}

impl TextbookCodel {
    fn drops(&mut self, now: f64, waited: f64) -> bool {
        let (target, interval) = (0.005, 0.1);
        if waited < target {
            self.first_above = None;
            self.dropping = false;
            return false;
        }
        let above = *self.first_above.get_or_insert(now + interval);
        if self.dropping {
            let is_due = now >= self.next;
            if is_due {
                self.count += 1.0;
                self.next += interval / self.count.sqrt();
            }
            return is_due;
        }
        if now < above {
            return false;
        }
        self.dropping = true;
        self.count = if now - self.next < interval && self.count > 2.0 { self.count - 2.0 } else { 1.0 };
        self.next = now + interval / self.count.sqrt();
        true
    }
}

/// Why the library has no line in which whoever came last is next and the textbook's CoDel drops: the newest have hardly waited, so it sees no
/// line at all. Half of the calls wait until their callers give up. Adaptive LIFO refuses them.
#[test]
fn the_textbooks_codel_does_not_see_the_line_of_which_the_newest_is_next() {
    let waiting = median((1..=SEEDS).map(|seed| {
        let (mut line, mut codel) = (NewestFirst::new(seed), TextbookCodel::default());
        line.work(|now, waited| codel.drops(now, waited));
        line.waiting.len() as f64
    }));
    let refused = OVERLOADED.with("adaptive-lifo").refused_percent;
    println!("the textbook's CoDel leaves {waiting} waiting, adaptive LIFO refuses {refused:.1} %");
    assert!(waiting > 4_000.0, "{waiting} of 10,000 wait for ever");
    assert!(refused > 45.0, "{refused:.1} %");
}
