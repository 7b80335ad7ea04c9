//! `pushback load`: put a service under load and see what comes back.

use std::{path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use pushback_lab::{Arrivals, Closed, Load, Open, Summary, Target, count, draw};

use crate::{failure::Failure, files, output, settings, shutdown::Shutdown};

/// Each request is kept for the report, and a million of them is enough for any percentile.
const REQUESTS_MAX: u64 = 1_000_000;
const CALLERS_MAX: u64 = 10_000;
/// What one machine has ports and files for; a service that keeps so many waiting has shown what it does.
const IN_FLIGHT_MAX: usize = 10_000;
const TIME_MAX: Duration = Duration::from_secs(3600);

/// Send requests and report what came back: counts by status, percentiles, and a picture if you
/// like.
///
/// Without --rate, it is a closed loop: each caller sends its next request when it has the answer
/// to the last.
///
/// With --rate, it is an open loop: requests are sent at the moments of a schedule, whether or not
/// earlier ones were answered. Their times count from these moments.
///
/// A run can be invalid. Then it says so, and the exit code is 1. A run is invalid if some requests
/// were not sent, because 10000 were in flight or the system had no more files or ports; if most
/// found nobody to connect to; or if one of a hundred was sent too late, by more than 1 ms and more
/// than a hundredth of --slo. The exit code is also 1 if there was no answer at all.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to send requests: http://HOST[:PORT][/PATH]
    #[arg(value_name = "URL", value_parser = Target::parse)]
    target: Target,
    /// How many requests in all, 1 to 1000000
    #[arg(short = 'n', long, value_name = "N", default_value = "200", value_parser = requests, conflicts_with = "rate", allow_hyphen_values = true)]
    requests: u64,
    /// How many callers at once, 1 to 10000
    #[arg(short = 'c', long, value_name = "C", default_value = "50", value_parser = callers, conflicts_with = "rate", allow_hyphen_values = true)]
    concurrency: u64,
    /// How many requests a second on average, 0.1 to 100000, whether or not there are answers: an
    /// open loop
    #[arg(long, value_name = "R", value_parser = rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// For how long to send, 100ms to 1h. At most 1000000 requests in all
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = length, requires = "rate", allow_hyphen_values = true)]
    duration: Duration,
    /// When requests come: poisson, steady, bursts:ON/OFF such as bursts:1s/3s, batches:N at once,
    /// or clumps:N, whose distances vary N times as much as their mean
    #[arg(long, value_name = "KIND", default_value = "poisson", value_parser = Arrivals::parse, requires = "rate", allow_hyphen_values = true)]
    arrivals: Arrivals,
    /// Which schedule of this kind. The same seed gives the same one
    #[arg(long, value_name = "N", default_value = "1", value_parser = seed, requires = "rate", allow_hyphen_values = true)]
    seed: u64,
    /// How soon an answer is of use, 1ms to 1h. Goodput counts the requests that are admitted and
    /// answered within this time, with a status below 400
    #[arg(long, value_name = "TIME", value_parser = patience, allow_hyphen_values = true)]
    slo: Option<Duration>,
    /// When a caller gives up, 1ms to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience, allow_hyphen_values = true)]
    timeout: Duration,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    /// Draw the run into an SVG file, each request a line in time. Overwrites the file
    #[arg(long, value_name = "FILE.svg", value_parser = picture, allow_hyphen_values = true)]
    plot: Option<PathBuf>,
}

fn requests(text: &str) -> Result<u64, String> {
    settings::number(text, 1..=REQUESTS_MAX)
}

fn callers(text: &str) -> Result<u64, String> {
    settings::number(text, 1..=CALLERS_MAX)
}

fn rate(text: &str) -> Result<f64, String> {
    settings::quantity(text, 0.1..=100_000.0)
}

fn length(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(100)..=TIME_MAX)
}

fn seed(text: &str) -> Result<u64, String> {
    settings::number(text, 0..=u64::MAX)
}

fn patience(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=TIME_MAX)
}

fn picture(text: &str) -> Result<PathBuf, String> {
    settings::file(text, "svg")
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { slo, json, .. } = arguments;
    let plot = arguments.plot.clone();
    let load = load(arguments)?;
    let requests = load.requests();
    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    // What cannot be sent for want of files makes the run invalid, which says it.
    let _ = files::raise_limit();
    let stopped =
        |signal, sent| Failure::run(format!("{signal} after {sent} of {}", count(requests, "request")));
    tokio::select! {
        reached = load.target().reach() => reached.map_err(Failure::run)?,
        signal = shutdown.next() => return Err(stopped(signal, 0)),
    }

    // It shows on a terminal only, on standard error, and goes away at the end.
    let bar = ProgressBar::new(requests).with_style(
        ProgressStyle::with_template("{bar:40} {pos}/{len} answers, {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let each = bar.clone();
    let mut signal = None;
    let stop = async { signal = Some(shutdown.next().await) };
    let run = load.run(stop, move |_| each.inc(1)).await;
    bar.finish_and_clear();
    let run = run.map_err(|error| Failure::run(format!("cannot start a thread: {error}")))?;

    let summary = Summary::of(&run, slo);
    let report = if json {
        serde_json::to_string_pretty(&summary).map_err(Failure::run)?
    } else {
        summary.to_string()
    };
    // Its reader may take its time, but not from somebody who wants the end.
    tokio::select! {
        printed = tokio::task::spawn_blocking(move || output::print(&report)) => printed.map_err(Failure::run)??,
        signal = shutdown.next() => return Err(Failure::run(format!("{signal} before the report was read"))),
    }
    if let Some(file) = &plot {
        draw(&run, file).map_err(|error| Failure::run(format!("--plot: {error}")))?;
    }
    if let Some(signal) = signal {
        return Err(stopped(signal, summary.requests));
    }
    if let Some(reason) = summary.invalid_because {
        return Err(Failure::run(format!("the run is invalid: {reason}")));
    }
    if summary.statuses.is_empty() {
        let ends = summary.errors.iter().map(|(end, times)| format!("{} {end}", times.count));
        let ends = ends.collect::<Vec<_>>().join(", ");
        return Err(Failure::run(format!("no answer from {}: {ends}", load.target())));
    }
    Ok(())
}

fn load(arguments: Arguments) -> Result<Load, Failure> {
    let Arguments { target, requests, concurrency, rate, duration, arrivals, seed, timeout, .. } = arguments;
    let Some(rate) = rate else {
        return Ok(Load::Closed(Closed { target, requests, callers: concurrency, timeout }));
    };
    let open = Open { target, arrivals, rate, seed, duration, timeout, in_flight_max: IN_FLIGHT_MAX };
    let asked = format!(
        "--rate {rate} for --duration {} with --arrivals {}",
        humantime::format_duration(duration),
        open.arrivals
    );
    if rate * duration.as_secs_f64() > REQUESTS_MAX as f64 {
        return Err(Failure::wrong(format!(
            "{asked} is more than {REQUESTS_MAX} requests, the most allowed"
        )));
    }
    // Chance gives more or less than the mean, and some kinds far more in their beginning.
    let most = 2 * REQUESTS_MAX;
    match open.moments().zip(0..=most).count() as u64 {
        0 => Err(Failure::wrong(format!("{asked} has no request with --seed {seed}; make it longer"))),
        count if count > most => Err(Failure::wrong(format!("{asked} has more than {most} requests"))),
        _ => Ok(Load::Open(open)),
    }
}
