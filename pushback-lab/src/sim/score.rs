//! How near limits come to the oracle.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    oracle::Oracle,
    record::{Record, STEP},
    scenario::Scenario,
};

/// Phases in which even the oracle serves less than this part of the requests say nothing about a limit.
const WORTH_JUDGING: f64 = 0.05;
/// A limit has found its way when it serves this part of what the oracle does.
const CONVERGED: f64 = 0.95;

/// One limit in one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The run that came least near the oracle, in percent of its goodput.
    pub worst_percent_of_oracle: f64,
    /// All runs on average.
    pub mean_percent_of_oracle: f64,
    /// How many calls were refused in phases of half load or less, in percent; nothing, if there is no such phase.
    pub false_refusals_percent_half_load: Option<f64>,
    /// How long it takes, from a phase's beginning, to reach 95 % of the oracle's goodput, on average of the phases, in seconds.
    pub converges_in_seconds: f64,
    /// How long admitted calls took once a phase was five seconds old.
    pub settled: Latency,
    /// And before.
    pub settling: Latency,
    /// Each phase.
    pub phases: Vec<PhaseScore>,
    /// Each run.
    pub runs: Vec<RunScore>,
    #[serde(skip)]
    pub(super) healthy: (u64, u64),
    /// What it was like, for the plots: the run of the middle initial limit and the first seed.
    #[serde(skip)]
    pub(super) shown: Option<Record>,
}

/// One phase, in figures that a real service has too.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PhaseScore {
    /// How many of its requests were answered in time, for each second of it that counts, on average of the runs.
    pub goodput_per_second: f64,
    /// How long admitted calls took that came in it, in all runs; also those of the warm-up, which does not count.
    pub admitted: Latency,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct RunScore {
    /// Where the limit began.
    pub initial: u32,
    /// What chance was made of.
    pub seed: u64,
    /// Goodput in percent of the oracle's.
    pub percent_of_oracle: f64,
}

/// Times of admitted calls, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of them took at most this long.
    pub p50_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
}

/// The runs of one limit in one scenario: for each initial limit one record for each seed.
pub(super) fn standing(
    scenario: &Scenario,
    oracle: &Oracle,
    runs: Vec<(u32, Vec<Record>)>,
    seeds: &[u64],
) -> Standing {
    let scores: Vec<RunScore> = runs
        .iter()
        .flat_map(|(initial, records)| {
            records.iter().zip(seeds).enumerate().map(|(index, (record, seed))| RunScore {
                initial: *initial,
                seed: *seed,
                percent_of_oracle: percent(oracle, record, index),
            })
        })
        .collect();
    let worst = scores.iter().map(|run| run.percent_of_oracle).fold(100.0, f64::min);
    let all = || runs.iter().flat_map(|(_, records)| records);
    let healthy = all()
        .flat_map(|record| &record.phases)
        .fold((0, 0), |(refused, all), phase| (refused + phase.healthy_refusals, all + phase.healthy_calls));
    let converging: Vec<f64> =
        runs.iter().flat_map(|(_, records)| converging(scenario, oracle, records)).collect();
    let settled = Latency::of(all().flat_map(|record| &record.phases).map(|phase| &phase.settled));
    let settling = Latency::of(all().flat_map(|record| &record.phases).map(|phase| &phase.settling));
    let middle = runs.len() / 2;
    Standing {
        worst_percent_of_oracle: worst,
        mean_percent_of_oracle: mean(scores.iter().map(|run| run.percent_of_oracle)),
        false_refusals_percent_half_load: (healthy.1 > 0).then(|| percent_of(healthy)),
        converges_in_seconds: mean(converging.into_iter()),
        settled,
        settling,
        phases: phases(&all().collect::<Vec<_>>()),
        runs: scores,
        healthy,
        shown: runs.into_iter().nth(middle).and_then(|(_, records)| records.into_iter().next()),
    }
}

