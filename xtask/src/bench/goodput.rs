//! The lab against real services: what is answered in time, and how long it takes, over HTTP and as the simulator says.
//!
//! Service and load are processes on a core each. A service is calibrated over HTTP, too, so that what HTTP adds is in the times
//! that the simulator is told. Both sides count all requests from the first one on, and wait for the last answers.

mod lab;
pub(super) mod real;
mod service;

use std::fmt;

pub(crate) use self::service::Service;
use self::{lab::Lab, real::Programs};
use super::{median, verdict};

/// Where those begin that move, by their own settings.
const INITIAL: u32 = 20;
const ROUNDS: u32 = 3;
/// How far the measured goodput may be from the predicted one, as a part of it.
const GOODPUT_WITHIN: f64 = 0.05;
/// The same of the time that half of those take that are admitted.
const TIME_WITHIN: f64 = 0.15;

/// What is compared.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Answers within the time wanted, a second.
    goodput: f64,
    /// How long half of those took at most that were admitted, in milliseconds.
    p50_ms: f64,
}

/// A limit at a load.
struct Row {
    load: f64,
    rate: f64,
    limit: &'static str,
    measured: Vec<Figures>,
    /// Runs that the load generator could not send as it should, also when they were repeated.
    invalid: usize,
}

pub(crate) fn run(seconds: u32, only: Option<Service>) -> Result<(), String> {
    let programs = Programs::build()?;
    let services = only.map_or(Service::ALL.to_vec(), |service| vec![service]);
    println!(
        "Goodput, answers within 200 ms a second (streams: within 1.5 s, to their ends), and the median time of the admitted, ms: medians of {ROUNDS} interleaved \
         rounds of {seconds} s\nbeside the lab's; within {:.0} % and {:.0} % of it\n",
        100.0 * GOODPUT_WITHIN,
        100.0 * TIME_WITHIN
    );
    let mut missed = 0;
    for service in services {
        missed += compare(service, &programs, seconds)?;
    }
    verdict(missed)
}

/// Gives how many figures are missed.
fn compare(service: Service, programs: &Programs, seconds: u32) -> Result<usize, String> {
    let calibrated = service.calibrate(programs)?;
    println!("{}: {calibrated}", service.name());
    let mut rows: Vec<Row> = service
        .loads()
        .iter()
        .flat_map(|load| service.limits().map(|limit| Row::new(*load, calibrated.capacity, limit)))
        .collect();
    for round in 1..=ROUNDS {
        for row in &mut rows {
            row.measure(service, programs, seconds, round)?;
        }
        eprintln!("round {round} of {ROUNDS}");
    }
    let lab = Lab { programs, service, stations: service.stations(&calibrated), seconds };
    println!("{:<8}{:<12}{:^30}{:^30}", "", "", "goodput", "median time");
    println!("{:<8}{:<12}{}{}", "load", "limit", Comparison::HEAD, Comparison::HEAD);
    let mut missed = 0;
    for at_one_load in rows.chunks(service.limits().len()) {
        let predicted = lab.predict(at_one_load[0].rate)?;
        for (row, predicted) in at_one_load.iter().zip(predicted) {
            missed += row.print(predicted, service.is_judged());
        }
    }
    println!();
    Ok(missed)
}

impl Row {
    fn new(load: f64, capacity: f64, limit: &'static str) -> Self {
        Row { load, rate: (load * capacity).round(), limit, measured: Vec::new(), invalid: 0 }
    }

    fn measure(
        &mut self,
        service: Service,
        programs: &Programs,
        seconds: u32,
        round: u32,
    ) -> Result<(), String> {
        // Both programs of services call a fixed limit by its number.
        let limit = self.limit.strip_prefix("fixed:").unwrap_or(self.limit);
        let start = || service.behind(programs, limit);
        let (figures, is_valid) = real::measure(start, programs, self.rate, seconds, round, service.slo())?;
        self.measured.push(figures);
        self.invalid += usize::from(!is_valid);
        Ok(())
    }

    /// Gives how many figures are missed; of an invalid run, both are.
    fn print(&self, predicted: Figures, is_judged: bool) -> usize {
        let measured = |figure: fn(&Figures) -> f64| median(self.measured.iter().map(figure).collect());
        let goodput = Comparison { measured: measured(|all| all.goodput), predicted: predicted.goodput };
        let time = Comparison { measured: measured(|all| all.p50_ms), predicted: predicted.p50_ms };
        let mut missed = Vec::new();
        if self.invalid > 0 || !goodput.is_within(GOODPUT_WITHIN) {
            missed.push("goodput");
        }
        if self.invalid > 0 || !time.is_within(TIME_WITHIN) {
            missed.push("time");
        }
        let mark = match (missed.is_empty(), is_judged) {
            (true, _) => String::new(),
            (false, true) => format!("  missed: {}", missed.join(", ")),
            (false, false) => format!("  differs: {}", missed.join(", ")),
        };
        let invalid =
            if self.invalid > 0 { format!("  {} runs invalid", self.invalid) } else { String::new() };
        println!("{:<8}{:<12}{goodput}{time}{mark}{invalid}", format!("{}x", self.load), self.limit);
        if is_judged { missed.len() } else { 0 }
    }
}

struct Comparison {
    measured: f64,
    predicted: f64,
}

impl Comparison {
    const HEAD: &str = "  measured predicted     ratio";

    fn ratio(&self) -> f64 {
        self.measured / self.predicted
    }

    /// What is no number is not.
    fn is_within(&self, part: f64) -> bool {
        (self.ratio() - 1.0).abs() <= part
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.1}{:>10.1}{:>10.3}", self.measured, self.predicted, self.ratio())
    }
}
