//! What `Auto` does in services that are simple enough to know what is right.

use std::time::Duration;

use pushback::{
    PressureGauge,
    limit::{Auto, AutoPart, Limit},
};
use pushback_lab::{
    limits::{Contender, Utilisation},
    sim::{INITIALS, Record, STEP, Scenario, Steering, run},
};

fn scenario(head: &str, text: &str) -> Scenario {
    Scenario::parse(
        "test",
        &format!("# A test.\nwarmup = \"10s\"\n{head}\n[[station]]\nname = \"a\"\n{text}"),
    )
    .unwrap()
}

fn runs(scenario: &Scenario, limit: impl Limit, seed: u64) -> Record {
    let steering = Steering::limit(Box::new(limit), Utilisation::default());
    run(scenario, steering, seed).unwrap()
}

/// Runs from all first limits.
fn all_runs(scenario: &Scenario) -> impl Iterator<Item = Record> + '_ {
    let seeds = INITIALS.iter().zip(1..);
    seeds.map(move |(initial, seed)| runs(scenario, Auto::new().initial(*initial), seed))
}

fn good_a_second(record: &Record, from: u64, to: u64) -> f64 {
    let at = |seconds| Duration::from_secs(seconds).as_millis() / STEP.as_millis();
    let steps = usize::try_from(at(from)).unwrap()..usize::try_from(at(to)).unwrap();
    record.steps[steps].iter().map(|step| f64::from(step.good)).sum::<f64>() / (to - from) as f64
}

fn limit_at(record: &Record, seconds: u64) -> u32 {
    let step = Duration::from_secs(seconds).as_millis() / STEP.as_millis();
    record.steps[usize::try_from(step).unwrap() - 1].limit
}

const EIGHT: &str = "workers = 8\ntime.exponential = \"20ms\"\n";

#[test]
fn nobody_is_refused_at_half_load() {
    for station in [
        EIGHT,
        "workers = 8\ntime.constant = \"20ms\"\n",
        "cores = 8\ntime.pareto = { mean = \"20ms\", shape = 2.2 }\n",
    ] {
        let healthy =
            scenario("deadline = \"1s\"", &format!("{station}[[phase]]\nlasts = \"70s\"\nrate = 200"));
        for record in all_runs(&healthy) {
            assert_eq!(record.phases[0].refused, 0, "{station}");
        }
    }
}

#[test]
fn under_lasting_overload_it_does_as_much_as_can_be_done_and_does_not_drift() {
    let overloaded =
        scenario("deadline = \"200ms\"", &format!("{EIGHT}[[phase]]\nlasts = \"20m\"\nrate = 1200"));
    for record in all_runs(&overloaded) {
        assert!(good_a_second(&record, 20, 1200) > 0.97 * 400.0);
        for minute in 1..20 {
            // A dip is short, and may be at any moment.
            let limit = (0..10).map(|second| limit_at(&record, 60 * minute - second)).sum::<u32>() / 10;
            assert!((6..=40).contains(&limit), "{limit} at the end of minute {minute}");
        }
    }
}

#[test]
fn a_dependency_that_gets_slow_is_not_taken_for_a_queue() {
    let text = "time.exponential = \"40ms\"\n[[phase]]\nlasts = \"30s\"\nrate = 1000\n\
                [[phase]]\nlasts = \"40s\"\nrate = 1000\nchange.a.speed = 0.1";
    let record = runs(&scenario("deadline = \"4s\"", text), Auto::new(), 1);
    let served = good_a_second(&record, 45, 65);
    assert!(served > 990.0, "{served} of 1000 a second, fifteen seconds after it got ten times as slow");
}

