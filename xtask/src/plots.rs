//! The pictures of docs/limits.md, drawn by the program itself.

use std::fs;

use crate::command::{cargo, root, run};

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
const PICTURES: [Picture; 11] = [
    alone("auto", "capacity"),
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
    Ok(())
}
