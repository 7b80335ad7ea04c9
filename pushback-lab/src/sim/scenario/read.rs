//! Reading a scenario: from a file, from text, from the program itself; and what must hold between its keys.

use std::{fmt, fs, path::Path, time::Duration};

use include_dir::{Dir, include_dir};

use super::{
    Coming, Recording, Scenario,
    place::{Fault, Place, in_line},
};
use crate::limits::Contender;

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
                recording.read(folder).map_err(|problem| {
                    ScenarioError(format!("{}, arrivals.recorded: {problem}", file.display()))
                })?;
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
            let (problem, at) = (error.message(), error.span().map_or(0, |span| span.start));
            // What the file itself lacks stands on no line of it.
            let is_of_the_file = at == 0 && problem.starts_with("missing field");
            ScenarioError(if is_of_the_file {
                format!("at the top: {problem}, which stands before all tables")
            } else {
                in_line(text, text[..at.min(text.len())].matches('\n').count(), problem)
            })
        })?;
        scenario.name = name.to_owned();
        scenario.shows = text
            .lines()
            .map_while(|line| line.strip_prefix('#'))
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        scenario.check().map_err(|Fault { place, problem }| {
            ScenarioError(match place.line(text) {
                Some(index) => in_line(text, index, &problem),
                None => format!("as a whole: {problem}"),
            })
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

    /// How long callers wait for an answer, or have any use for it.
    pub(in crate::sim) fn patience(&self) -> Duration {
        self.client.timeout.map_or(self.deadline.0, |timeout| timeout.0.min(self.deadline.0))
    }

    /// How long it is.
    pub fn lasts(&self) -> Duration {
        self.phases.iter().map(|phase| phase.lasts.0).sum()
    }

    /// What must hold between several keys.
    fn check(&self) -> Result<(), Fault> {
        let wrong = |place: Place, problem: &str| Err(Fault { place, problem: problem.to_owned() });
        if self.shows.is_empty() {
            let problem = "the first line must be a comment that says what the scenario shows";
            return wrong(Place::FirstLine, problem);
        }
        if self.stations.is_empty() || self.phases.is_empty() {
            return wrong(Place::Whole, "allowed: at least one [[station]] and one [[phase]]");
        }
        if self.lasts() > LASTS_MAX {
            let problem = "all phases together last longer than is allowed: 2h";
            return wrong(Place::Line("lasts"), problem);
        }
        if self.warmup.0 >= self.lasts() {
            // Every limit would have 100 %, for none would have been asked anything.
            let [warmup, lasts] = [self.warmup.0, self.lasts()].map(humantime::format_duration);
            let problem = format!(
                "warmup is {warmup} (5s, if none is given), and all phases together last {lasts}, so nothing would \
                 count; allowed: a shorter warmup, or longer phases"
            );
            return wrong(Place::Line("warmup"), &problem);
        }
        if self.pause.is_some_and(|pause| pause.every.0 < PAUSE_EVERY_MIN || pause.lasts >= pause.every) {
            let problem = "allowed: at least 1ms from one pause to the next, and shorter pauses than that";
            return wrong(Place::Line("pause"), problem);
        }
        for name in self.expect.keys() {
            if let Err(allowed) = Contender::parse(name) {
                let problem = format!("[expect] has '{name}', which is no limit; {allowed}");
                return wrong(Place::Expect(name.clone()), &problem);
            }
        }
        for (index, phase) in self.phases.iter().enumerate() {
            let wrong = |key: &str, problem: &str| wrong(Place::InPhase(index, key.to_owned()), problem);
            if phase.rate.is_some() == phase.callers.is_some() {
                return wrong("[[phase]]", "a phase has either a rate or callers");
            }
            if phase.callers.is_some() && phase.think.is_none() {
                // Whoever is refused at once would ask again at the same moment, for ever.
                return wrong("callers", "callers have a time to think");
            }
            if phase.arrivals != Coming::Poisson && phase.rate.is_none() {
                return wrong("arrivals", "only a phase with a rate has arrivals");
            }
            for name in phase.change.keys() {
                if !self.stations.iter().any(|station| station.name == *name) {
                    let known: Vec<_> = self.stations.iter().map(|station| station.name.as_str()).collect();
                    let problem =
                        format!("there is no station '{name}' to change; allowed: {}", known.join(", "));
                    return wrong(name, &problem);
                }
            }
        }
        Ok(())
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
