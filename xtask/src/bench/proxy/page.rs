//! What the live page costs: CPU of a proxy with many gauges while people look, and while nobody does.

use std::{
    fmt::Write,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    judge,
    peer::{LOAD_CORE, Peer, Programs},
};
use crate::bench::median;

const GAUGES: u32 = 100;
const VIEWERS: usize = 10;
/// How long each is measured.
const TIME: Duration = Duration::from_secs(10);

pub(super) fn run(programs: &Programs, rounds: u32) -> Result<usize, String> {
    println!(
        "CPU of a proxy with {GAUGES} gauges and no requests, percent of a core: medians of {rounds} interleaved rounds of \
         {} s\n",
        TIME.as_secs()
    );
    let mut routes = String::new();
    for number in 1..=GAUGES {
        let _ = write!(
            routes,
            "[[routes]]\nname = \"route-{number}\"\npath = \"/{number}\"\nto = \"http://127.0.0.1:1\"\n"
        );
    }
    let (proxy, page) = Peer::with_page(programs, &routes)?;
    let (mut alone, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        alone.push(cpu(&proxy)?);
        let viewers = (0..VIEWERS).map(|_| Viewer::of(&page)).collect::<Result<Vec<_>, _>>()?;
        watched.push(cpu(&proxy)?);
        drop(viewers);
    }
    let (alone, watched) = (median(alone), median(watched));
    println!("{:<24}{alone:>8.2} %\n{:<24}{watched:>8.2} %\n", "nobody looks", format!("{VIEWERS} look"));
    Ok(judge("what looking costs", watched - alone, 1.0, " %"))
}

fn cpu(proxy: &Peer) -> Result<f64, String> {
    let before = proxy.cpu()?;
    thread::sleep(TIME);
    Ok((proxy.cpu()? - before) / TIME.as_secs_f64() * 100.0)
}

/// Somebody who looks, on the core of the load.
struct Viewer(Child);

impl Viewer {
    fn of(page: &str) -> Result<Self, String> {
        let mut curl = Command::new("taskset");
        curl.args(["-c", LOAD_CORE, "curl", "--silent", "--no-buffer"]).arg(format!("http://{page}/events"));
        let child = curl.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        child.map(Viewer).map_err(|error| format!("curl: {error}"))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
