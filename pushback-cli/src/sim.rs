//! `pushback sim`: limits against each other and the oracle, in virtual time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};
use pushback_lab::{
    limits::Contender,
    sim::{Contest, INITIALS, Scenario, ScenarioStandings, Standings, plot, random_text, report, table},
};

use crate::{failure::Failure, output, settings};

const INITIAL_MAX: u64 = 2000;
const SEEDS_MAX: u64 = 100;
const RANDOM_MAX: u64 = 1000;
const SEED_MAX: u64 = u32::MAX as u64;

/// Simulate limits against each other and against the oracle.
///
/// The oracle has the best fixed limit for each phase of a scenario. The gauge is the one that
/// production runs; only the time is not real. Each limit begins at several wrong places and runs
/// with several seeds. The same seeds give the same result.
///
/// The exit code is 1 if a limit does better or worse than the [expect] of its scenario says.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Scenarios to run [default: the short ones that come with the program]
    #[arg(value_name = "FILE.toml")]
    files: Vec<PathBuf>,
    /// Which limits, comma-separated; fixed:N is a fixed one [default: all]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = Contender::parse)]
    limit: Vec<Contender>,
    /// The first limits to begin from, comma-separated, 1 to 2000
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = INITIALS, value_parser = initial, allow_hyphen_values = true)]
    initial: Vec<u32>,
    /// How many seeds to run each with, 1 to 100 [default: 2, or 5 with --full]
    #[arg(long, value_name = "N", value_parser = seeds, allow_hyphen_values = true)]
    seeds: Option<u64>,
    /// Run all scenarios that come with the program
    #[arg(long, conflicts_with = "files")]
    full: bool,
    /// Run so many random scenarios, 1 to 1000
    #[arg(long, value_name = "N", value_parser = random, conflicts_with_all = ["files", "full"], allow_hyphen_values = true)]
    random: Option<u32>,
    /// Which random scenarios. The same seed gives the same ones
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed, requires = "random", allow_hyphen_values = true)]
    seed: u64,
    /// Write the random scenarios into this folder instead of running them, to look at or run one
    /// by one
    #[arg(long, value_name = "FOLDER", requires = "random", conflicts_with_all = ["json", "report", "plot"])]
    write: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Write a page with plots. Overwrites the file
    #[arg(long, value_name = "FILE.html", value_parser = page, allow_hyphen_values = true)]
    report: Option<PathBuf>,
    /// Draw how the limits moved in one scenario. Overwrites the file
    #[arg(long, value_name = "FILE.svg", value_parser = picture, allow_hyphen_values = true)]
    plot: Option<PathBuf>,
}

fn initial(text: &str) -> Result<u32, String> {
    settings::number(text, 1..=INITIAL_MAX)
        .and_then(|number| u32::try_from(number).map_err(|error| error.to_string()))
}

fn seeds(text: &str) -> Result<u64, String> {
    settings::number(text, 1..=SEEDS_MAX)
}

fn random(text: &str) -> Result<u32, String> {
    settings::number(text, 1..=RANDOM_MAX)
        .and_then(|number| u32::try_from(number).map_err(|error| error.to_string()))
}

fn seed(text: &str) -> Result<u64, String> {
    settings::number(text, 0..=SEED_MAX)
}

fn page(text: &str) -> Result<PathBuf, String> {
    settings::file(text, "html")
}

fn picture(text: &str) -> Result<PathBuf, String> {
    settings::file(text, "svg")
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let (Some(folder), Some(count)) = (&arguments.write, arguments.random) {
        return write_random(folder, arguments.seed, count);
    }
    let contest = contest(arguments)?;
    if arguments.plot.is_some() && contest.scenarios.len() != 1 {
        let count = contest.scenarios.len();
        return Err(Failure::wrong(format!(
            "--plot draws one scenario, but there are {count}; name one FILE.toml, or draw all by --report FILE.html"
        )));
    }
    // It shows on a terminal only, on standard error, and goes away at the end.
    let bar = ProgressBar::new(contest.runs() as u64).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed}, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let standings = contest.run(|| bar.inc(1)).map_err(Failure::run)?;
    bar.finish_and_clear();
    let text = if arguments.json {
        serde_json::to_string_pretty(&standings).map_err(Failure::run)?
    } else {
        table(&standings)
    };
    output::print(&text)?;
    if let Some(file) = &arguments.report {
        write("--report", file, &report(&standings).map_err(Failure::run)?)?;
    }
    if let (Some(file), Some(scenario)) = (&arguments.plot, standings.scenarios.first()) {
        write("--plot", file, &plot(&standings, scenario).map_err(Failure::run)?)?;
    }
    as_expected(&standings)
}

/// Said last, when all that was asked for is written.
fn as_expected(standings: &Standings) -> Result<(), Failure> {
    let of = |scenario: &ScenarioStandings| {
        let told = scenario.unexpected.iter().map(|line| format!("{}: {line}", scenario.name));
        told.collect::<Vec<_>>()
    };
    let unexpected: Vec<_> = standings.scenarios.iter().flat_map(of).collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    Err(Failure::run(format!("not as [expect] says: {}", unexpected.join("; "))))
}

fn write_random(folder: &Path, seed: u64, count: u32) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| {
        Failure::run(format!("cannot make the folder of --write {}: {error}", folder.display()))
    })?;
    for number in 1..=count {
        let file = folder.join(format!("random-{seed}-{number}.toml"));
        write("--write", &file, &random_text(seed, number))?;
    }
    Ok(())
}

fn write(flag: &str, file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text)
        .map_err(|error| Failure::run(format!("cannot write {flag} {}: {error}", file.display())))
}

fn contest(arguments: &Arguments) -> Result<Contest, Failure> {
    let scenarios = if let Some(count) = arguments.random {
        Scenario::random(arguments.seed, count).map_err(Failure::run)?
    } else if arguments.files.is_empty() {
        let mut shipped = Scenario::shipped().map_err(Failure::run)?;
        shipped.retain(|scenario| arguments.full || scenario.short);
        shipped
    } else {
        let read = arguments.files.iter().map(|file| Scenario::read(file));
        read.collect::<Result<_, _>>().map_err(Failure::wrong)?
    };
    let contenders = if arguments.limit.is_empty() { Contender::all() } else { arguments.limit.clone() };
    let seeds = arguments.seeds.unwrap_or(if arguments.full { 5 } else { 2 });
    Ok(Contest { scenarios, contenders, initials: arguments.initial.clone(), seeds })
}
