//! The shipped scenarios: what every run must hold, and what the suite as a whole must tell apart.

use std::sync::OnceLock;

use pushback_lab::{
    limits::Contender,
    sim::{Contest, INITIALS, Scenario, Standings, Steering, run},
};

fn contenders(names: &[&str]) -> Vec<Contender> {
    names.iter().map(|name| Contender::parse(name).unwrap()).collect()
}

/// All limits in the short suite, once for all tests.
fn short() -> &'static Standings {
    static STANDINGS: OnceLock<Standings> = OnceLock::new();
    STANDINGS.get_or_init(|| {
        let mut scenarios = Scenario::shipped().unwrap();
        scenarios.retain(|scenario| scenario.short);
        let contest =
            Contest { scenarios, contenders: Contender::all(), initials: INITIALS.to_vec(), seeds: 2 };
        contest.run(|| ()).unwrap()
    })
}

#[test]
fn what_each_short_scenario_expects_comes_true() {
    for scenario in &short().scenarios {
        assert_eq!(scenario.unexpected, Vec::<String>::new(), "{}", scenario.name);
    }
}

#[test]
fn every_mutant_fails_the_short_suite() {
    let standings = short();
    assert_eq!(standings.mutants, ["frozen", "minimum", "maximum", "random-walk"]);
    for mutant in &standings.mutants {
        let summary = &standings.summary[mutant];
        assert!(summary.worst_percent_of_oracle < 10.0, "{mutant}: {summary:?}");
        assert!(summary.mean_percent_of_oracle < 60.0, "{mutant}: {summary:?}");
    }
}

#[test]
fn the_short_scenarios_move_the_optimum() {
    let moves =
        |limits: &[u32]| limits.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) > pair[0] / 4).count();
    let moving = short().scenarios.iter().filter(|scenario| {
        let limits: Vec<u32> = scenario.phases.iter().map(|phase| phase.oracle_limit).collect();
        moves(&limits) >= 2
    });
    assert!(moving.count() >= 8);
}

#[test]
fn there_are_forty_scenarios_and_each_expects_something_of_limits_that_there_are() {
    let shipped = Scenario::shipped().unwrap();
    assert_eq!(shipped.len(), 40);
    for scenario in &shipped {
        assert!(scenario.expect.len() >= 2, "{}", scenario.name);
        for name in scenario.expect.keys() {
            assert!(Contender::parse(name).is_ok(), "{}: {name}", scenario.name);
        }
    }
}

/// By how many are in flight at each moment, and by how long each call is, it is the same.
#[test]
fn littles_law_holds_in_every_run() {
    for scenario in Scenario::shipped().unwrap() {
        for contender in contenders(&["fixed:20", "envoy"]) {
            let record = run(&scenario, contender.steering(20, 1), 1).unwrap();
            let (by_moments, by_calls) = (record.in_flight_seconds, record.call_seconds);
            let name = format!("{}, {contender:?}: {by_moments} and {by_calls}", scenario.name);
            assert!((by_moments - by_calls).abs() <= 1e-6 * by_calls.max(1.0), "{name}");
            assert!(by_calls > 0.0 && record.calls > 0, "{name}");
        }
    }
}

#[test]
fn the_same_contest_twice_gives_the_same_bytes() {
    let bytes = || {
        let mut scenarios = Scenario::shipped().unwrap();
        // In the second, so many come that not all are timed.
        scenarios.retain(|scenario| ["step", "large"].contains(&scenario.name.as_str()));
        let contenders = contenders(&["auto", "vegas", "random-walk"]);
        let contest = Contest { scenarios, contenders, initials: vec![7], seeds: 2 };
        serde_json::to_string(&contest.run(|| ()).unwrap()).unwrap()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_limit_that_the_oracle_has_chosen_comes_to_the_oracle() {
    let mut scenarios = Scenario::shipped().unwrap();
    scenarios.retain(|scenario| scenario.name == "lasting");
    let contest = Contest {
        scenarios: scenarios.clone(),
        contenders: contenders(&["fixed:17"]),
        initials: vec![1],
        seeds: 1,
    };
    let standings = contest.run(|| ()).unwrap();
    let worst = standings.summary["fixed:17"].worst_percent_of_oracle;
    assert!(worst > 99.0, "{worst}");
    // And by phases, which is how the oracle itself runs.
    let record = run(&scenarios[0], Steering::by_phase(vec![17]), 1).unwrap();
    assert!(record.phases[0].good as f64 / record.phases[0].seconds > 390.0);
}
