//! wrk, on a core of its own: how many requests it had answered.

use std::process::Command;

use crate::command::output;

/// Where servers are not.
pub(super) const CORE: &str = "1";

/// What wrk counted.
pub(super) struct Counted {
    pub(super) requests: f64,
    /// Those of them whose status was neither 2xx nor 3xx.
    pub(super) refused: f64,
}

pub(super) fn run(connections: u32, seconds: u32, url: &str) -> Result<Counted, String> {
    let report = output(
        Command::new("taskset")
            .args(["-c", CORE, "wrk", "-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
            .arg(url),
    )?;
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let requests = report.lines().find_map(|line| number(line.split_once(" requests in ")?.0));
    let refused =
        report.lines().find_map(|line| number(line.trim().strip_prefix("Non-2xx or 3xx responses:")?));
    match requests {
        Some(requests) if requests > 0.0 => Ok(Counted { requests, refused: refused.unwrap_or(0.0) }),
        _ => Err(format!("wrk said {report}")),
    }
}
