//! Limits that must fail: scenarios in which one of them does well say nothing.

use std::{ops::RangeInclusive, time::Duration};

use pushback::{
    BuildError,
    limit::{Controller, Decision, Limit, Sample, Start},
};

use super::dice::Dice;

/// Multiplies or divides itself by up to one and a half, every second, whatever happens.
#[derive(Debug, Clone)]
pub struct RandomWalk {
    initial: u32,
    bounds: RangeInclusive<u32>,
    seed: u64,
}

impl RandomWalk {
    /// A walk within bounds.
    pub fn new(initial: u32, bounds: RangeInclusive<u32>, seed: u64) -> Self {
        RandomWalk { initial, bounds, seed }
    }
}

impl Limit for RandomWalk {
    fn start(&self) -> Result<Start, BuildError> {
        let running =
            Running { bounds: self.bounds.clone(), dice: Dice::new(self.seed), next: Duration::ZERO };
        Ok(Start::moving(self.initial, running))
    }
}

#[derive(Debug)]
struct Running {
    bounds: RangeInclusive<u32>,
    dice: Dice,
    next: Duration,
}

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        if sample.ended < self.next {
            return None;
        }
        self.next = sample.ended + Duration::from_secs(1);
        let factor = 1.5_f64.powf(2.0 * self.dice.roll() - 1.0);
        Some(Decision::new(limit * factor, "a walk"))
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        self.bounds.clone()
    }
}
