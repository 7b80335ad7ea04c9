//! When requests come.

use std::{sync::Arc, time::Duration};

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{Rng, SeedableRng},
};

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

impl Arrivals {
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
