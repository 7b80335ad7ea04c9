//! docs/limits.md, against the code.

use pushback_lab::{limits::Contender, sim::Scenario};

const PAGE: &str = include_str!("../../docs/limits.md");

#[test]
fn the_scenario_in_the_documentation_can_be_read() {
    let (_, after) = PAGE.split_once("```toml\n").unwrap();
    let (text, _) = after.split_once("```").unwrap();
    let scenario = Scenario::parse("example", text).unwrap();
    assert_eq!((scenario.stations.len(), scenario.routes.len(), scenario.phases.len()), (3, 2, 4));
    for name in scenario.expect.keys() {
        assert!(Contender::parse(name).is_ok(), "{name}");
    }
}

#[test]
fn every_limit_is_named_in_the_documentation() {
    for Contender { name, .. } in Contender::all() {
        let picture = format!("limits/{name}.svg");
        assert!(PAGE.contains(&picture) || PAGE.contains(&format!("`{name}`")), "{name}");
    }
}
