//! A scenario: a service, what comes at it, and what a good limit makes of it. One TOML file each; docs/limits.md shows
//! the form.

mod place;
mod read;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use pushback::Priority;
use serde::Deserialize;

pub use read::ScenarioError;

use super::{
    station::{Capacity, UNBOUNDED},
    values::{self, Count, Factor, Percent, Rate, Retries, Shape, Share, Time},
};
use crate::arrivals::Arrivals;

/// A scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What it shows: the comment at the top of the file.
    #[serde(skip)]
    pub shows: String,
    /// An answer that comes later after its request is of no use.
    pub deadline: Time,
    /// What comes earlier does not count, so that the first limit, which is wrong on purpose, can find its way.
    #[serde(default = "warmup")]
    pub warmup: Time,
    /// Whether it belongs to the short suite.
    #[serde(default)]
    pub short: bool,
    /// The gauge's line; without one, whoever does not fit is refused at once.
    pub line: Option<Line>,
    /// The whole service stands still now and then, as for a garbage collection; delays go on.
    pub pause: Option<Pause>,
    /// The service refuses by itself, at once, what is more than it can do.
    pub overload: Option<Overload>,
    /// This part of the answers says by chance that it was too much, however few are in flight.
    pub fails: Option<Share>,
    /// How callers behave who do not get an answer; they do not care, if nothing is said.
    #[serde(default)]
    pub client: Client,
    /// What a call passes through, in this order.
    #[serde(default, rename = "station")]
    pub stations: Vec<Station>,
    /// Kinds of calls; one kind, if nothing is said.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
    /// What happens, one after the other.
    #[serde(default, rename = "phase")]
    pub phases: Vec<Phase>,
    /// Within which bounds a limit's worst run is expected, in percent of the oracle, of those that begin at
    /// [`INITIALS`](super::INITIALS).
    #[serde(default)]
    pub expect: BTreeMap<String, [Percent; 2]>,
}

/// A line before the gauge.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// How many calls may wait.
    pub places: Count,
    /// For how long.
    pub wait: Time,
    /// Who is next; whoever came first, if nothing is said.
    #[serde(default)]
    pub discipline: Discipline,
}

/// Who of those that wait is next.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discipline {
    /// Whoever came first.
    #[default]
    Fifo,
    /// Whoever came last.
    Lifo,
    /// Whoever came first, and nobody waits for long in a line that stands.
    Codel,
    /// Whoever came first, or last in a line that stands.
    AdaptiveLifo,
}

/// A pause of the whole service.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// From one beginning to the next.
    pub every: Time,
    /// How long it is.
    pub lasts: Time,
}

/// A service that says no by itself.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overload {
    /// How many calls it takes.
    pub above: Count,
    /// How long it takes to say no.
    pub after: Time,
}

/// What callers do who get no answer.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Client {
    /// When they hang up; never, if nothing is said.
    pub timeout: Option<Time>,
    /// How often they try again after that.
    pub retries: Option<Retries>,
    /// How long they wait before that; nothing, if nothing is said.
    pub backoff: Option<Time>,
    /// Whether they try again when they are refused, too.
    #[serde(default)]
    pub retries_refused: bool,
    /// Whether their calls say that they are retries.
    #[serde(default)]
    pub tells_retries: bool,
    /// At most this share of the requests is retries.
    pub budget: Option<Share>,
    /// What the service does when a caller hangs up.
    #[serde(default)]
    pub hang_up: HangUp,
}

/// What the service does when a caller hangs up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HangUp {
    /// It stops: the place is free, what queues is dropped, and what runs is ended where it is. Work that has begun is done
    /// to its end though nobody wants it.
    #[default]
    Noticed,
    /// What queues is dropped, but what has begun keeps its place to its end, as in a thread that does not look.
    Begun,
    /// It goes on as if nothing had happened, and keeps the place.
    Unnoticed,
}

/// What a call passes through.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    /// What phases call it.
    pub name: String,
    /// How much work a call is, as time at full speed.
    pub time: Work,
    /// How many calls it serves at once, the others queue: workers, a pool of connections, a lock. As many as come, if nothing
    /// is said.
    pub workers: Option<Count>,
    /// How many processors all calls in it share. Each call has its own, if nothing is said: a delay.
    pub cores: Option<Count>,
    /// How much each other call slows one down (the Universal Scalability Law's sigma).
    pub contention: Option<Share>,
    /// How much each pair of others does (its kappa).
    pub coherency: Option<Share>,
    /// Which part of the calls passes through it; all, if nothing is said.
    pub share: Option<Share>,
}

/// How service times are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Work {
    /// Always the same.
    Constant(Time),
    /// Exponential, by its mean.
    Exponential(Time),
    /// Two kinds of calls.
    Bimodal {
        /// How long most of them take.
        most: Time,
        /// How long the others take.
        few: Time,
        /// How many the others are.
        share: Share,
    },
    /// A heavy tail, by its mean and its shape.
    Pareto {
        /// The mean.
        mean: Time,
        /// Near 1 is heavy.
        shape: Shape,
    },
}

