//! What the lab says of the same service.

use std::{fs, path::PathBuf, process::Command};

use serde_json::Value;

use super::{Figures, INITIAL, real::Programs, service::Service};
use crate::command::{output, target};

const SEEDS: &str = "5";

/// The simulator, and a service as its scenarios say it.
pub(super) struct Lab<'a> {
    pub(super) programs: &'a Programs,
    pub(super) service: Service,
    pub(super) stations: String,
    pub(super) seconds: u32,
}

impl Lab<'_> {
    /// The figures of each limit at a rate.
    pub(super) fn predict(&self, rate: f64) -> Result<[Figures; 3], String> {
        let file = self.write(rate)?;
        let report = output(
            Command::new(&self.programs.pushback)
                .arg("sim")
                .arg(&file)
                .args(["--json", "--seeds", SEEDS, "--initial", &INITIAL.to_string()])
                .args(["--limit", &self.service.limits().join(",")]),
        )?;
        let report: Value = serde_json::from_str(&report).map_err(|error| error.to_string())?;
        let limits = &report["scenarios"][0]["limits"];
        Ok(self.service.limits().map(|limit| {
            let came = &limits[limit]["phases"][0];
            Figures {
                goodput: came["goodput_per_second"].as_f64().unwrap_or(f64::NAN),
                p50_ms: came["admitted"]["p50_ms"].as_f64().unwrap_or(f64::NAN),
            }
        }))
    }

    fn write(&self, rate: f64) -> Result<PathBuf, String> {
        let (name, slo, seconds) = (self.service.name(), self.service.slo(), self.seconds);
        let file = target().join(format!("goodput-{name}-{rate}.toml"));
        // There is no warm-up, because the load generator has none. It waits for the last answers: the second phase does.
        let text = format!(
            "# The service '{name}' as `cargo xtask bench goodput` has measured it.\ndeadline = \"{slo}\"\nwarmup = \"1ns\"\n\n\
             {}[[phase]]\nlasts = \"{seconds}s\"\nrate = {rate}\n\n[[phase]]\nlasts = \"30s\"\nrate = 0\n",
            self.stations
        );
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(file)
    }
}
