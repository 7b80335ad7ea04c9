//! The real services, and what they are to the lab.

use std::fmt;

use clap::ValueEnum;
use serde_json::Value;

use super::real::{Process, Programs};

/// A limit under which nothing is refused while a service is calibrated.
const AMPLE: &str = "1000";
/// So many requests for the times of a single caller, and so many for how many answers a second are possible; of streams, which last
/// longer, fewer.
const TIMED: u32 = 400;
const COUNTED: u32 = 2000;
const STREAMS_TIMED: u32 = 40;
const STREAMS_COUNTED: u32 = 300;

/// As in `pushback/benches/limited.rs`.
const LOCKED: f64 = 0.3;
const HELD_MS: f64 = 5.0;
const WORK_MS: f64 = 4.0;

/// A real service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Service {
    /// `pushback demo` with eight workers
    Pool,
    /// Three of ten requests wait for one lock
    Lock,
    /// All requests share one core
    Cpu,
    /// Eight places for streams of events, whose heads come at once
    StreamHeadFirst,
    /// The same, with heads that come with the first event
    StreamHeadLate,
}

/// What a service, or the part of it that bounds it, does over HTTP.
pub(super) struct Calibrated {
    /// How long half of the requests take at most when each is alone, in milliseconds.
    alone_ms: f64,
    /// How many answers a second there are when something always queues.
    busy: f64,
    /// How many the whole service can give.
    pub(super) capacity: f64,
}

impl fmt::Display for Calibrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calibrated { capacity, alone_ms, busy } = self;
        write!(
            f,
            "{alone_ms:.2} ms alone, {busy:.1} a second when busy; can give {capacity:.0} answers a second"
        )
    }
}

impl Service {
    pub(super) const ALL: [Service; 5] =
        [Service::Pool, Service::Lock, Service::Cpu, Service::StreamHeadFirst, Service::StreamHeadLate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Service::Pool => "pool",
            Service::Lock => "lock",
            Service::Cpu => "cpu",
            Service::StreamHeadFirst => "stream-head-first",
            Service::StreamHeadLate => "stream-head-late",
        }
    }

    fn is_stream(self) -> bool {
        matches!(self, Service::StreamHeadFirst | Service::StreamHeadLate)
    }

    /// How soon an answer is of use, to its end.
    pub(super) fn slo(self) -> &'static str {
        if self.is_stream() { "1500ms" } else { "200ms" }
    }

    /// What is compared, by its name in the lab: a limit that is right, and two that move.
    pub(super) fn limits(self) -> [&'static str; 3] {
        [if self.is_stream() { "fixed:8" } else { "fixed:17" }, "vegas", "auto"]
    }

    /// Loads, in parts of the capacity.
    pub(super) fn loads(self) -> &'static [f64] {
        match self {
            Service::Pool => &[0.5, 2.0, 5.0, 10.0],
            Service::Lock | Service::Cpu => &[0.5, 2.0, 10.0],
            Service::StreamHeadFirst | Service::StreamHeadLate => &[4.0],
        }
    }

    /// Whether it must be as predicted. On a core that is busy, HTTP and refusals cost capacity of which no scenario
    /// knows.
    pub(super) fn is_judged(self) -> bool {
        self != Service::Cpu
    }

    /// A process of its own, on a core of its own, that is asked for this path.
    fn start(self, programs: &Programs, limit: &str, path: &str) -> Result<Process, String> {
        match self {
            Service::Pool => {
                let settings =
                    ["--listen", "127.0.0.1:0", "--workers", "8", "--work", "20ms", "--beyond", "queue"];
                let arguments = [&["demo", "--limit", limit], &settings[..]].concat();
                Process::start(&programs.pushback, &arguments, path)
            }
            _ => Process::start(&programs.limited, &[self.name(), limit], path),
        }
    }

    /// Behind a limit, to be measured.
    pub(super) fn behind(self, programs: &Programs, limit: &str) -> Result<Process, String> {
        let path = if self == Service::Pool { "/request" } else { "/" };
        self.start(programs, limit, path)
    }

    /// What is calibrated, and how many callers keep it busy.
    fn bottleneck(self) -> (&'static str, u32) {
        match self {
            Service::Pool => ("/request", 16),
            Service::Lock => ("/hold", 4),
            Service::Cpu => ("/", 4),
            Service::StreamHeadFirst | Service::StreamHeadLate => ("/", 16),
        }
    }

    pub(super) fn calibrate(self, programs: &Programs) -> Result<Calibrated, String> {
        let (path, callers) = self.bottleneck();
        let process = self.start(programs, AMPLE, path)?;
        let figure = |value: &Value| value.as_f64().ok_or_else(|| format!("pushback load said {value}"));
        let (timed, counted) =
            if self.is_stream() { (STREAMS_TIMED, STREAMS_COUNTED) } else { (TIMED, COUNTED) };
        let alone = process.ask(programs, 1, timed)?;
        let busy = figure(&process.ask(programs, callers, counted)?["per_second"])?;
        let passing = if self == Service::Lock { LOCKED } else { 1.0 };
        let alone_ms = figure(&alone["statuses"]["200"]["p50_ms"])?;
        Ok(Calibrated { alone_ms, busy, capacity: busy / passing })
    }

    /// What it is in a scenario.
    pub(super) fn stations(self, calibrated: &Calibrated) -> String {
        let Calibrated { alone_ms, busy, .. } = *calibrated;
        match self {
            Service::Pool => station("workers", "workers = 8", "constant", alone_ms),
            // Their times lie between half of that and half more.
            Service::StreamHeadFirst | Service::StreamHeadLate => {
                station("places", "workers = 8", "constant", 8000.0 / busy)
            }
            Service::Cpu => station("core", "cores = 1", "constant", alone_ms),
            // HTTP and the timer of the work are a delay; that of the lock holds it longer, and so is in the time between
            // two that queue.
            Service::Lock => [
                station("delay", "", "constant", (alone_ms - HELD_MS).max(0.001)),
                station("work", "", "exponential", WORK_MS),
                station("lock", &format!("workers = 1\nshare = {LOCKED}"), "constant", 1000.0 / busy),
            ]
            .concat(),
        }
    }
}

fn station(name: &str, settings: &str, kind: &str, time_ms: f64) -> String {
    let micros = 1000.0 * time_ms;
    format!("[[station]]\nname = \"{name}\"\n{settings}\ntime.{kind} = \"{micros:.0}us\"\n\n")
}
