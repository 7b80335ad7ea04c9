//! Limits against each other and the oracle, in all scenarios, from several wrong beginnings and with several seeds.

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use pushback::BuildError;
use serde::Serialize;

use super::{
    oracle::{Oracle, SWEEP},
    record::Record,
    run::run,
    scenario::Scenario,
    score::{Standing, Summaries, Summary, standing},
    values::Percent,
};
use crate::limits::{Contender, steering::Steering};

/// Wrong limits to begin at: far too low, not far off, far too high.
pub const INITIALS: [u32; 3] = [1, 20, 1000];

/// Who runs where.
#[derive(Debug)]
pub struct Contest {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
    /// The limits.
    pub contenders: Vec<Contender>,
    /// Where they begin.
    pub initials: Vec<u32>,
    /// How many different runs there are of each.
    pub seeds: u64,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Standings {
    /// Each limit over all scenarios.
    pub summary: Summaries,
    /// Which of them are there to fail.
    pub mutants: Vec<String>,
    /// Where the limits began.
    pub initials: Vec<u32>,
    /// How many seeds there were.
    pub seeds: u64,
    /// Each scenario.
    pub scenarios: Vec<ScenarioStandings>,
}

/// What came of it in one scenario.
#[derive(Debug, Serialize)]
pub struct ScenarioStandings {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub shows: String,
    /// Its phases, with the oracle's limit in each.
    pub phases: Vec<PhaseStandings>,
    /// Each limit.
    pub limits: BTreeMap<String, Standing>,
    /// What its file expects and is otherwise, where the limits began at [`INITIALS`].
    pub unexpected: Vec<String>,
    #[serde(skip)]
    pub(super) oracle: Option<Record>,
}

/// The oracle in one phase.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PhaseStandings {
    /// When it begins, in seconds.
    pub begins: f64,
    /// How long it is.
    pub seconds: f64,
    /// How many requests come each second, where that is given.
    pub rate: Option<f64>,
    /// The best fixed limit.
    pub oracle_limit: u32,
    /// How many requests a second it answers in time.
    pub oracle_goodput: f64,
}

impl Contest {
    /// How many runs there are in all.
    pub fn runs(&self) -> usize {
        self.scenarios.len() * self.runs_of_each()
    }

    fn runs_of_each(&self) -> usize {
        let limits: usize = self.contenders.iter().map(|contender| self.initials_of(contender).len()).sum();
        (SWEEP.len() + limits) * usize::try_from(self.seeds).unwrap_or(0)
    }

    /// A limit that does not move needs no second beginning.
    fn initials_of(&self, contender: &Contender) -> &[u32] {
        if contender.is_fixed { &self.initials[..1] } else { &self.initials }
    }

    /// Runs all of them, on all processors. `each` is told of every run that ended.
    ///
    /// # Errors
    ///
    /// If a setting of a limit is wrong.
    pub fn run(&self, each: impl Fn() + Sync) -> Result<Standings, BuildError> {
        let mut scenarios = Vec::new();
        for scenario in &self.scenarios {
            scenarios.push(self.run_scenario(scenario, &each)?);
        }
        let summary = self
            .contenders
            .iter()
            .map(|contender| {
                let standings = scenarios.iter().filter_map(|scenario| scenario.limits.get(&contender.name));
                (contender.name.clone(), Summary::of(standings))
            })
            .collect();
        let mutants = self.contenders.iter().filter(|contender| contender.is_mutant);
        let mutants = mutants.map(|contender| contender.name.clone()).collect();
        Ok(Standings { summary, mutants, initials: self.initials.clone(), seeds: self.seeds, scenarios })
    }

    fn run_scenario(
        &self,
        scenario: &Scenario,
        each: &(impl Fn() + Sync),
    ) -> Result<ScenarioStandings, BuildError> {
        let seeds: Vec<u64> = (1..=self.seeds).collect();
        // One record for each seed, of each.
        let run_all = |starts: Vec<Start<'_>>| -> Result<Vec<Vec<Record>>, BuildError> {
            let jobs: Vec<_> =
                starts.iter().flat_map(|start| seeds.iter().map(move |seed| (start, *seed))).collect();
            let mut records = in_parallel(&jobs, |(start, seed)| {
                let record = run(scenario, start(*seed), *seed);
                each();
                record
            })?
            .into_iter();
            Ok(starts.iter().map(|_| records.by_ref().take(seeds.len()).collect()).collect())
        };
        let phases = scenario.phases.len();
        let fixed = |limit: u32| -> Start<'_> { Box::new(move |_| Steering::by_phase(vec![limit; phases])) };
        let sweep = run_all(SWEEP.map(fixed).into())?;
        let oracle = Oracle::of(scenario, &sweep, &seeds);
        let patience = scenario.patience();
        let all = self.contenders.iter().flat_map(|contender| {
            let initials = self.initials_of(contender).iter();
            initials.map(|initial| -> Start<'_> {
                Box::new(|seed| contender.steering_in(*initial, seed, patience, &oracle.limits))
            })
        });
        let mut records = run_all(all.collect())?.into_iter();
        let limits: BTreeMap<String, Standing> = self
            .contenders
            .iter()
            .map(|contender| {
                let runs = self.initials_of(contender).iter().copied().zip(records.by_ref()).collect();
                (contender.name.clone(), standing(scenario, &oracle, runs, &seeds))
            })
            .collect();
        Ok(ScenarioStandings {
            name: scenario.name.clone(),
            shows: scenario.shows.clone(),
            phases: standings_of_phases(scenario, &oracle),
            unexpected: if self.initials == INITIALS { unexpected(scenario, &limits) } else { Vec::new() },
            limits,
            oracle: oracle.runs.into_iter().next(),
        })
    }
}

/// What steers a run, by its seed.
type Start<'a> = Box<dyn Fn(u64) -> Steering + Sync + 'a>;

/// Does all jobs on all processors; the answers come in the jobs' order, however long each took.
fn in_parallel<J: Sync, T: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<T, BuildError> + Sync,
) -> Result<Vec<T>, BuildError> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(jobs.len()));
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let answer = work(job);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, answer)| answer).collect()
}

fn standings_of_phases(scenario: &Scenario, oracle: &Oracle) -> Vec<PhaseStandings> {
    let mut begins = 0.0;
    let each = scenario.phases.iter().enumerate();
    each.map(|(index, phase)| {
        let seconds = phase.lasts.0.as_secs_f64();
        let served: u64 = oracle.good[index].iter().sum();
        let counted: f64 = oracle.runs.iter().map(|run| run.phases[index].seconds).sum();
        let standings = PhaseStandings {
            begins,
            seconds,
            rate: phase.rate.map(|rate| rate.0),
            oracle_limit: oracle.limits[index],
            oracle_goodput: if counted > 0.0 { served as f64 / counted } else { 0.0 },
        };
        begins += seconds;
        standings
    })
    .collect()
}

fn unexpected(scenario: &Scenario, limits: &BTreeMap<String, Standing>) -> Vec<String> {
    let expected = scenario.expect.iter().filter_map(|(name, range)| Some((name, range, limits.get(name)?)));
    expected
        .filter_map(|(name, [Percent(low), Percent(high)], standing)| {
            let worst = standing.worst_percent_of_oracle;
            let is_expected = (*low..=*high).contains(&worst);
            (!is_expected)
                .then(|| format!("{name} came to {worst:.1} % at worst, and {low} to {high} % were expected"))
        })
        .collect()
}
