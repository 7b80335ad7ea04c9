//! Arrows between modules point down, in all crates: nothing asks in a circle, and the library's modules lie as ARCHITECTURE.md
//! draws them.

mod modules;
mod source;
mod tokens;

use std::path::Path;

use modules::{Modules, circles};

/// Each with so many arrows at least, or its paths were not found.
const CRATES: [(&str, usize); 4] =
    [("pushback", 200), ("pushback-lab", 80), ("pushback-cli", 150), ("xtask", 40)];

/// The library's, from the top down; each may use those below it.
const ORDER: [&str; 16] = [
    "dashboard",
    "http",
    "gauge",
    "line",
    "limit",
    "slots",
    "notebook",
    "snapshot",
    "arrival",
    "outcome",
    "telemetry",
    "rejected",
    "settings",
    "dice",
    "clock",
    "sync",
];

#[test]
fn no_modules_ask_each_other_in_a_circle() {
    let mut told = Vec::new();
    for (name, at_least) in CRATES {
        let arrows = modules(name).arrows();
        assert!(arrows.len() >= at_least, "{name}: {} arrows were found", arrows.len());
        told.extend(circles(&arrows).into_iter().map(|circle| format!("{name}, {circle}")));
    }
    assert!(told.is_empty(), "{} circles\n{}", told.len(), told.join("\n"));
}

#[test]
fn the_library_s_arrows_point_down() {
    let arrows = modules("pushback").arrows();
    let arrows: Vec<_> = arrows.iter().filter(|arrow| arrow.within.is_empty()).collect();
    for arrow in &arrows {
        assert!(rank(&arrow.to) > rank(&arrow.from), "this lies above what uses it: {}", arrow.seen);
    }
    assert!(arrows.len() > 30, "the paths were found: {}", arrows.len());
}

fn rank(module: &str) -> usize {
    ORDER
        .iter()
        .position(|name| *name == module)
        .unwrap_or_else(|| panic!("{module} has no place in the order"))
}

fn modules(name: &str) -> Modules {
    Modules::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src"))
}
