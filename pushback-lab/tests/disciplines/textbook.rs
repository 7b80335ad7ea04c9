//! CoDel as RFC 8289 has it, and as Facebook's folly does, before one worker, in a simulation of its own.

use std::collections::VecDeque;

use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

use crate::case::Case;

/// How it is set, in seconds. The RFC says 5 ms and 100 ms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Textbook {
    pub(crate) target: f64,
    pub(crate) interval: f64,
    /// Whether the newest call is next, which neither has.
    pub(crate) newest_first: bool,
    /// Whether all calls are dropped that waited for more than two targets in a line that stands, as in folly, instead of one call
    /// after the other.
    pub(crate) sloughs: bool,
}

impl Default for Textbook {
    fn default() -> Self {
        Textbook { target: 0.005, interval: 0.1, newest_first: false, sloughs: false }
    }
}

/// What became of the calls of one run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// From arrival to answer, in seconds, of those that were served.
    pub(crate) times: Vec<f64>,
    pub(crate) dropped: usize,
    pub(crate) waiting: usize,
}

impl Textbook {
    pub(crate) fn run(self, case: &Case, seed: u64) -> Run {
        let service = humantime::parse_duration(case.service).unwrap().as_secs_f64();
        let mut worker = Worker { random: SplitMix64::seed_from_u64(seed), now: 0.0, next: 0.0 };
        let (mut codel, mut slough) = (Codel::default(), Slough::default());
        let (mut waiting, mut run) = (VecDeque::new(), Run::default());
        while worker.now < f64::from(case.lasts) {
            worker.receive(&mut waiting, 1.0 / f64::from(case.rate));
            let next = if self.newest_first { waiting.pop_back() } else { waiting.pop_front() };
            let came: f64 = next.expect("it waits for somebody");
            let waited = worker.now - came;
            let is_dropped = if self.sloughs {
                slough.drops(self, worker.now, waited)
            } else {
                codel.drops(self, worker.now, waited)
            };
            if is_dropped {
                run.dropped += 1;
            } else {
                worker.now += worker.exponential(service);
                run.times.push(worker.now - came);
            }
        }
        run.waiting = waiting.len();
        run.times.sort_by(f64::total_cmp);
        run
    }
}

struct Worker {
    random: SplitMix64,
    now: f64,
    /// When the next call comes.
    next: f64,
}

impl Worker {
    fn exponential(&mut self, mean: f64) -> f64 {
        let number = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        -mean * (1.0 - number).ln()
    }

    /// All who have come until now, and whoever comes next if nobody has.
    fn receive(&mut self, waiting: &mut VecDeque<f64>, apart: f64) {
        if waiting.is_empty() {
            self.now = self.now.max(self.next);
        }
        while self.next <= self.now {
            waiting.push_back(self.next);
            self.next += self.exponential(apart);
        }
    }
}

#[derive(Default)]
struct Codel {
    first_above: Option<f64>,
    dropping: bool,
    next: f64,
    count: f64,
}

impl Codel {
    /// Whether a call is dropped that is next and has waited for so long.
    fn drops(&mut self, Textbook { target, interval, .. }: Textbook, now: f64, waited: f64) -> bool {
        if waited < target {
            self.first_above = None;
            self.dropping = false;
            return false;
        }
        let above = *self.first_above.get_or_insert(now + interval);
        if self.dropping {
            let is_due = now >= self.next;
            if is_due {
                self.count += 1.0;
                self.next += interval / self.count.sqrt();
            }
            return is_due;
        }
        if now < above {
            return false;
        }
        self.dropping = true;
        self.count = if now - self.next < interval && self.count > 2.0 { self.count - 2.0 } else { 1.0 };
        self.next = now + interval / self.count.sqrt();
        true
    }
}

/// A line stands if the shortest wait of an interval was longer than the target.
#[derive(Default)]
struct Slough {
    end: f64,
    shortest: Option<f64>,
    stands: bool,
}

impl Slough {
    fn drops(&mut self, Textbook { target, interval, .. }: Textbook, now: f64, waited: f64) -> bool {
        if now > self.end {
            self.end = now + interval;
            self.stands = self.shortest.is_some_and(|shortest| shortest > target);
            self.shortest = None;
        }
        let is_first = self.shortest.is_none();
        self.shortest = Some(self.shortest.map_or(waited, |shortest| shortest.min(waited)));
        self.stands && !is_first && waited > 2.0 * target
    }
}
