//! The oracle: for each phase the best fixed limit, found by trying them.

use super::{Record, Scenario, run};
use crate::limits::steering::Steering;

/// The limits that are tried: some 19 % apart, each whole number where they lie closer.
pub const SWEEP: [u32; 39] = [
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 24, 28, 34, 40, 48, 57, 68, 80, 96, 115, 137, 163, 194, 231,
    275, 327, 390, 464, 552, 657, 782, 931, 1107, 1318, 1568, 1866,
];

/// Whoever serves nearly as many as the best with fewer in flight is preferred, for its callers wait less.
const AS_GOOD: f64 = 0.998;

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
        let served =
            |runs: &[Record], phase: usize| -> u64 { runs.iter().map(|run| run.phases[phase].good).sum() };
        let best: Vec<usize> = (0..phases)
            .map(|phase| {
                let most = sweep.iter().map(|runs| served(runs, phase)).max().unwrap_or(0);
                let enough = most as f64 * AS_GOOD;
                sweep.iter().position(|runs| served(runs, phase) as f64 >= enough).unwrap_or(0)
            })
            .collect();
        let limits: Vec<u32> = best.iter().map(|index| SWEEP[*index]).collect();
        let runs: Vec<Record> = seeds
            .iter()
            .filter_map(|seed| run(scenario, Steering::ByPhase(limits.clone()), *seed).ok())
            .collect();
        let good = (0..phases)
            .map(|phase| {
                // What the best limit leaves behind may help or harm the next phase: the better of both counts.
                let swept = &sweep[best[phase]];
                let better = if served(&runs, phase) >= served(swept, phase) { &runs } else { swept };
                better.iter().map(|run| run.phases[phase].good).collect()
            })
            .collect();
        Oracle { limits, good, runs }
    }
}