fn phases(runs: &[&Record]) -> Vec<PhaseScore> {
    let count = runs.first().map_or(0, |run| run.phases.len());
    let score = |index: usize| {
        let phases = || runs.iter().map(move |run| &run.phases[index]);
        let counted = phases().filter(|phase| phase.seconds > 0.0);
        PhaseScore {
            goodput_per_second: mean(counted.map(|phase| phase.good as f64 / phase.seconds)),
            admitted: Latency::of(phases().flat_map(|phase| [&phase.settling, &phase.settled])),
        }
    };
    (0..count).map(score).collect()
}

/// Goodput in percent of the oracle's: each phase capped at 100, weighed by how long it counts.
fn percent(oracle: &Oracle, record: &Record, seed: usize) -> f64 {
    let judged = record.phases.iter().zip(&oracle.good).filter_map(|(phase, good)| {
        let best = good[seed] as f64;
        let is_judged = best >= WORTH_JUDGING * phase.requests as f64 && best > 0.0;
        is_judged.then(|| (phase.seconds, (phase.good as f64 / best).min(1.0)))
    });
    let (seconds, sum) =
        judged.fold((0.0, 0.0), |(seconds, sum), (length, share)| (seconds + length, sum + length * share));
    if seconds > 0.0 { 100.0 * sum / seconds } else { 100.0 }
}

/// For each phase that is judged, after how many seconds the mean of all seeds serves nearly what the oracle does, for a second.
fn converging(scenario: &Scenario, oracle: &Oracle, records: &[Record]) -> Vec<f64> {
    const WINDOW: usize = 4;
    let good = |records: &[Record], step: usize| -> u32 {
        records.iter().filter_map(|record| record.steps.get(step)).map(|step| step.good).sum()
    };
    let mut begin = Duration::ZERO;
    let is_judged = |index: usize| {
        let requests: u64 = oracle.runs.iter().map(|run| run.phases[index].requests).sum();
        oracle.good[index].iter().sum::<u64>() as f64 >= WORTH_JUDGING * requests as f64
    };
    scenario
        .phases
        .iter()
        .enumerate()
        .filter_map(|(index, phase)| {
            let steps = |time: Duration| usize::try_from(time.as_millis() / STEP.as_millis()).unwrap_or(0);
            let (first, last) = (steps(begin), steps(begin + phase.lasts.0));
            begin += phase.lasts.0;
            let windows = last.saturating_sub(first).saturating_sub(WINDOW);
            let found = (0..windows).find(|offset| {
                let window = first + offset..first + offset + WINDOW;
                let ours: u32 = window.clone().map(|step| good(records, step)).sum();
                let best: u32 = window.map(|step| good(&oracle.runs, step)).sum();
                f64::from(ours) >= CONVERGED * f64::from(best)
            });
            is_judged(index).then(|| found.unwrap_or(last - first) as f64 * STEP.as_secs_f64())
        })
        .collect()
}

impl Latency {
    fn of<'a>(histograms: impl Iterator<Item = &'a Histogram<u32>>) -> Self {
        let mut all: Option<Histogram<u32>> = None;
        for histogram in histograms {
            match &mut all {
                None => all = Some(histogram.clone()),
                // All have the same bounds, so that each value of one has its place in the other.
                Some(all) => all.add(histogram).unwrap_or(()),
            }
        }
        let at = |quantile| all.as_ref().map_or(0.0, |all| all.value_at_quantile(quantile) as f64 / 1000.0);
        Latency { p50_ms: at(0.5), p99_ms: at(0.99) }
    }
}

/// One limit over all scenarios.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Summary {
    /// The worst run of all.
    pub worst_percent_of_oracle: f64,
    /// One run in twenty is worse than this, of all runs of all scenarios.
    pub p5_percent_of_oracle: f64,
    /// One run in four is.
    pub p25_percent_of_oracle: f64,
    /// The mean of the scenarios' means.
    pub mean_percent_of_oracle: f64,
    /// How many calls were refused in all phases of half load or less, in percent; nothing, if there is no such phase.
    pub false_refusals_percent_half_load: Option<f64>,
    /// The mean of the scenarios' worst runs.
    pub mean_worst_percent_of_oracle: f64,
    /// How long it takes to find its way after a change, on average, in seconds.
    pub converges_in_seconds: f64,
}