/// A kind of calls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its weight among all routes.
    pub share: Share,
    /// How many times the work of the stations' times it is.
    pub work: Factor,
    /// What it costs at the gauge; 1, if nothing is said.
    pub cost: Option<Count>,
    /// How important it is; normal, if nothing is said.
    #[serde(default, deserialize_with = "values::priority")]
    pub priority: Priority,
    /// This part of its answers says that it was too much, instead of what the scenario says of all.
    pub fails: Option<Share>,
}

/// A part of the time, in which nothing changes from outside.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// How long it is.
    pub lasts: Time,
    /// Open: how many calls come each second, on average.
    pub rate: Option<Rate>,
    /// How they come; as a Poisson process, if nothing is said.
    #[serde(default)]
    pub arrivals: Coming,
    /// Closed: how many callers there are, each of whom waits for its answer.
    pub callers: Option<Count>,
    /// How long each of them thinks between answer and request, on average; callers must.
    pub think: Option<Time>,
    /// Whether it is a steady load of half the capacity or less, in which nobody should be refused.
    #[serde(default)]
    pub healthy: bool,
    /// Which stations are other than they say, until the phase ends.
    #[serde(default)]
    pub change: BTreeMap<String, Change>,
}

/// What is other about a station.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// How many workers it has.
    pub workers: Option<Count>,
    /// How many cores.
    pub cores: Option<Count>,
    /// How fast it is: 0.1 takes ten times as long, 0 stands still.
    pub speed: Option<Factor>,
    /// For how long it gets back to full speed, evenly, from there: a cold cache.
    pub warms: Option<Time>,
}

fn warmup() -> Time {
    Time(Duration::from_secs(5))
}

/// How calls come: `"poisson"`, `"steady"`, `{ bursts = { on = "1s", off = "3s" } }`, `{ batches = 10 }`, `{ clumps = 13 }` or
/// `{ recorded = "FILE" }`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Coming {
    /// Each independent of the others.
    #[default]
    Poisson,
    /// At even distances.
    Steady,
    /// On and off in turn.
    Bursts {
        /// How long they come.
        on: Time,
        /// How long none comes then.
        off: Time,
    },
    /// So many at once.
    Batches(Count),
    /// In clumps: the distances vary so many times as much as their mean.
    Clumps(Count),
    /// As they once came, by a file beside the scenario: on each line the seconds since its beginning.
    Recorded(Recording),
}

/// Arrivals in a file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "PathBuf")]
pub struct Recording {
    file: PathBuf,
    moments: Arc<[Duration]>,
}

impl From<PathBuf> for Recording {
    fn from(file: PathBuf) -> Self {
        Recording { file, moments: Arc::default() }
    }
}

impl Coming {
    pub(super) fn arrivals(&self) -> Arrivals {
        match self {
            Coming::Poisson => Arrivals::Poisson,
            Coming::Steady => Arrivals::Steady,
            Coming::Bursts { on, off } => Arrivals::Bursts { on: on.0, off: off.0 },
            Coming::Batches(size) => Arrivals::Batches { size: size.whole() },
            Coming::Clumps(variation) => Arrivals::Clumps { variation: variation.whole() },
            Coming::Recorded(recording) => Arrivals::Recorded(Arc::clone(&recording.moments)),
        }
    }
}

impl Station {
    /// What it can do in a phase.
    pub(super) fn capacity(&self, change: Option<&Change>) -> Capacity {
        let change = change.copied().unwrap_or_default();
        let count =
            |changed: Option<Count>, own: Option<Count>| changed.or(own).map_or(UNBOUNDED, |count| count.0);
        Capacity {
            slots: count(change.workers, self.workers),
            cores: count(change.cores, self.cores),
            contention: self.contention.map_or(0.0, |share| share.0),
            coherency: self.coherency.map_or(0.0, |share| share.0),
            speed: change.speed.map_or(1.0, |speed| speed.0),
        }
    }

    /// A delay goes on while the service pauses.
    pub(super) fn is_delay(&self) -> bool {
        self.workers.is_none() && self.cores.is_none()
    }
}

impl Work {
    /// How much work a call is, in nanoseconds, by a random number from 0 to below 1.
    pub(super) fn nanos(self, roll: f64) -> f64 {
        match self {
            Work::Constant(time) => time.nanos(),
            Work::Exponential(mean) => -mean.nanos() * (1.0 - roll).ln(),
            Work::Bimodal { most, few, share } => {
                if roll < share.0 {
                    few.nanos()
                } else {
                    most.nanos()
                }
            }
            Work::Pareto { mean, shape } => {
                let least = mean.nanos() * (shape.0 - 1.0) / shape.0;
                least * (1.0 - roll).powf(-1.0 / shape.0)
            }
        }
    }
}
