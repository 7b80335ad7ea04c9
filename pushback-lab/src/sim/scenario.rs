//! A scenario: a service, what comes at it, and what a good limit makes of it. One TOML file each; docs/limits.md shows
//! the form.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::{
    station::{Capacity, UNBOUNDED},
    values::{Count, Factor, Percent, Rate, Retries, Shape, Share, Time},
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
    /// How callers behave who do not get an answer; they do not care, if nothing is said.
    #[serde(default)]
    pub client: Client,
    /// What a call passes through, in this order.
    #[serde(rename = "station")]
    pub stations: Vec<Station>,
    /// Kinds of calls; one kind, if nothing is said.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
    /// What happens, one after the other.
    #[serde(rename = "phase")]
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

impl Recording {
    fn read(&mut self, folder: &Path) -> Result<(), String> {
        let file = folder.join(&self.file);
        let text =
            fs::read_to_string(&file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let mut before = Duration::ZERO;
        let moments = text.lines().enumerate().map(|(index, line)| {
            let moment =
                line.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let moment = moment.filter(|moment| *moment >= before);
            before = moment.unwrap_or(before);
            moment.ok_or_else(|| {
                let allowed = "seconds since the beginning, never less than on the line before";
                format!("{}, line {}: `{line}`: allowed: {allowed}", file.display(), index + 1)
            })
        });
        self.moments = moments.collect::<Result<_, _>>()?;
        if before.is_zero() { Err(format!("{} records no time", file.display())) } else { Ok(()) }
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

/// A scenario that cannot be read, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioError(String);

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScenarioError {}

const PAUSE_EVERY_MIN: Duration = Duration::from_millis(1);
/// All phases together: a run is kept in memory by parts of a second.
const LASTS_MAX: Duration = Duration::from_secs(2 * 3600);

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If there is none, or if it is no scenario: then the error names the line, what stands there, and what is allowed.
    pub fn read(file: &Path) -> Result<Self, ScenarioError> {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file)
            .map_err(|error| ScenarioError(format!("cannot read {}: {error}", file.display())))?;
        let mut scenario = Scenario::parse(&name, &text)
            .map_err(|ScenarioError(problem)| ScenarioError(format!("{}, {problem}", file.display())))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        for phase in &mut scenario.phases {
            if let Coming::Recorded(recording) = &mut phase.arrivals {
                recording.read(folder).map_err(ScenarioError)?;
            }
        }
        Ok(scenario)
    }

    /// Reads a scenario of this name.
    ///
    /// # Errors
    ///
    /// As for a file.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            ScenarioError(in_line(text, at, error.message()))
        })?;
        scenario.name = name.to_owned();
        scenario.shows = text
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        scenario.check().map_err(|(key, problem)| {
            let at = text.find(&key).unwrap_or(0);
            ScenarioError(in_line(text, at, &problem))
        })?;
        Ok(scenario)
    }

    /// Those that come with the lab, by name.
    ///
    /// # Errors
    ///
    /// If one of them is wrong, which a test excludes.
    pub fn shipped() -> Result<Vec<Self>, ScenarioError> {
        static FOLDER: Dir = include_dir!("$CARGO_MANIFEST_DIR/scenarios");
        let mut files: Vec<_> = FOLDER.files().collect();
        files.sort_by_key(|file| file.path());
        let read = |file: &include_dir::File| {
            let name = file.path().file_stem().unwrap_or_default().to_string_lossy();
            let text = file.contents_utf8().unwrap_or_default();
            Scenario::parse(&name, text)
                .map_err(|ScenarioError(problem)| ScenarioError(format!("{name}, {problem}")))
        };
        files.into_iter().map(read).collect()
    }

    /// How long it is.
    pub fn lasts(&self) -> Duration {
        self.phases.iter().map(|phase| phase.lasts.0).sum()
    }

    /// What must hold between several keys; names the text near which the fault stands, and the fault.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, problem: String| Err((key.to_owned(), problem));
        if self.shows.is_empty() {
            return wrong(
                "",
                "the first line must be a comment that says what the scenario shows".to_owned(),
            );
        }
        if self.stations.is_empty() || self.phases.is_empty() {
            return wrong("", "allowed: at least one [[station]] and one [[phase]]".to_owned());
        }
        if self.lasts() > LASTS_MAX {
            return wrong("lasts", "all phases together last longer than is allowed: 2h".to_owned());
        }
        if self.pause.is_some_and(|pause| pause.every.0 < PAUSE_EVERY_MIN || pause.lasts >= pause.every) {
            let problem = "allowed: at least 1ms from one pause to the next, and shorter pauses than that";
            return wrong("pause", problem.to_owned());
        }
        for phase in &self.phases {
            if phase.rate.is_some() == phase.callers.is_some() {
                return wrong("[[phase]]", "a phase has either a rate or callers".to_owned());
            }
            if phase.callers.is_some() && phase.think.is_none() {
                // Whoever is refused at once would ask again at the same moment, for ever.
                return wrong("callers", "callers have a time to think".to_owned());
            }
            if phase.arrivals != Coming::Poisson && phase.rate.is_none() {
                return wrong("arrivals", "only a phase with a rate has arrivals".to_owned());
            }
            for name in phase.change.keys() {
                if !self.stations.iter().any(|station| station.name == *name) {
                    let known: Vec<_> = self.stations.iter().map(|station| station.name.as_str()).collect();
                    let problem =
                        format!("there is no station '{name}' to change; allowed: {}", known.join(", "));
                    return wrong(name, problem);
                }
            }
        }
        Ok(())
    }
}

/// The line of the text in which a fault stands, with the fault.
fn in_line(text: &str, at: usize, problem: &str) -> String {
    let before = &text[..at.min(text.len())];
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    let problem = problem.replace('\n', " ");
    if line.is_empty() {
        format!("line {number}: {problem}")
    } else {
        format!("line {number}: `{line}`: {problem}")
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
