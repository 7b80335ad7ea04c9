//! `pushback load`: put a service under load and see what comes back.

use std::{path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use pushback_lab::{Closed, Summary, Target, draw};

use crate::{failure::Failure, output, settings, shutdown::Shutdown};

/// Each request is kept for the report, and a million of them is enough for any percentile.
const REQUESTS_MAX: u64 = 1_000_000;
const CALLERS_MAX: u64 = 10_000;
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// Send requests and report what came back: counts by status, percentiles, and a picture if you like.
///
/// A closed loop: each of the callers sends its next request when it has the answer to the last.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to send them: http://HOST[:PORT][/PATH]
    #[arg(value_name = "URL", value_parser = Target::parse)]
    target: Target,
    /// How many requests in all, 1 to 1000000
    #[arg(short = 'n', long, value_name = "N", default_value = "200", value_parser = requests, allow_hyphen_values = true)]
    requests: u64,
    /// How many callers at once, 1 to 10000
    #[arg(short = 'c', long, value_name = "C", default_value = "50", value_parser = callers, allow_hyphen_values = true)]
    concurrency: u64,
    /// After how long a caller gives up, 1ms to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience, allow_hyphen_values = true)]
    timeout: Duration,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Draw the run into an SVG file, over what is in it: each request a line in time
    #[arg(long, value_name = "FILE.svg", value_parser = picture, allow_hyphen_values = true)]
    plot: Option<PathBuf>,
}

fn requests(text: &str) -> Result<u64, String> {
    settings::number(text, 1..=REQUESTS_MAX)
}

fn callers(text: &str) -> Result<u64, String> {
    settings::number(text, 1..=CALLERS_MAX)
}

fn patience(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=TIMEOUT_MAX)
}

fn picture(text: &str) -> Result<PathBuf, String> {
    settings::file(text, "svg")
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { target, requests, concurrency, timeout, json, plot } = arguments;
    // It shows on a terminal only, on standard error, and goes away at the end.
    let bar = ProgressBar::new(requests).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} answers, {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let load = Closed { target, requests, callers: concurrency, timeout };
    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    let each = bar.clone();
    let run = tokio::select! {
        run = load.run(move |_| each.inc(1)) => run,
        signal = shutdown.next() => {
            bar.abandon();
            return Err(Failure::run(format!("{signal} after {} of {requests} requests", bar.position())));
        }
    };
    bar.finish_and_clear();
    let run = run.map_err(Failure::run)?;
    let summary = Summary::of(&run);
    let report = if json {
        serde_json::to_string_pretty(&summary).map_err(Failure::run)?
    } else {
        summary.to_string()
    };
    output::print(&report)?;
    if let Some(file) = &plot {
        draw(&run, file).map_err(Failure::run)?;
    }
    if summary.statuses.is_empty() {
        return Err(Failure::run(format!("no answer from {}", run.target)));
    }
    Ok(())
}
