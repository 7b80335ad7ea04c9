//! Random operations on a gauge, compared after each with a model that is too simple to be wrong.
//!
//! The model is a list of those in flight, a list of those in line, and a few numbers. It is asked for the same answer
//! before the gauge is, and the invariants of ARCHITECTURE.md are checked on the gauge's own snapshot. A failure
//! prints its seed; `PUSHBACK_SEED=<seed> cargo test --test model` replays it.

mod any_line;
mod naive;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    env,
    task::Poll,
    time::{Duration, Instant},
};

use naive::{Kind, Model};
use pushback::{
    Acquire, Arrival, Clock, DryRunMode, Line, ManualClock, Outcome, OwnedPermit, PressureGauge, Priority,
    Reason,
};
use support::Task;

/// The most important first.
const PRIORITIES: [Priority; 5] =
    [Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Background];

const OPERATIONS: u32 = 3_000;

#[test]
fn a_gauge_does_what_a_naive_model_does() {
    for seed in seeds() {
        let mut run = Run::new(seed);
        for _ in 0..OPERATIONS {
            run.step();
        }
        run.finish();
    }
}

/// Those that are always tried and one by chance, or the one that is to be tried again.
fn seeds() -> Vec<u64> {
    let seeds: Vec<u64> = match env::var("PUSHBACK_SEED") {
        Ok(seed) => vec![seed.parse().expect("PUSHBACK_SEED is a number")],
        Err(_) => (1..=60).chain([fastrand::u64(..)]).collect(),
    };
    println!("seeds 1 to 60 and {}", seeds.last().unwrap());
    seeds
}

/// A gauge and its model, doing the same.
struct Run {
    seed: u64,
    random: fastrand::Rng,
    clock: ManualClock,
    gauge: PressureGauge,
    model: Model,
    permits: Vec<(u64, OwnedPermit)>,
    tasks: Vec<(u64, Task<Acquire<'static>>)>,
    /// Their callers look after something else.
    asleep: BTreeSet<u64>,
    calls: u64,
    cancelled: u64,
    overloaded: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = ManualClock::new();
        let limit = random.u32(0..6);
        let capacity = random.bool().then(|| random.u32(0..8));
        let wait_max = Duration::from_millis(random.u64(1..30));
        let newest_first = capacity.is_some() && random.bool();
        let of = if newest_first { Line::lifo } else { Line::fifo };
        let line = capacity.map_or_else(Line::as_long_as_the_limit, of).wait_at_most(wait_max);
        // The model is strict.
        let line = line.starvation_grants(0);
        let gauge = PressureGauge::builder().limit(limit).line(line).clock(clock.clone()).build().unwrap();
        let model = Model::new(limit, capacity, newest_first, wait_max);
        let (permits, tasks, asleep) = (Vec::new(), Vec::new(), BTreeSet::new());
        Run {
            seed,
            random,
            clock,
            gauge,
            model,
            permits,
            tasks,
            asleep,
            calls: 0,
            cancelled: 0,
            overloaded: 0,
        }
    }

    fn step(&mut self) {
        match self.random.u32(0..100) {
            0..25 => self.try_acquire(),
            25..50 => self.begin_acquire(),
            50..75 => self.give_back(),
            75..82 => self.abandon(),
            82..90 => {
                // For so long that turns are given on, if rarely.
                let most = if self.random.u32(0..10) == 0 { 1_200 } else { 12 };
                let time = Duration::from_millis(self.random.u64(0..most));
                let end = self.clock.now() + time;
                self.clock.advance(time);
                // Who is refused on the way may let others through before their own time is up.
                while let Some(next) = self.model.next_expiry().filter(|next| *next <= end) {
                    self.model.settle(next);
                }
            }
            90..97 => {
                let limit = self.random.u32(0..7);
                self.gauge.set_limit(limit);
                self.model.limit = limit;
            }
            97 => {
                self.model.paused = self.random.bool();
                if self.model.paused { self.gauge.pause() } else { self.gauge.resume() }
            }
            98 => {
                let on = self.random.u32(0..3) == 0;
                self.gauge.set_dry_run(if on { DryRunMode::On } else { DryRunMode::Off });
                self.model.dry_run = on;
            }
            // Rarely, or nothing would happen in most of a run.
            _ if self.random.u32(0..200) == 0 => {
                self.gauge.close();
                self.model.closed = true;
            }
            _ => (),
        }
        self.model.settle(self.clock.now());
        self.take_the_late();
        self.model.settle(self.clock.now());
        self.fetch_some();
        self.compare();
    }