#[test]
fn half_of_a_service_that_is_gone_and_comes_back_is_followed() {
    let text = format!(
        "{EIGHT}[[phase]]\nlasts = \"30s\"\nrate = 800\n[[phase]]\nlasts = \"30s\"\nrate = 800\nchange.a.workers = 4\n\
         [[phase]]\nlasts = \"30s\"\nrate = 800"
    );
    for record in all_runs(&scenario("deadline = \"300ms\"", &text)) {
        for (from, to, can) in [(15, 30, 400.0), (40, 60, 200.0), (70, 90, 400.0)] {
            let good = good_a_second(&record, from, to);
            assert!(good > 0.93 * can, "{good} of {can} from second {from} on");
        }
    }
}

#[test]
fn calls_that_queued_from_the_first_one_on_are_not_taken_for_the_base_time() {
    let text = "workers = 4\ntime.constant = \"50ms\"\n[[phase]]\nlasts = \"30s\"\nrate = 800";
    for record in all_runs(&scenario("deadline = \"1s\"", text)) {
        let limit = limit_at(&record, 20);
        assert!((5..=14).contains(&limit), "{limit} for four workers");
    }
}

#[test]
fn past_the_knee_it_turns_back() {
    let knee = "cores = 64\ncontention = 0.01\ncoherency = 0.001\ntime.exponential = \"20ms\"\n";
    let record = runs(
        &scenario("deadline = \"400ms\"", &format!("{knee}[[phase]]\nlasts = \"120s\"\nrate = 2500")),
        Auto::new(),
        1,
    );
    // The most, with some thirty calls at once, is about 695 a second.
    let good = good_a_second(&record, 20, 120);
    assert!(good > 0.9 * 695.0, "{good} a second");
}

#[test]
fn callers_that_give_up_make_room_however_long_that_takes() {
    // Each call takes 133 ms of eight workers, and callers wait for 300 ms.
    let head = "deadline = \"300ms\"\nclient = { timeout = \"300ms\" }";
    let text = "workers = 8\ntime.constant = \"133ms\"\n[[phase]]\nlasts = \"60s\"\nrate = 300";
    let record = runs(&scenario(head, text), Auto::new(), 1);
    let good = good_a_second(&record, 30, 60);
    assert!(good > 0.8 * 60.0, "{good} of 60 a second");
}

#[test]
fn a_longest_mean_time_is_kept_even_if_less_is_done() {
    let text = "cores = 2\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"60s\"\nrate = 300";
    let overloaded = scenario("deadline = \"1s\"", text);
    let mean = |record: &Record| {
        let steps = &record.steps[120..];
        let (time, ended) =
            steps.iter().fold((0.0, 0), |(time, ended), step| (time + step.time, ended + step.ended));
        f64::from(time) / f64::from(ended)
    };
    let free = mean(&runs(&overloaded, Auto::new(), 1));
    let bound = mean(&runs(&overloaded, Auto::new().time_max(Duration::from_millis(20)), 1));
    assert!(free > 0.05 && bound < 0.03, "{free} s and {bound} s");
}

#[test]
fn it_keeps_its_bounds_and_wrong_settings_are_named() {
    let text = format!("{EIGHT}[[phase]]\nlasts = \"30s\"\nrate = 1200");
    let overloaded = scenario("deadline = \"300ms\"", &text);
    let record = runs(&overloaded, Auto::new().bounds(3..=5).initial(3), 1);
    assert!(record.steps.iter().all(|step| (3..=5).contains(&step.limit)));
    for (settings, key) in [
        (Auto::new().bounds(0..=5), "bounds"),
        (Auto::new().bounds(30..=50), "initial"),
        (Auto::new().time_max(Duration::ZERO), "time_max"),
    ] {
        let error = PressureGauge::builder().limit(settings).build().unwrap_err();
        assert_eq!(error.key(), key);
    }
}

#[test]
fn every_part_can_be_left_out_and_has_a_name() {
    for part in AutoPart::ALL {
        let text = format!("{EIGHT}[[phase]]\nlasts = \"12s\"\nrate = 800");
        runs(&scenario("deadline = \"300ms\"", &text), Auto::new().without(part), 1);
    }
    let error = Contender::parse("auto-without-anything").unwrap_err();
    assert!(error.contains("auto-without-dips") && !error.contains("unknown"), "{error}");
    assert!(Contender::parse("auto-without-late").is_ok());
}