impl Summary {
    pub(super) fn of<'a>(standings: impl Iterator<Item = &'a Standing> + Clone) -> Self {
        let healthy = standings
            .clone()
            .fold((0, 0), |sum, standing| (sum.0 + standing.healthy.0, sum.1 + standing.healthy.1));
        let worsts = standings.clone().map(|standing| standing.worst_percent_of_oracle);
        let mut runs: Vec<f64> = standings
            .clone()
            .flat_map(|standing| standing.runs.iter().map(|run| run.percent_of_oracle))
            .collect();
        runs.sort_by(f64::total_cmp);
        Summary {
            p5_percent_of_oracle: quantile(&runs, 0.05),
            p25_percent_of_oracle: quantile(&runs, 0.25),
            worst_percent_of_oracle: worsts.clone().fold(100.0, f64::min),
            mean_percent_of_oracle: mean(standings.clone().map(|standing| standing.mean_percent_of_oracle)),
            false_refusals_percent_half_load: (healthy.1 > 0).then(|| percent_of(healthy)),
            mean_worst_percent_of_oracle: mean(worsts),
            converges_in_seconds: mean(standings.map(|standing| standing.converges_in_seconds)),
        }
    }
}

/// Summaries by the limit's name.
pub type Summaries = BTreeMap<String, Summary>;

/// So large a part of the values, which rise, is below it.
fn quantile(values: &[f64], part: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is an index")]
    let index = (part * values.len() as f64) as usize;
    values.get(index).copied().unwrap_or(100.0)
}

fn percent_of((part, all): (u64, u64)) -> f64 {
    if all > 0 { 100.0 * part as f64 / all as f64 } else { 0.0 }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0_u32, 0.0), |(count, sum), value| (count + 1, sum + value));
    if count > 0 { sum / f64::from(count) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::record::{Notes, Span};

    const SECOND: u64 = 1_000_000_000;
    const MILLISECOND: u64 = 1_000_000;

    /// A phase of eight seconds, of which the first two do not count, and one of two seconds. The calls of the first come at
    /// these seconds and take so many milliseconds, of which 200 are soon enough.
    fn record(calls: &[(u64, u64)]) -> Record {
        let span = |begin, end| Span { begin: begin * SECOND, end: end * SECOND, is_healthy: false };
        let mut notes = Notes::new(vec![span(0, 8), span(8, 10)], 2 * SECOND, 1);
        for (born, time) in calls.iter().map(|(born, time)| (born * SECOND, time * MILLISECOND)) {
            notes.ended(born, 0, born + time, time);
            if time <= 200 * MILLISECOND {
                notes.good(born, 0, 0);
            }
        }
        notes.record
    }

    #[test]
    fn a_phases_goodput_is_by_the_seconds_that_count_and_its_times_are_of_all_admitted() {
        // Three in six seconds, and six; those of the warm-up are in neither.
        let few = record(&[(1, 10), (2, 20), (3, 30), (6, 40), (7, 300)]);
        let many = record(&[(0, 10), (2, 20), (3, 50), (4, 60), (5, 70), (6, 80), (7, 90)]);
        let [first, second] = phases(&[&few, &many])[..] else { panic!("there are two phases") };
        assert_eq!(first.goodput_per_second, f64::midpoint(0.5, 1.0));
        // Twelve calls: 10 10 20 20 30 40 | 50 60 70 80 90 300.
        for (measured, exact) in [(first.admitted.p50_ms, 40.0), (first.admitted.p99_ms, 300.0)] {
            assert!((measured / exact - 1.0_f64).abs() < 0.01, "{measured} instead of {exact}");
        }
        assert_eq!((second.goodput_per_second, second.admitted.p50_ms), (0.0, 0.0));
    }

    #[test]
    fn a_phase_that_does_not_count_has_no_goodput() {
        let span = Span { begin: 0, end: SECOND, is_healthy: false };
        let record = Notes::new(vec![span], 2 * SECOND, 1).record;
        assert_eq!(phases(&[&record])[0].goodput_per_second, 0.0);
        assert!(phases(&[]).is_empty());
    }
}