    fn arrival(&mut self) -> (u64, u32, Option<Instant>, Arrival) {
        self.calls += 1;
        let cost = self.random.u32(1..5);
        let mut arrival = Arrival::new().cost(cost);
        let deadline = (self.random.u32(0..4) == 0)
            .then(|| self.clock.now() + Duration::from_millis(self.random.u64(0..40)));
        if let Some(deadline) = deadline {
            arrival = arrival.deadline(deadline);
        }
        (self.calls, cost, deadline, arrival)
    }

    fn try_acquire(&mut self) {
        let (id, cost, deadline, arrival) = self.arrival();
        let before = self.model.clone();
        let mut expected = self.model.try_acquire(id, cost, deadline, self.clock.now());
        let answer = self.gauge.try_acquire_for(arrival);
        if self.is_outranked(expected) {
            self.model = before;
            expected = self.model.outrank(id, cost);
        }
        assert_eq!(
            answer.as_ref().map(|_| ()).map_err(|rejected| rejected.reason),
            expected.map(|_| ()),
            "seed {}",
            self.seed
        );
        if let Ok(permit) = answer {
            self.permits.push((id, permit.into_owned()));
        }
    }

    fn begin_acquire(&mut self) {
        let (id, cost, deadline, arrival) = self.arrival();
        let level = if self.random.bool() { 2 } else { self.random.usize(0..PRIORITIES.len()) };
        let arrival = arrival.priority(PRIORITIES[level]);
        let mut task = Task::new(self.gauge.acquire_for(arrival).into_owned());
        let before = self.model.clone();
        let mut expected = self.model.acquire(id, cost, level, deadline, self.clock.now());
        let answer = match task.poll() {
            // It may have been asked to let other tasks go first, and then it is woken at once.
            Poll::Pending => task.poll_if_rung(),
            answered => answered,
        };
        if self.model.capacity == Some(0) && expected.is_some_and(|expected| self.is_outranked(expected)) {
            self.model = before.clone();
            expected = Some(self.model.outrank(id, cost));
        }
        match (answer, expected) {
            (Poll::Pending, None) => {
                if self.random.u32(0..8) == 0 {
                    self.asleep.insert(id);
                }
                self.tasks.push((id, task));
            }
            // Whoever would wait may be told so, and then makes nobody go.
            (Poll::Ready(Err(rejected)), None) if rejected.reason == Reason::TooLate => {
                self.model = before;
                self.model.refuse_late(id);
            }
            (Poll::Ready(answer), Some(expected)) => self.take(id, answer, expected),
            (answer, expected) => panic!("seed {}: {answer:?} instead of {expected:?}", self.seed),
        }
    }

    /// Whether the gauge admitted nobody though the model did.
    fn is_outranked(&self, expected: Result<Kind, Reason>) -> bool {
        expected == Ok(Kind::Real) && self.gauge.snapshot().admitted < self.model.admitted
    }

    /// Those in line of whom the gauge says that their turn would come too late.
    fn take_the_late(&mut self) {
        for index in (0..self.tasks.len()).rev() {
            let told = self.model.refused.get(Reason::TooLate.as_str()).copied().unwrap_or(0);
            if self.gauge.snapshot().refused.by(Reason::TooLate) == told {
                return;
            }
            let (id, task) = &mut self.tasks[index];
            if self.model.decided.contains_key(id) || self.model.aside.contains_key(id) {
                continue;
            }
            match task.poll_if_rung() {
                Poll::Ready(Err(rejected)) if rejected.reason == Reason::TooLate => {
                    self.model.refuse_late(*id);
                    self.tasks.swap_remove(index);
                }
                Poll::Pending => (),
                answer => panic!("seed {}: {answer:?} instead of its turn or nothing", self.seed),
            }
        }
    }

    fn take(
        &mut self,
        id: u64,
        answer: Result<OwnedPermit, pushback::Rejected>,
        expected: Result<Kind, Reason>,
    ) {
        match (answer, expected) {
            (Ok(permit), Ok(_)) => self.permits.push((id, permit)),
            (Err(rejected), Err(reason)) if rejected.reason == reason => (),
            (answer, expected) => panic!("seed {}: {answer:?} instead of {expected:?}", self.seed),
        }
    }

    fn give_back(&mut self) {
        if self.permits.is_empty() {
            return;
        }
        let (id, mut permit) = self.permits.swap_remove(self.random.usize(0..self.permits.len()));
        if self.random.u32(0..4) == 0 {
            permit.record(Outcome::Overload);
            self.overloaded += 1;
        }
        drop(permit);
        self.model.in_flight.retain(|(other, _, _)| *other != id);
    }

