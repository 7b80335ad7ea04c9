//! When requests come.

use std::{fmt, ops::RangeInclusive, sync::Arc, time::Duration};

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

use crate::words;

/// How requests come, at a mean rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrivals {
    /// Each independent of the others.
    Poisson,
    /// At even distances.
    Steady,
    /// As a Poisson process while it is on, and none while it is off.
    Bursts {
        /// How long it is on.
        on: Duration,
        /// How long it is off then.
        off: Duration,
    },
    /// So many at the same moment, the moments as a Poisson process.
    Batches {
        /// How many.
        size: u32,
    },
    /// In clumps: the distances vary so many times as much as their mean, which is their coefficient of variation.
    Clumps {
        /// How many times; 1 would be a Poisson process.
        variation: u32,
    },
    /// As they once came, again and again, faster or slower as the mean rate asks.
    Recorded(Arc<[Duration]>),
}

/// How long bursts may be on and off, as they are written.
const BURSTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(3600);
/// How many may come at once, and how much distances may vary, as they are written.
const NUMBERS: RangeInclusive<u32> = 1..=100_000;

impl Arrivals {
    /// Reads `poisson`, `steady`, `bursts:1s/3s`, `batches:40` or `clumps:13`.
    ///
    /// # Errors
    ///
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|number| NUMBERS.contains(number));
        let time = |part: &str, text: &str| {
            words::time(text, BURSTS).map_err(|problem| format!("{part} is '{text}': {problem}"))
        };
        let arrivals = match text.split_once(':') {
            None if text == "poisson" => Some(Arrivals::Poisson),
            None if text == "steady" => Some(Arrivals::Steady),
            Some(("bursts", times)) => match times.split_once('/') {
                Some((on, off)) => Some(Arrivals::Bursts { on: time("ON", on)?, off: time("OFF", off)? }),
                None => None,
            },
            Some(("batches", size)) => number(size).map(|size| Arrivals::Batches { size }),
            Some(("clumps", variation)) => number(variation).map(|variation| Arrivals::Clumps { variation }),
            _ => None,
        };
        arrivals.ok_or_else(|| {
            "allowed: poisson, steady, bursts:ON/OFF with times from 1ms to 1h such as bursts:1s/3s, batches:N and \
             clumps:N with N from 1 to 100000"
                .to_owned()
        })
    }

    /// When they come, at so many a second on average.
    pub fn schedule(&self, rate: f64, seed: u64) -> Schedule {
        Schedule {
            arrivals: self.clone(),
            rate,
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            active: 0.0,
            number: 0,
        }
    }
}

/// As [`Arrivals::parse`] reads it.
impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the spaces that it would put between units.
        let time = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
        match self {
            Arrivals::Poisson => f.write_str("poisson"),
            Arrivals::Steady => f.write_str("steady"),
            Arrivals::Bursts { on, off } => write!(f, "bursts:{}/{}", time(*on), time(*off)),
            Arrivals::Batches { size } => write!(f, "batches:{size}"),
            Arrivals::Clumps { variation } => write!(f, "clumps:{variation}"),
            Arrivals::Recorded(_) => f.write_str("recorded"),
        }
    }
}

/// Moments since a beginning, endlessly many that never decrease; none at a rate of 0.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    rate: f64,
    random: Xoshiro256PlusPlus,
    /// How much time of the kind in which requests come has passed, in seconds.
    active: f64,
    /// How many came.
    number: u64,
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let number = self.number;
        self.number += 1;
        let seconds = match &self.arrivals {
            Arrivals::Steady => number as f64 / self.rate,
            Arrivals::Poisson => self.pass(self.rate),
            Arrivals::Clumps { variation } => {
                // Two exponential distances with balanced means: many short ones, few long ones.
                let square = f64::from(*variation).powi(2);
                let short = 0.5 + 0.5 * ((square - 1.0) / (square + 1.0)).sqrt();
                let part = if self.roll() < short { short } else { 1.0 - short };
                self.pass(2.0 * part * self.rate)
            }
            Arrivals::Batches { size } => {
                let size = u64::from(*size).max(1);
                if number % size == 0 { self.pass(self.rate / size as f64) } else { self.active }
            }
            Arrivals::Bursts { on, off } => {
                let (on, off) = (on.as_secs_f64(), off.as_secs_f64());
                let active = self.pass(self.rate * (on + off) / on);
                active + (active / on).floor() * off
            }
            Arrivals::Recorded(moments) => {
                let moments = Arc::clone(moments);
                let (length, last) = (moments.len() as u64, moments.last()?.as_secs_f64());
                // The distance from the last to the first of the next round is the mean distance.
                let round = last * (length + 1) as f64 / length as f64;
                let moment = moments[usize::try_from(number % length).ok()?].as_secs_f64();
                let scale = length as f64 / (self.rate * round);
                ((number / length) as f64 * round + moment) * scale
            }
        };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Schedule {
    /// Lets an exponentially distributed time pass.
    fn pass(&mut self, rate: f64) -> f64 {
        self.active += -(1.0 - self.roll()).ln() / rate;
        self.active
    }

    /// 0 to below 1.
    fn roll(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_and_written_alike() {
        let bursts = Arrivals::Bursts { on: Duration::from_millis(1500), off: Duration::from_secs(3) };
        for (text, arrivals) in [
            ("poisson", Arrivals::Poisson),
            ("steady", Arrivals::Steady),
            ("bursts:1s500ms/3s", bursts),
            ("batches:40", Arrivals::Batches { size: 40 }),
            ("clumps:13", Arrivals::Clumps { variation: 13 }),
        ] {
            assert_eq!(Arrivals::parse(text).as_ref(), Ok(&arrivals));
            assert_eq!(arrivals.to_string(), text);
        }
    }

    #[test]
    fn a_wrong_kind_is_told_what_is_allowed() {
        for wrong in [
            "",
            "uniform",
            "Poisson",
            "poisson:1",
            "steady:",
            "bursts",
            "bursts:1s",
            "batches:0",
            "batches:-1",
            "batches:1.5",
            "batches:",
            "clumps:100001",
        ] {
            let error = Arrivals::parse(wrong).unwrap_err();
            assert!(error.starts_with("allowed: poisson, steady, bursts:ON/OFF"), "{wrong}: {error}");
        }
        for (wrong, words) in [
            ("bursts:1s/", "OFF is '': allowed: 1ms to 1h"),
            ("bursts:0s/1s", "ON is '0s': allowed: 1ms to 1h"),
            ("bursts:1s/2h", "OFF is '2h': allowed: 1ms to 1h"),
            ("bursts:1/3", "ON is '1': it has no unit; write \"1ms\" or \"1s\""),
        ] {
            let error = Arrivals::parse(wrong).unwrap_err();
            assert!(error.starts_with(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn steady_ones_come_at_even_distances() {
        let moments: Vec<_> = Arrivals::Steady.schedule(4.0, 1).take(3).collect();
        assert_eq!(moments, [0, 250, 500].map(Duration::from_millis));
    }
}
