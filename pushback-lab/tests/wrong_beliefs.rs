//! Beliefs that `Auto` kept though they were wrong, or might: that a round which queued did not, that an early ceiling still holds, that whoever gives up
//! does so for our queue. Each in a service simple enough to know what is right.

use std::time::Duration;

use pushback::limit::Auto;
use pushback_lab::{
    limits::Utilisation,
    sim::{INITIALS, Record, STEP, Scenario, Steering, run},
};

const SEEDS: u64 = 3;

/// A service, and the least of what it can do a second that must be done in time between two seconds: the mean of all first limits and seeds.
struct Belief {
    head: &'static str,
    text: &'static str,
    between: (u64, u64),
    can: f64,
    least: f64,
}

impl Belief {
    fn runs(&self) -> impl Iterator<Item = Record> {
        let text =
            format!("# A test.\nwarmup = \"1ns\"\n{}\n[[station]]\nname = \"a\"\n{}", self.head, self.text);
        let scenario = Scenario::parse("test", &text).unwrap();
        let runs = INITIALS.iter().flat_map(|initial| (1..=SEEDS).map(move |seed| (*initial, seed)));
        runs.map(move |(initial, seed)| {
            let limit = Box::new(Auto::new().initial(initial));
            run(&scenario, Steering::limit(limit, Utilisation::default()), seed).unwrap()
        })
    }

    fn holds(&self) {
        let step =
            |seconds| usize::try_from(Duration::from_secs(seconds).as_millis() / STEP.as_millis()).unwrap();
        let (from, to) = self.between;
        let good = self.runs().map(|record| {
            let steps = &record.steps[step(from)..step(to)];
            steps.iter().map(|step| f64::from(step.good)).sum::<f64>() / (to - from) as f64
        });
        let good: Vec<f64> = good.collect();
        let part = good.iter().sum::<f64>() / good.len() as f64 / self.can;
        assert!(part >= self.least, "{:.1} % of {} a second, each: {good:.1?}", 100.0 * part, self.can);
    }
}

#[test]
fn rounds_that_queue_are_not_averaged_into_the_base_time() {
    Belief {
        head: "deadline = \"3s\"",
        text: "workers = 2\ntime.exponential = \"500ms\"\n[[phase]]\nlasts = \"60s\"\nrate = 12",
        between: (20, 60),
        can: 4.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn callers_who_give_up_whatever_is_in_flight_shrink_nothing() {
    Belief {
        head: "deadline = \"60ms\"\nclient = { timeout = \"60ms\" }",
        text: "workers = 8\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"40s\"\nrate = 160",
        between: (10, 40),
        // e^-3 of them would take longer.
        can: 160.0 * 0.95,
        least: 0.97,
    }
    .holds();
}

#[test]
fn a_small_knee_is_not_broken_by_the_first_limit() {
    Belief {
        head: "deadline = \"300ms\"",
        text: "cores = 3\ncontention = 0.05\ncoherency = 0.02\ntime.exponential = \"20ms\"\n\
               [[phase]]\nlasts = \"20s\"\nrate = 500",
        between: (0, 20),
        can: 100.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn that_it_was_idle_before_does_not_hold_a_limit_that_is_too_high_now() {
    Belief {
        head: "deadline = \"200ms\"",
        text: "workers = 20\ntime.exponential = \"20ms\"\n\
               [[phase]]\nlasts = \"20s\"\nrate = 800\n\
               [[phase]]\nlasts = \"10s\"\nrate = 4000\nchange.a.workers = 5",
        between: (21, 26),
        can: 250.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn idle_moments_past_a_knee_do_not_raise_the_limit() {
    Belief {
        head: "deadline = \"400ms\"",
        text: "cores = 8\ncontention = 0.03\ncoherency = 0.01\ntime.exponential = \"20ms\"\n\
               [[phase]]\nlasts = \"60s\"\nrate = 400\narrivals.clumps = 6",
        between: (10, 60),
        can: 150.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn a_heavy_tail_is_no_breakdown() {
    Belief {
        head: "deadline = \"1s\"",
        text: "workers = 10\ntime.pareto = { mean = \"20ms\", shape = 1.4 }\n[[phase]]\nlasts = \"60s\"\nrate = 1500",
        between: (10, 60),
        can: 500.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn a_ceiling_does_not_outlive_a_capacity_that_rose() {
    Belief {
        head: "deadline = \"400ms\"",
        text: "cores = 8\ncontention = 0.02\ncoherency = 0.01\ntime.exponential = \"20ms\"\n\
               [[phase]]\nlasts = \"20s\"\nrate = 3000\n\
               [[phase]]\nlasts = \"20s\"\nrate = 3000\nchange.a.speed = 4",
        between: (23, 40),
        can: 940.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn after_an_outage_as_many_are_let_in_as_will_be_done_in_time() {
    Belief {
        head: "deadline = \"1s\"\nclient = { timeout = \"1s\" }",
        text: "workers = 8\ntime.exponential = \"20ms\"\n\
               [[phase]]\nlasts = \"20s\"\nrate = 350\n\
               [[phase]]\nlasts = \"10s\"\nrate = 350\nchange.a.speed = 0\n\
               [[phase]]\nlasts = \"20s\"\nrate = 350",
        between: (30, 40),
        can: 350.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn a_moment_in_which_nothing_is_done_is_no_reason_for_a_look_at_fewer() {
    Belief {
        head: "deadline = \"300ms\"",
        text: "workers = 64\ntime.constant = \"20ms\"\n\
               [[phase]]\nlasts = \"10s\"\nrate = 100\narrivals = \"steady\"\n\
               [[phase]]\nlasts = \"250ms\"\nrate = 100\narrivals = \"steady\"\nchange.a.speed = 0\n\
               [[phase]]\nlasts = \"10s\"\nrate = 100",
        between: (11, 13),
        can: 100.0,
        // By chance, a few more or less arrive.
        least: 0.96,
    }
    .holds();
}

#[test]
fn a_large_limit_of_slow_calls_comes_down_after_a_burst() {
    Belief {
        head: "deadline = \"6s\"",
        text: "workers = 100\ntime.exponential = \"1s\"\n\
               [[phase]]\nlasts = \"60s\"\nrate = 60\narrivals.bursts = { on = \"3s\", off = \"9s\" }\n\
               [[phase]]\nlasts = \"40s\"\nrate = 300",
        between: (65, 100),
        can: 100.0,
        least: 0.8,
    }
    .holds();
}

#[test]
fn a_service_that_refuses_at_once_is_not_asked_for_more_every_second() {
    Belief {
        head: "deadline = \"200ms\"\noverload = { above = 24, after = \"1ms\" }",
        text: "workers = 20\ntime.exponential = \"20ms\"\n[[phase]]\nlasts = \"60s\"\nrate = 3000",
        between: (10, 60),
        can: 1000.0,
        least: 0.8,
    }
    .holds();
}
