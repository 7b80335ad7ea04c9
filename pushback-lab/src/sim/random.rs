//! Scenarios that nobody has chosen: what a limit is worth where it was not tuned.
//!
//! Each is a scenario file that was written by dice, and can be kept and run as one. The ranges are what services are seen to have:
//! from a cache in a millisecond to a report in two seconds, from one worker to two hundred, service times from constant to heavy tails
//! (Harchol-Balter, *Performance Modeling and Design of Computer Systems*, 20 and 21), loads that come in bursts and clumps (Leland et
//! al., *On the Self-Similar Nature of Ethernet Traffic*), coherency that bends throughput back (Gunther, *Guerrilla Capacity Planning*,
//! 4), and callers who wait for a few times what a call takes, give up, and try again.

use std::fmt::Write;

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

use super::scenario::{Scenario, ScenarioError};

/// What the service can do at most, in calls a second: a run of ten times that is some hundred thousand calls.
const CAPACITY_MAX: f64 = 500.0;
/// Phases are at least so long, in seconds, and long enough for so many calls that the service can do; up to a bound.
const LASTS: f64 = 20.0;
const LASTS_CALLS: f64 = 150.0;
const LASTS_MAX: f64 = 240.0;

/// A scenario of a set, as text.
///
/// The same seed and number give the same text, however many there are in a set.
pub fn random_text(seed: u64, number: u32) -> String {
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = Dice::new(seed, number).write(&mut text, seed, number);
    text
}

impl Scenario {
    /// So many scenarios at random, `random-SEED-1` and so on.
    ///
    /// # Errors
    ///
    /// If one of them is wrong, which a test excludes.
    pub fn random(seed: u64, count: u32) -> Result<Vec<Self>, ScenarioError> {
        (1..=count)
            .map(|number| Scenario::parse(&format!("random-{seed}-{number}"), &random_text(seed, number)))
            .collect()
    }
}

/// What limits the service.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bottleneck {
    /// So many workers, or connections of a pool.
    Workers(u32),
    /// So many processors, which all calls share, and which may get in each other's way.
    Cores { cores: u32, contention: f64, coherency: f64 },
    /// A lock, which each call needs for its time, behind work that none waits for.
    Lock { before: f64 },
}

