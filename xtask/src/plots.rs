//! The pictures of the documentation, drawn by the program itself.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::{
    bench::priorities,
    command::{cargo, root, run, target},
    packages,
};

struct Picture {
    /// The file's name without its ending.
    name: &'static str,
    /// What the program calls the limits in it.
    limits: &'static str,
    scenario: &'static str,
}

const fn alone(limit: &'static str, scenario: &'static str) -> Picture {
    Picture { name: limit, limits: limit, scenario }
}

/// Each limit where one sees what it does, and where that goes wrong.
const PICTURES: [Picture; 12] = [
    alone("auto", "capacity"),
    Picture { name: "stream", limits: "auto", scenario: "streams/stream" },
    Picture { name: "fixed", limits: "fixed:20", scenario: "capacity" },
    alone("aimd", "lasting"),
    alone("vegas", "delay-step"),
    alone("gradient2", "lasting"),
    alone("envoy", "slow-healthy"),
    alone("envoy-unpinned", "lasting"),
    alone("brpc", "delay-step"),
    alone("failsafe", "large"),
    alone("bbr", "workers"),
    Picture { name: "baselines", limits: "aimd,vegas,gradient2,envoy,brpc,failsafe", scenario: "capacity" },
];

/// Not far off, in most scenarios: where a limit goes from there is its own doing.
const INITIAL: u32 = 20;

pub(crate) fn draw() -> Result<(), String> {
    let folder = root().join("docs/limits");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for Picture { name, limits, scenario } in PICTURES {
        let sim = format!(
            "run --release --package pushback-cli -- sim pushback-lab/scenarios/{scenario}.toml \
             --limit {limits} --initial {INITIAL} --seeds 1 --plot docs/limits/{name}.svg"
        );
        run(&mut cargo(&sim))?;
    }
    run(&mut cargo("run --release --package pushback-lab --example who_goes_first"))?;
    priorities::draw(&folder)
}

/// The demo's page, after it was used as `page.py` says.
pub(crate) fn page() -> Result<(), String> {
    packages::ensure(false)?;
    run(&mut cargo("build --release --package pushback-cli"))?;
    let said = |error: std::io::Error| format!("the demo: {error}");
    let arguments = ["demo", "--listen", "127.0.0.1:0"];
    let demo = Command::new(target().join("release/pushback")).args(arguments).stdout(Stdio::piped()).spawn();
    let mut demo = demo.map_err(said)?;
    let mut line = String::new();
    let read = BufReader::new(demo.stdout.take().expect("it is piped")).read_line(&mut line).map_err(said);
    let drawn = read.and_then(|_| {
        let python = target().join("foreign-python/bin/python");
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let script = root().join("pushback-cli/tests/page/page.py");
        run(Command::new(python).arg(script).args(["picture", &url]).arg(root().join("docs")))
    });
    let _ = demo.kill();
    let _ = demo.wait();
    drawn
}
