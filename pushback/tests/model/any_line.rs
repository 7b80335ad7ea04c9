//! What holds in every line, whatever its discipline, its grants and the priorities of those who wait in it.
//!
//! The model knows the order of two disciplines exactly. Here nothing is known of the order, and so of all disciplines only what must
//! never happen: more in flight than the limit, somebody who waits though all who wait fit, a call refused for one that is less
//! important, a less important call served before a more important one without being counted.

use std::{collections::BTreeMap, task::Poll, time::Duration};

use pushback::{
    Acquire, Arrival, Clock, Line, ManualClock, OwnedPermit, PressureGauge, Priority, Reason, Snapshot,
};

use super::support::Task;

const OPERATIONS: u32 = 4_000;

#[test]
fn every_line_keeps_its_word() {
    let mut seen = Seen::default();
    for seed in super::seeds() {
        let mut run = Run::new(seed);
        for _ in 0..OPERATIONS {
            run.step();
        }
        let end = run.finish();
        seen.grants += end.starvation_grants;
        seen.passed_on += end.turns_passed_on;
        for (reason, count) in end.refused.iter() {
            *seen.refused.entry(reason.as_str()).or_default() += count;
        }
    }
    // Or nothing was tried.
    assert!(seen.grants > 0 && seen.passed_on > 0, "{seen:?}");
    for reason in [Reason::Displaced, Reason::LineFull, Reason::WaitedTooLong, Reason::TooLate] {
        assert!(seen.refused[reason.as_str()] > 0, "{reason}: {seen:?}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    grants: u64,
    passed_on: u64,
    refused: BTreeMap<&'static str, u64>,
}

/// A call in line.
struct Waits {
    task: Task<Acquire<'static>>,
    cost: u32,
    /// 0 is the most important.
    rank: u32,
    /// Its caller looks after something else.
    is_asleep: bool,
    slept: bool,
    /// In which step it came, or its caller was there again.
    came: u32,
}

struct Run {
    seed: u64,
    random: fastrand::Rng,
    clock: ManualClock,
    gauge: PressureGauge,
    /// Each call costs a place, or up to four.
    costs: u32,
    limit: u32,
    is_paused: bool,
    in_line: Vec<Waits>,
    permits: Vec<(u32, OwnedPermit)>,
    before: Snapshot,
    inversions: u64,
    steps: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let of = [Line::fifo, Line::lifo, Line::codel, Line::adaptive_lifo][random.usize(0..4)];
        let line = of(random.u32(1..12)).wait_at_most(Duration::from_millis(random.u64(20..400)));
        let line = line.starvation_grants([0, 2, 50][random.usize(0..3)]);
        let (clock, limit) = (ManualClock::new(), random.u32(1..6));
        let gauge = PressureGauge::builder().limit(limit).line(line).clock(clock.clone()).build().unwrap();
        Run {
            seed,
            clock,
            costs: if random.bool() { 1 } else { 4 },
            random,
            limit,
            is_paused: false,
            in_line: Vec::new(),
            permits: Vec::new(),
            before: gauge.snapshot(),
            gauge,
            inversions: 0,
            steps: 0,
        }
    }

    fn step(&mut self) {
        self.steps += 1;
        match self.random.u32(0..100) {
            0..40 => self.acquire(),
            40..75 if !self.permits.is_empty() => {
                drop(self.permits.swap_remove(self.random.usize(0..self.permits.len())));
            }
            75..80 if !self.in_line.is_empty() => {
                drop(self.in_line.swap_remove(self.random.usize(0..self.in_line.len())));
            }
            80..95 => {
                let most = if self.random.u32(0..20) == 0 { 1_200 } else { 12 };
                self.clock.advance(Duration::from_millis(self.random.u64(0..most)));
            }
            95..97 => {
                self.limit = self.random.u32(1..6);
                self.gauge.set_limit(self.limit);
            }
            97 => {
                self.is_paused = self.random.bool();
                if self.is_paused { self.gauge.pause() } else { self.gauge.resume() }
            }
            _ => {
                for call in self.in_line.iter_mut().filter(|call| call.is_asleep) {
                    // Its turn may have come long ago.
                    (call.is_asleep, call.slept, call.came) = (false, true, self.steps);
                }
            }
        }
        self.poll_all();
        self.check();
    }

    fn acquire(&mut self) {
        let (cost, level, is_retry) =
            (self.random.u32(1..=self.costs), self.random.usize(0..5), self.random.bool());
        let mut arrival = Arrival::new().cost(cost).priority(Priority::ALL[level]).retry(is_retry);
        if self.random.u32(0..3) == 0 {
            arrival = arrival.deadline(self.clock.now() + Duration::from_millis(self.random.u64(1..200)));
        }
        let rank = 2 * u32::try_from(level).unwrap() + u32::from(is_retry);
        let task = Task::new(self.gauge.acquire_for(arrival).into_owned());
        let is_asleep = self.random.u32(0..8) == 0;
        let mut call = Waits { task, cost, rank, is_asleep, slept: false, came: self.steps };
        // A future may ask for another turn of its task at first.
        match call.task.poll() {
            Poll::Pending => match call.task.poll_if_rung() {
                Poll::Pending => self.in_line.push(call),
                Poll::Ready(answer) => self.answered(&call, answer.map_err(|rejected| rejected.reason)),
            },
            Poll::Ready(answer) => self.answered(&call, answer.map_err(|rejected| rejected.reason)),
        }
    }

    fn poll_all(&mut self) {
        let mut answered = Vec::new();
        for index in (0..self.in_line.len()).rev() {
            if self.in_line[index].is_asleep {
                continue;
            }
            if let Poll::Ready(answer) = self.in_line[index].task.poll() {
                answered.push((self.in_line.swap_remove(index), answer.map_err(|rejected| rejected.reason)));
            }
        }
        for (call, answer) in answered {
            self.answered(&call, answer);
        }
    }

    /// Those who still wait, and did before this step.
    fn others(&self) -> impl Iterator<Item = &Waits> {
        self.in_line.iter().filter(|other| !other.is_asleep && other.came < self.steps)
    }

    fn answered(&mut self, call: &Waits, answer: Result<OwnedPermit, Reason>) {
        let seed = self.seed;
        match answer {
            Ok(permit) => {
                if call.came < self.steps && self.others().any(|other| other.rank < call.rank) {
                    self.inversions += 1;
                }
                self.permits.push((call.cost, permit));
            }
            // What one was told that slept was decided at another time.
            Err(Reason::LineFull | Reason::Displaced) => assert!(
                call.slept || self.others().all(|other| other.rank <= call.rank),
                "seed {seed}: a call of rank {} was refused while a less important one waits",
                call.rank
            ),
            Err(
                Reason::WaitedTooLong | Reason::TooLate | Reason::DeadlinePassed | Reason::CostAboveLimit,
            ) => (),
            Err(reason) => panic!("seed {seed}: {reason}"),
        }
    }

    fn check(&mut self) {
        let (seed, snapshot) = (self.seed, self.gauge.snapshot());
        let fetched: u32 = self.permits.iter().map(|(cost, _)| cost).sum();
        let asleep = self.in_line.iter().filter(|call| call.is_asleep);
        let most = fetched + asleep.map(|call| call.cost).sum::<u32>();
        assert!(
            (fetched..=most).contains(&snapshot.in_flight),
            "seed {seed}: {} in flight, {fetched} to {most} are held",
            snapshot.in_flight
        );
        assert!(
            snapshot.in_flight <= self.limit.max(self.before.in_flight),
            "seed {seed}: {} in flight of {}",
            snapshot.in_flight,
            self.limit
        );
        let free = self.limit.saturating_sub(snapshot.in_flight);
        if !self.is_paused && snapshot.in_line > 0 {
            let dearest = self.in_line.iter().map(|call| call.cost).max().unwrap_or(0);
            assert!(dearest > free, "seed {seed}: all who wait fit, and {free} are free");
        }
        assert!(
            self.inversions <= snapshot.starvation_grants,
            "seed {seed}: {} were served before more important ones, {} are counted",
            self.inversions,
            snapshot.starvation_grants
        );
        assert_eq!(snapshot.faults, 0, "seed {seed}");
        self.before = snapshot;
    }

    /// When all have gone, every place is there.
    fn finish(mut self) -> Snapshot {
        self.in_line.clear();
        self.permits.clear();
        self.gauge.resume();
        let end = self.gauge.snapshot();
        assert_eq!((end.in_flight, end.in_line), (0, 0), "seed {}", self.seed);
        let held: Vec<_> = (0..self.limit).map(|_| self.gauge.try_acquire().unwrap()).collect();
        assert!(self.gauge.try_acquire().is_err(), "seed {}", self.seed);
        drop(held);
        end
    }
}