impl Bottleneck {
    /// How many calls of this length it does at most, in a second.
    fn capacity(self, time: f64) -> f64 {
        match self {
            Bottleneck::Workers(workers) => f64::from(workers) / time,
            Bottleneck::Cores { cores, contention, coherency } => {
                let rate = |n: f64| {
                    n * (f64::from(cores) / n).min(1.0) / (1.0 + (n - 1.0) * (contention + coherency * n))
                };
                (1..=400).map(|n| rate(f64::from(n))).fold(0.0, f64::max) / time
            }
            Bottleneck::Lock { .. } => 1.0 / time,
        }
    }
}

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn new(seed: u64, number: u32) -> Self {
        Dice(Xoshiro256PlusPlus::seed_from_u64(seed << 20 ^ u64::from(number)))
    }

    /// 0 to below 1.
    fn roll(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn is(&mut self, part: f64) -> bool {
        self.roll() < part
    }

    /// From the one to the other, and as often a tenth as ten times something.
    fn between(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.roll())
    }

    fn whole(&mut self, least: u32, most: u32) -> u32 {
        let whole = self.between(f64::from(least), f64::from(most) + 0.999);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between the two"
        )]
        let whole = whole as u32;
        whole.clamp(least, most)
    }

    fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an index")]
        let index = (N as f64 * self.roll()) as usize;
        all[index.min(N - 1)]
    }

    fn bottleneck(&mut self) -> Bottleneck {
        match self.roll() {
            roll if roll < 0.5 => Bottleneck::Workers(self.whole(1, 200)),
            roll if roll < 0.85 => {
                let cores = self.whole(1, 64);
                // More processors are in each other's way less, or nobody would buy them.
                let (size, has_knee) = (f64::from(cores), self.is(0.6));
                let mut part = |of: f64| if has_knee { self.between(0.05, 1.0) / of } else { 0.0 };
                let (contention, coherency) = (part(size), part((size * size).max(4.0)));
                Bottleneck::Cores { cores, contention: contention.min(0.5), coherency: coherency.min(0.1) }
            }
            _ => Bottleneck::Lock { before: self.between(0.5, 20.0) },
        }
    }

    /// How times are distributed, by their mean.
    fn work(&mut self, mean: f64) -> String {
        match self.roll() {
            roll if roll < 0.2 => format!("time.constant = \"{}\"", time(mean)),
            roll if roll < 0.6 => format!("time.exponential = \"{}\"", time(mean)),
            roll if roll < 0.8 => {
                // Few calls that are dearer, and the mean stays.
                let (share, dearer) = (self.between(0.01, 0.3), self.between(3.0, 30.0));
                let most = mean / (1.0 + share * (dearer - 1.0));
                format!(
                    "time.bimodal = {{ most = \"{}\", few = \"{}\", share = {share:.3} }}",
                    time(most),
                    time(most * dearer)
                )
            }
            _ => {
                let shape = 1.3 + 1.7 * self.roll();
                format!("time.pareto = {{ mean = \"{}\", shape = {shape:.2} }}", time(mean))
            }
        }
    }

    fn arrivals(&mut self, call: f64) -> Option<String> {
        match self.roll() {
            roll if roll < 0.6 => None,
            roll if roll < 0.75 => {
                let (on, off) = (self.between(0.3, 3.0).max(3.0 * call), self.between(0.3, 5.0));
                Some(format!(
                    "arrivals = {{ bursts = {{ on = \"{}\", off = \"{}\" }} }}",
                    time(on),
                    time(off)
                ))
            }
            roll if roll < 0.9 => Some(format!("arrivals = {{ clumps = {} }}", self.whole(2, 10))),
            _ => Some(format!("arrivals = {{ batches = {} }}", self.whole(2, 30))),
        }
    }

    fn write(&mut self, text: &mut String, seed: u64, number: u32) -> std::fmt::Result {
        let bottleneck = self.bottleneck();
        let asked = self.between(0.001, 2.0);
        // Fewer calls a second, where it would be more than a run is worth.
        let call = asked.max(asked * bottleneck.capacity(asked) / CAPACITY_MAX);
        let capacity = bottleneck.capacity(call);
        let delay = self.is(0.3).then(|| call * self.between(0.1, 10.0));
        let before = if let Bottleneck::Lock { before } = bottleneck { call * before } else { 0.0 };
        let idle = call + before + delay.unwrap_or(0.0);
        let deadline = idle * self.between(3.0, 30.0);

        writeln!(
            text,
            "# Number {number} of the random scenarios by seed {seed}: {capacity:.3} calls a second at most."
        )?;
        writeln!(text, "deadline = \"{}\"", time(deadline))?;
        self.write_client(text, deadline)?;
        if let Some(delay) = delay {
            writeln!(text, "\n[[station]]\nname = \"elsewhere\"\n{}", self.work(delay))?;
        }
        if let Bottleneck::Lock { .. } = bottleneck {
            writeln!(text, "\n[[station]]\nname = \"before\"\n{}", self.work(before))?;
        }
        writeln!(text, "\n[[station]]\nname = \"service\"\n{}", self.work(call))?;
        match bottleneck {
            Bottleneck::Workers(workers) => writeln!(text, "workers = {workers}")?,
            Bottleneck::Lock { .. } => writeln!(text, "workers = 1")?,
            Bottleneck::Cores { cores, contention, coherency } => {
                writeln!(text, "cores = {cores}\ncontention = {contention:.5}\ncoherency = {coherency:.6}")?;
            }
        }
        for _ in 0..self.whole(2, 5) {
            self.write_phase(text, bottleneck, capacity, idle)?;
        }
        Ok(())
    }

    fn write_client(&mut self, text: &mut String, deadline: f64) -> std::fmt::Result {
        if self.is(0.5) {
            return Ok(());
        }
        writeln!(text, "\n[client]\ntimeout = \"{}\"", time(deadline * self.between(0.7, 2.0)))?;
        if self.is(0.5) {
            writeln!(text, "retries = {}", self.whole(1, 3))?;
            writeln!(text, "retries-refused = {}", self.is(0.5))?;
            writeln!(text, "backoff = \"{}\"", time(self.between(0.05, 2.0)))?;
        }
        let hang_up = self.one_of(["noticed", "begun", "unnoticed"]);
        writeln!(text, "hang-up = \"{hang_up}\"")
    }

    fn write_phase(
        &mut self,
        text: &mut String,
        bottleneck: Bottleneck,
        capacity: f64,
        idle: f64,
    ) -> std::fmt::Result {
        let lasts = self.between(LASTS, 2.0 * LASTS).max(LASTS_CALLS / capacity).min(LASTS_MAX);
        let (capacity, change) = match bottleneck {
            _ if self.is(0.6) => (capacity, None),
            Bottleneck::Workers(workers) if workers >= 4 && self.is(0.5) => {
                let left = self.whole(1, workers / 2);
                (capacity * f64::from(left) / f64::from(workers), Some(format!("workers = {left}")))
            }
            _ => {
                let speed = self.between(0.2, 1.5);
                (capacity * speed, Some(format!("speed = {speed:.3}")))
            }
        };
        let load = self.between(0.4, 10.0);
        let arrivals = self.arrivals(idle);
        writeln!(text, "\n[[phase]]\nlasts = \"{}\"\nrate = {:.3}", time(lasts), load * capacity)?;
        if load <= 0.5 && arrivals.is_none() {
            writeln!(text, "healthy = true")?;
        }
        if let Some(arrivals) = arrivals {
            writeln!(text, "{arrivals}")?;
        }
        if let Some(change) = change {
            writeln!(text, "change.service.{change}")?;
        }
        Ok(())
    }
}

/// Seconds as scenarios write them.
fn time(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes at most")]
    let micros = (seconds * 1e6).round() as u64;
    humantime::format_duration(std::time::Duration::from_micros(micros.max(1))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_scenarios_and_each_seed_has_others() {
        for seed in 0..5 {
            let some = Scenario::random(seed, 200).unwrap();
            assert_eq!(some.len(), 200);
        }
        assert_ne!(random_text(1, 1), random_text(2, 1));
        assert_ne!(random_text(1, 1), random_text(1, 2));
        assert_eq!(random_text(1, 7), random_text(1, 7));
    }

    #[test]
    fn what_a_bottleneck_can_do_is_as_the_station_has_it() {
        let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-9 * other, "{one} {other}");
        near(Bottleneck::Workers(8).capacity(0.02), 400.0);
        near(Bottleneck::Lock { before: 3.0 }.capacity(0.02), 50.0);
        let cores = |contention, coherency| Bottleneck::Cores { cores: 8, contention, coherency };
        near(cores(0.0, 0.0).capacity(0.02), 400.0);
        assert!(cores(0.05, 0.01).capacity(0.02) < 250.0, "where they are in each other's way, it is less");
    }
}
