//! The oracle: for each phase the best fixed limit, found by trying them.
//!
//! What is not done at a phase's end is not done: of what a limit has answered, the part is taken off in which its places were taken by calls that are
//! left. Or a limit would look good that answers the short calls and lets the long ones pile up.

use super::{PhaseRecord, Record, Scenario, run};
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
        let phases = scenario.phases.len();
        let done: Vec<Vec<f64>> =
            (0..phases).map(|phase| sweep.iter().map(|runs| done(runs, phase)).collect()).collect();
        let most: Vec<f64> = done.iter().map(|done| done.iter().copied().fold(0.0, f64::max)).collect();
        let first_above = |phase: usize, enough: f64| {
            done[phase].iter().position(|done| *done >= enough * most[phase]).unwrap_or(0)
        };
        let together = |limits: &[u32]| -> Vec<Record> {
            let steering = || Steering::by_phase(limits.to_vec());
            seeds.iter().filter_map(|seed| run(scenario, steering(), *seed).ok()).collect()
        };
        // What the best limit of a phase leaves behind may harm the next one: then another one is better.
        let worth = |runs: &[Record]| -> f64 {
            let part =
                |phase: usize| if most[phase] > 0.0 { self::done(runs, phase) / most[phase] } else { 1.0 };
            (0..phases).map(|phase| part(phase) * scenario.phases[phase].lasts.0.as_secs_f64()).sum()
        };
        let all: f64 = scenario.lasts().as_secs_f64();
        let mut limits: Vec<u32> = (0..phases).map(|phase| SWEEP[first_above(phase, AS_GOOD)]).collect();
        let mut runs = together(&limits);
        for phase in 0..phases {
            for enough in LESS {
                if worth(&runs) >= HARMLESS * all {
                    break;
                }
                let mut others = limits.clone();
                others[phase] = SWEEP[first_above(phase, enough)];
                let other_runs = together(&others);
                if worth(&other_runs) > worth(&runs) {
                    (limits, runs) = (others, other_runs);
                }
            }
        }
        let good = (0..phases).map(|phase| runs.iter().map(|run| run.phases[phase].good).collect()).collect();
        Oracle { limits, good, runs }
    }
}

/// How many calls were answered in time, in all runs, but for the part of places that unfinished calls had.
fn done(runs: &[Record], phase: usize) -> f64 {
    let done = |phase: &PhaseRecord| phase.good as f64 * (1.0 - phase.unfinished);
    runs.iter().map(|run| done(&run.phases[phase])).sum()
}