/// With as many in flight as are done in the callers' patience, all of them are late. That is no stand-still, and nobody but the limit
/// can end it.
#[test]
fn callers_who_give_up_in_our_queue_are_no_stand_still() {
    for hang_up in ["noticed", "begun"] {
        let head =
            format!("deadline = \"250ms\"\nclient = {{ timeout = \"250ms\", hang-up = \"{hang_up}\" }}");
        let text = "workers = 10\ntime.constant = \"100ms\"\n[[phase]]\nlasts = \"30s\"\nrate = 200";
        for seed in 1..=5 {
            let record = runs(&scenario(&head, text), Auto::new().initial(20), seed);
            let good = good_a_second(&record, 10, 30);
            assert!(good > 85.0, "{hang_up}, seed {seed}: {good} of 100 that ten workers can do");
        }
    }
}

#[test]
fn a_load_that_comes_at_once_on_a_limit_that_grew_without_it_is_got_over() {
    let head = "deadline = \"500ms\"\nclient = { timeout = \"500ms\", hang-up = \"begun\" }";
    let text = "workers = 10\ntime.constant = \"200ms\"\n\
                [[phase]]\nlasts = \"10s\"\nrate = 40\n[[phase]]\nlasts = \"20s\"\nrate = 200";
    for seed in 1..=5 {
        let record = runs(&scenario(head, text), Auto::new(), seed);
        let good = good_a_second(&record, 14, 30);
        assert!(good > 35.0, "seed {seed}: {good} of 50 that ten workers can do");
    }
}

/// Which part is refused at a quarter of what the service can do, some of whose answers are a 503 by chance.
fn refused_at_a_quarter(chance: &str, limit: &Auto) -> f64 {
    let text = format!("{EIGHT}[[phase]]\nlasts = \"120s\"\nrate = 100\nhealthy = true");
    let healthy = scenario(&format!("deadline = \"1s\"\n{chance}"), &text);
    let (refused, all) = INITIALS.iter().zip(1..).fold((0, 0), |(refused, all), (initial, seed)| {
        let phase = &runs(&healthy, limit.clone().initial(*initial), seed).phases[0];
        (refused + phase.healthy_refusals, all + phase.healthy_calls)
    });
    refused as f64 / all as f64
}

#[test]
fn what_fails_by_chance_refuses_nobody() {
    for part in ["0.001", "0.01", "0.05"] {
        let chance = format!("fails = {part}");
        let refused = refused_at_a_quarter(&chance, &Auto::new());
        assert!(refused < 0.001, "{refused} are refused where {part} fail by chance");
        let without = refused_at_a_quarter(&chance, &Auto::new().without(AutoPart::Chance));
        assert!(without > 0.1, "{without} are refused where that is not known");
    }
}

#[test]
fn a_route_that_always_fails_refuses_nobody_on_the_others() {
    let routes = "[[route]]\nshare = 0.95\nwork = 1\n[[route]]\nshare = 0.05\nwork = 1\nfails = 1";
    let refused = refused_at_a_quarter(routes, &Auto::new());
    assert!(refused < 0.001, "{refused}");
}

#[test]
fn what_fails_by_chance_keeps_a_filled_service_at_work() {
    for part in ["0.01", "0.2"] {
        let text = format!("{EIGHT}[[phase]]\nlasts = \"120s\"\nrate = 800");
        let full = scenario(&format!("deadline = \"300ms\"\nfails = {part}"), &text);
        for record in all_runs(&full) {
            let can = 400.0 * (1.0 - part.parse::<f64>().unwrap());
            let good = good_a_second(&record, 30, 120);
            assert!(good > 0.8 * can, "{good} of {can} a second where {part} fail by chance");
        }
    }
}
