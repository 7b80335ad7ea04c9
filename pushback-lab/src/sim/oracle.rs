//! The oracle: for each phase the best fixed limit, found by trying them.
//!
//! A call that is unfinished when its phase ends is not done: such calls held a part of the places' time, and that part is taken off what a limit has
//! answered. Otherwise one would look good that answers the short calls and lets the long ones pile up.

use super::{Record, Scenario, run, scenario::Phase};
use crate::limits::steering::Steering;

/// The limits that are tried: some 19 % apart, each whole number where they lie closer.
pub const SWEEP: [u32; 39] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 57, 68, 80, 96, 115, 137, 163, 194, 231,
    275, 327, 390, 464, 552, 657, 782, 931, 1107, 1318, 1568, 1866,
];

/// Whoever serves nearly as many as the best with fewer in flight is preferred, for its callers wait less.
const AS_GOOD: f64 = 0.998;
/// Where all phases together come to this part of what each could by itself, none harms another.
const HARMLESS: f64 = 0.99;
/// Else the least limits are tried that come to these parts of the best.
const LESS: [f64; 5] = [0.98, 0.95, 0.9, 0.8, 0.7];

/// What the best fixed limits reach in a scenario.
#[derive(Debug, Clone)]
pub struct Oracle {
    /// The best fixed limit of each phase.
    pub limits: Vec<u32>,
    /// Requests that were answered in time, by phase and seed.
    pub good: Vec<Vec<u64>>,
    /// The runs, one for each seed, with the limit changed at each phase's beginning.
    pub runs: Vec<Record>,
}

impl Oracle {
    /// Finds it from the runs of a sweep: one record for each limit of [`SWEEP`] and each of the seeds.
    pub(super) fn of(scenario: &Scenario, sweep: &[Vec<Record>], seeds: &[u64]) -> Self {
        let phases = 0..scenario.phases.len();
        let most: Vec<f64> = phases
            .clone()
            .map(|phase| sweep.iter().map(|runs| done(runs, phase)).fold(0.0, f64::max))
            .collect();
        let least_with = |phase: usize, part: f64| -> u32 {
            let enough = part * most[phase];
            let found = sweep.iter().position(|runs| done(runs, phase) >= enough);
            SWEEP[found.unwrap_or(0)]
        };
        let mut best = Choice::run(
            scenario,
            phases.clone().map(|phase| least_with(phase, AS_GOOD)).collect(),
            &most,
            seeds,
        );
        // What a limit leaves behind may harm the next phase: then another one is better.
        for (phase, part) in phases.clone().flat_map(|phase| LESS.map(|part| (phase, part))) {
            if best.worth >= HARMLESS {
                break;
            }
            let mut limits = best.limits.clone();
            limits[phase] = least_with(phase, part);
            let other = Choice::run(scenario, limits, &most, seeds);
            if other.worth > best.worth {
                best = other;
            }
        }
        let Choice { limits, runs, .. } = best;
        let good = phases.map(|phase| runs.iter().map(|run| run.phases[phase].good).collect()).collect();
        Oracle { limits, good, runs }
    }
}

/// Limits one after the other, and what came of them.
struct Choice {
    limits: Vec<u32>,
    runs: Vec<Record>,
    /// How much of what each phase could by itself, on average of the time.
    worth: f64,
}

impl Choice {
    fn run(scenario: &Scenario, limits: Vec<u32>, most: &[f64], seeds: &[u64]) -> Self {
        let steering = || Steering::by_phase(limits.clone());
        let runs: Vec<Record> =
            seeds.iter().filter_map(|seed| run(scenario, steering(), *seed).ok()).collect();
        let part = |phase: usize| if most[phase] > 0.0 { done(&runs, phase) / most[phase] } else { 1.0 };
        let seconds = |phase: &Phase| phase.lasts.0.as_secs_f64();
        let worth: f64 =
            scenario.phases.iter().enumerate().map(|(index, phase)| part(index) * seconds(phase)).sum();
        let worth = worth / scenario.lasts().as_secs_f64();
        Choice { limits, runs, worth }
    }
}

/// How many calls were answered in time, in all runs, but for the part of places that unfinished calls had.
fn done(runs: &[Record], phase: usize) -> f64 {
    let phases = runs.iter().map(|run| &run.phases[phase]);
    phases.map(|phase| phase.good as f64 * (1.0 - phase.unfinished)).sum()
}
