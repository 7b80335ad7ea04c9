//! Services and loads as processes.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::Figures;
use crate::{
    bench::build,
    command::{cargo, run, target},
};

const SERVICE_CORE: &str = "0";
pub(crate) const LOAD_CORE: &str = "1";
/// A run that is invalid is repeated twice.
const TRIES: usize = 3;

/// What is run.
pub(super) struct Programs {
    /// `pushback` as its users have it.
    pub(super) pushback: PathBuf,
    /// `pushback/benches/limited.rs`.
    pub(super) limited: PathBuf,
}

impl Programs {
    pub(super) fn build() -> Result<Self, String> {
        run(&mut cargo("build --release --package pushback-cli"))?;
        Ok(Programs {
            pushback: target().join("release/pushback"),
            limited: build("limited", "bench-default")?,
        })
    }
}

/// A service's process, which ends with this.
pub(crate) struct Process {
    child: Child,
    url: String,
    /// Some services end when this does, and some are broken when nobody listens.
    _held: (Option<ChildStdin>, BufReader<ChildStdout>),
}

impl Process {
    /// Starts a service whose first line ends with its address.
    pub(crate) fn start(program: &Path, arguments: &[&str], path: &str) -> Result<Self, String> {
        let said = |error| format!("{} {}: {error}", program.display(), arguments.join(" "));
        let mut child = pinned(SERVICE_CORE, program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(said)?;
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut process = Process { url: String::new(), _held: (child.stdin.take(), stdout), child };
        let mut line = String::new();
        process._held.1.read_line(&mut line).map_err(said)?;
        let address = line.split_whitespace().last().unwrap_or_default();
        if !address.starts_with("http://") {
            return Err(format!("{} said no address, but {line:?}", program.display()));
        }
        process.url = format!("{address}{path}");
        Ok(process)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// So many requests by callers that each wait for their answer; gives what `load` reports.
    pub(super) fn ask(&self, programs: &Programs, callers: u32, requests: u32) -> Result<Value, String> {
        let report = self.load(programs, &["-c", &callers.to_string(), "-n", &requests.to_string()])?;
        let answered = &report["statuses"]["200"]["count"];
        if answered.as_u64() == Some(u64::from(requests)) {
            Ok(report)
        } else {
            Err(format!("{answered} of {requests} requests were answered with 200: {report}"))
        }
    }

    /// What `load` reports, also of an invalid run.
    fn load(&self, programs: &Programs, arguments: &[&str]) -> Result<Value, String> {
        let output = pinned(LOAD_CORE, &programs.pushback)
            .args(["load", &self.url, "--json"])
            .args(arguments)
            .output()
            .map_err(|error| format!("cannot run pushback load: {error}"))?;
        serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("pushback load: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests at a rate to a service that has just begun: the figures, and whether the run is valid.
pub(super) fn measure(
    start: impl Fn() -> Result<Process, String>,
    programs: &Programs,
    rate: f64,
    seconds: u32,
    seed: u32,
    slo: &str,
) -> Result<(Figures, bool), String> {
    let arguments = [
        ["--rate", &rate.to_string()],
        ["--duration", &format!("{seconds}s")],
        ["--seed", &seed.to_string()],
        ["--slo", slo],
    ];
    let mut tries = 1;
    loop {
        let report = start()?.load(programs, arguments.as_flattened())?;
        let is_valid = report["valid"].as_bool().ok_or_else(|| format!("a run of no rate: {report}"))?;
        if is_valid || tries == TRIES {
            return Ok((figures(&report), is_valid));
        }
        eprintln!("repeated: {}", report["invalid_because"]);
        tries += 1;
    }
}

fn figures(report: &Value) -> Figures {
    Figures {
        goodput: report["goodput"]["per_second"].as_f64().unwrap_or(f64::NAN),
        // Nothing, if nobody was admitted.
        p50_ms: report["statuses"]["200"]["p50_ms"].as_f64().unwrap_or(f64::NAN),
    }
}

/// A program on one core, which does not outlive this one, however this one ends.
pub(crate) fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", core]).arg(program);
    command
}