    /// A caller in line goes away, whether its turn has come or not.
    fn abandon(&mut self) {
        if self.tasks.is_empty() {
            return;
        }
        let (id, task) = self.tasks.swap_remove(self.random.usize(0..self.tasks.len()));
        drop(task);
        match self.model.fetch(id) {
            Some(Ok(_)) => {
                self.model.in_flight.retain(|(other, _, _)| *other != id);
                self.cancelled += 1;
            }
            Some(Err(_)) => (),
            None => {
                self.model.line.retain(|waiting| waiting.id != id);
                self.model.aside.remove(&id);
                self.model.left += 1;
            }
        }
    }

    /// Some of those whose turn came fetch it; others are slow.
    fn fetch_some(&mut self) {
        for index in (0..self.tasks.len()).rev() {
            if self.asleep.contains(&self.tasks[index].0) && self.random.u32(0..50) > 0
                || self.random.u32(0..3) == 0
            {
                continue;
            }
            let (id, mut task) = self.tasks.swap_remove(index);
            self.asleep.remove(&id);
            let rung = task.rung();
            let polled = match self.random.u32(0..3) {
                0 => task.poll(),
                1 => task.poll_as_another_task().0,
                _ => task.poll_if_rung(),
            };
            self.model.rejoin(id, self.clock.now());
            match (polled, self.model.fetch(id)) {
                (Poll::Pending, None) => self.tasks.push((id, task)),
                (Poll::Ready(Err(rejected)), None) if rejected.reason == Reason::TooLate => {
                    self.model.refuse_late(id);
                }
                (Poll::Ready(answer), Some(expected)) => {
                    assert!(rung > 0, "seed {}: call {id} was decided and not woken", self.seed);
                    self.take(id, answer, expected);
                }
                (answer, expected) => panic!("seed {}: {answer:?} instead of {expected:?}", self.seed),
            }
        }
    }

    fn compare(&self) {
        let seed = self.seed;
        let now = self.clock.now();
        let (snapshot, model) = (self.gauge.snapshot(), &self.model);
        assert_eq!(snapshot.limit, model.limit, "seed {seed}");
        // Invariant 2: in flight are the permits given and not yet taken back.
        assert_eq!(snapshot.in_flight, model.taken(), "seed {seed}: in flight");
        assert_eq!(snapshot.in_line as usize, model.line.len(), "seed {seed}: in line");
        assert_eq!(snapshot.admitted, model.admitted, "seed {seed}: admitted");
        assert_eq!(snapshot.left_line, model.left, "seed {seed}: left the line");
        assert_eq!(snapshot.turns_passed_on, model.passed_on, "seed {seed}: turns given on");
        assert_eq!(snapshot.paused, model.paused, "seed {seed}");
        assert_eq!(
            snapshot.oldest_wait,
            model.line.iter().map(|waiting| now - waiting.since).max(),
            "seed {seed}"
        );
        for (reason, count) in snapshot.refused.iter() {
            assert_eq!(
                count,
                model.refused.get(reason.as_str()).copied().unwrap_or(0),
                "seed {seed}: {reason}"
            );
        }
        assert_eq!(
            (snapshot.overloaded, snapshot.cancelled),
            (self.overloaded, self.cancelled + model.passed_on),
            "seed {seed}"
        );
        assert_eq!((snapshot.closed, snapshot.faults), (model.closed, 0), "seed {seed}");
        assert_eq!(self.gauge.next_expiry(), model.next_expiry(), "seed {seed}");
        if let Some(dry) = snapshot.dry_run {
            let phantoms = model.in_flight.iter().filter(|(_, _, kind)| *kind == Kind::Phantom).count();
            assert_eq!(dry.phantoms as usize, phantoms, "seed {seed}: phantoms");
            assert_eq!(
                (dry.would_refuse.total(), dry.would_wait),
                (model.would_refuse, model.would_wait),
                "seed {seed}"
            );
        }
        // Invariant 3: the next in line never waits while it fits.
        if let Some(front) = model.line.front().filter(|_| !model.paused) {
            assert!(!model.fits(front.cost), "seed {seed}: call {} waits though it fits", front.id);
        }
    }

    /// When all have gone, nothing is left.
    fn finish(mut self) {
        self.tasks.clear();
        self.permits.clear();
        let snapshot = self.gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.in_line), (0, 0), "seed {}", self.seed);
        assert_eq!(snapshot.dry_run.map_or(0, |dry| dry.phantoms), 0, "seed {}", self.seed);
        assert!(Task::new(self.gauge.drain()).poll().is_ready(), "seed {}", self.seed);
    }
}
