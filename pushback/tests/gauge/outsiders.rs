//! What strangers do to a limit that finds itself: nothing.

use std::{collections::BTreeMap, time::Duration};

use pushback::{Arrival, ManualClock, Outcome, OwnedPermit, PressureGauge, Reason, limit::Auto};

/// A service of calls that all take as long, in steps of a millisecond.
pub(super) struct Service {
    pub(super) gauge: PressureGauge,
    clock: ManualClock,
    step: u64,
    /// What ends when.
    running: BTreeMap<(u64, u64), (OwnedPermit, Outcome)>,
    begun: u64,
    refused: u64,
}

impl Service {
    pub(super) fn new() -> Self {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(Auto::new()).clock(clock.clone()).seed(7).build().unwrap();
        Service { gauge, clock, step: 0, running: BTreeMap::new(), begun: 0, refused: 0 }
    }

    /// More calls than so many workers can do, which queue where they are admitted.
    pub(super) fn overload(&mut self, workers: u64) {
        for _ in 0..2 {
            let round = self.running.len() as u64 / workers + 1;
            self.begin(20 * round, Outcome::Success);
        }
    }

    /// A call that queues for one of eight workers; every second one fails, if they do.
    pub(super) fn begin_one(&mut self, fails: bool) {
        let round = self.running.len() as u64 / 8 + 1;
        let outcome = if fails && self.begun % 2 == 0 { Outcome::Overload } else { Outcome::Success };
        self.begin(20 * round, outcome);
    }

    fn begin(&mut self, lasts: u64, outcome: Outcome) {
        match self.gauge.try_acquire() {
            Ok(permit) => {
                self.begun += 1;
                self.running.insert((self.step + lasts, self.begun), (permit.into_owned(), outcome));
            }
            Err(_) => self.refused += 1,
        }
    }

    pub(super) fn step(&mut self) {
        self.step += 1;
        self.clock.advance(Duration::from_millis(1));
        let later = self.running.split_off(&(self.step + 1, 0));
        for (_, (mut permit, outcome)) in std::mem::replace(&mut self.running, later) {
            permit.record(outcome);
        }
    }

    pub(super) fn limit(&self) -> u32 {
        self.gauge.snapshot().limit
    }

    /// What was last decided.
    pub(super) fn why(&self) -> String {
        self.gauge.snapshot().why.unwrap().reason.unwrap_or_default().into_owned()
    }
}

/// Anybody can ask, and leave a moment before the answer, or a moment after it should have been there.
#[test]
fn callers_who_leave_a_service_that_is_well_move_no_limit() {
    for leave_after in [2, 19, 21, 25] {
        let (mut service, mut refused) = (Service::new(), 0);
        for step in 0..60_000 {
            // Many honest ones for five seconds, so that there is room for what comes.
            if step % if step < 5_000 { 2 } else { 20 } == 0 {
                service.begin(20, Outcome::Success);
            }
            // From the tenth second on, ten times as many as the honest.
            if step > 10_000 && step % 2 == 0 {
                service.begin(leave_after, Outcome::Cancelled);
            }
            service.step();
            if step == 5_000 {
                refused = service.refused;
            }
            assert!(step < 1_000 || service.limit() >= 8, "{} in step {step}", service.limit());
        }
        assert_eq!(service.refused, refused, "left after {leave_after} ms");
    }
}

/// The load ended while a look was at one to three in flight, and the next callers were refused.
#[test]
fn a_load_that_ends_in_the_middle_of_a_look_leaves_no_lowered_limit() {
    let mut looks = 0;
    let mut service = Service::new();
    for _ in 0..60_000 {
        let before = service.limit();
        service.overload(8);
        service.step();
        let is_look = service.limit() < before && service.why().contains("a look at fewer");
        if !is_look {
            continue;
        }
        looks += 1;
        for _ in 0..1_000 {
            service.step();
        }
        let after = service.limit();
        assert!(after >= before, "{before} before the look, {after} after a second of silence");
    }
    assert!(looks > 3, "{looks} looks");
}

/// From the tenth second on, every second call fails whatever is in flight. That half as many do not help is seen at half of the limit, where the load may end too.
#[test]
fn a_load_that_ends_while_it_looks_whether_fewer_fail_less_leaves_no_lowered_limit() {
    let mut looks = 0;
    let mut service = Service::new();
    for step in 0..60_000 {
        let before = service.limit();
        service.begin_one(step > 10_000);
        service.step();
        if service.limit() == before || !service.why().contains("a look at half") {
            continue;
        }
        looks += 1;
        for _ in 0..1_000 {
            service.step();
        }
        let after = service.limit();
        assert!(after > before, "{before} before the look, {after} after a second of silence");
    }
    assert!(looks > 0, "{looks} looks");
}

#[test]
fn while_it_looks_at_fewer_no_call_is_impossible() {
    let mut service = Service::new();
    let mut asked = 0;
    for step in 0..60_000 {
        service.overload(8);
        if step % 10 == 0 {
            asked += 1;
            if let Err(rejected) = service.gauge.try_acquire_for(Arrival::new().cost(25)) {
                assert_eq!(rejected.reason, Reason::Full);
            }
        }
        service.step();
    }
    assert!(asked > 1_000);
}

/// An operator reads what the limit aims at, and from which belief.
#[test]
fn why_says_how_many_run_at_once_and_what_that_is_taken_from() {
    let mut service = Service::new();
    let mut told = Vec::new();
    for step in 0..60_000 {
        service.overload(8);
        service.step();
        let why = service.gauge.snapshot().why.unwrap().reason.unwrap_or_default();
        if let Some((_, belief)) = why.split_once("; about ").filter(|_| step > 20_000) {
            let numbers = belief.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
            told.push(numbers.filter_map(|number| number.parse::<f64>().ok()).collect::<Vec<_>>());
        }
    }
    assert!(!told.is_empty());
    for numbers in told {
        let [running, rate, time, target] = numbers[..] else { panic!("{numbers:?}") };
        assert!((5.0..=12.0).contains(&running) && (15.0..=30.0).contains(&time), "{numbers:?}");
        assert!((rate * time / 1000.0 - running).abs() < 1.0 && target >= running, "{numbers:?}");
    }
}
