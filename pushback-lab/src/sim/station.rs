//! What a call passes through: workers, shared processors, a delay. All three are one thing.
//!
//! A station has *slots*, which say how many calls run at once (the others queue, first come first served), and a *rate* at
//! which each of those that run goes on:
//!
//! ```text
//! rate(n) = speed · min(1, cores / n) / (1 + contention · (n − 1) + coherency · n · (n − 1))
//! ```
//!
//! the last factor by Gunther's Universal Scalability Law. Workers, a pool of connections and a lock have slots and nothing
//! else; shared processors have cores and no slots; a delay has neither.
//!
//! All calls that run have the same rate, so each ends when the *progress* that they share reaches the mark that was set at
//! its beginning. A change of the rate then moves no mark, and a step costs the logarithm of how many run.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use super::clock::Nanos;

/// What is in front of nobody: as many as come.
pub(super) const UNBOUNDED: f64 = f64::INFINITY;

/// How much a station can do at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capacity {
    /// How many calls run at once.
    pub(super) slots: f64,
    /// How many calls run at full speed.
    pub(super) cores: f64,
    /// How much each other call slows one down, by waiting for what they share.
    pub(super) contention: f64,
    /// How much each pair of others slows one down, by keeping what they share in step.
    pub(super) coherency: f64,
    /// 1 is as the scenario's times say.
    pub(super) speed: f64,
}

impl Capacity {
    fn rate(&self, running: usize) -> f64 {
        let n = running as f64;
        let slowed = 1.0 + (n - 1.0) * (self.contention + self.coherency * n);
        self.speed * (self.cores / n).min(1.0) / slowed
    }
}

/// A station, and who is in it.
#[derive(Debug)]
pub(super) struct Station {
    capacity: Capacity,
    is_paused: bool,
    /// Who waits, with the work; nothing in place of those who left.
    queue: VecDeque<Option<(u32, f64)>>,
    /// How many were in front of the queue's front.
    served: u64,
    running: BinaryHeap<Reverse<Mark>>,
    /// How much work each call has had that has run from the beginning, in nanoseconds at full speed.
    progress: f64,
    /// When the progress was last reckoned.
    at: Nanos,
    begun: u64,
    rate: f64,
    /// The work of all calls that are or were in service, for the utilisation.
    busy: f64,
}

/// Where the progress stands when a call ends; the number keeps the order of calls that end at once.
#[derive(Debug, PartialEq)]
struct Mark {
    progress: f64,
    number: u64,
    call: u32,
}

impl Station {
    pub(super) fn new(capacity: Capacity) -> Self {
        Station {
            capacity,
            is_paused: false,
            queue: VecDeque::new(),
            served: 0,
            running: BinaryHeap::new(),
            progress: 0.0,
            at: 0,
            begun: 0,
            rate: 0.0,
            busy: 0.0,
        }
    }

    /// A call comes with so much work, in nanoseconds at full speed, and gets a number, by which it can leave.
    pub(super) fn enter(&mut self, now: Nanos, call: u32, work: f64) -> u64 {
        let number = self.served + self.queue.len() as u64;
        self.queue.push_back(Some((call, work)));
        self.begin_next(now);
        number
    }

    /// A call leaves the queue; `false` if it runs already, and runs on.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let index = number.checked_sub(self.served).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.queue.get_mut(index)).and_then(Option::take).is_some()
    }

    /// When the next call ends, if nothing happens until then.
    pub(super) fn next_end(&self) -> Option<Nanos> {
        let Reverse(first) = self.running.peek()?;
        if self.rate <= 0.0 {
            return None;
        }
        let left = ((first.progress - self.progress) / self.rate).ceil().max(0.0);
        Some(self.at.saturating_add(whole(left)))
    }

    /// The call whose end has come leaves, and the next in the queue begins.
    pub(super) fn end_next(&mut self, now: Nanos) -> Option<u32> {
        self.reckon(now);
        let Reverse(ended) = self.running.pop()?;
        self.progress = self.progress.max(ended.progress);
        self.begin_next(now);
        Some(ended.call)
    }

    pub(super) fn change(&mut self, now: Nanos, capacity: Capacity) {
        self.reckon(now);
        self.capacity = capacity;
        self.begin_next(now);
    }

    pub(super) fn pause(&mut self, now: Nanos, is_paused: bool) {
        self.reckon(now);
        self.is_paused = is_paused;
        self.set_rate();
    }

    /// How many servers or cores were busy since this was last asked, in nanoseconds of each.
    pub(super) fn take_busy(&mut self, now: Nanos) -> f64 {
        self.reckon(now);
        std::mem::take(&mut self.busy)
    }

    /// How many servers or cores there are, if that is bounded.
    pub(super) fn servers(&self) -> Option<f64> {
        let servers = self.capacity.slots.min(self.capacity.cores);
        servers.is_finite().then_some(servers)
    }

    fn begin_next(&mut self, now: Nanos) {
        self.reckon(now);
        while (self.running.len() as f64) < self.capacity.slots {
            let Some(next) = self.queue.pop_front() else { break };
            self.served += 1;
            let Some((call, work)) = next else { continue };
            self.begun += 1;
            let mark = Mark { progress: self.progress + work, number: self.begun, call };
            self.running.push(Reverse(mark));
        }
        self.set_rate();
    }

    fn reckon(&mut self, now: Nanos) {
        let passed = now.saturating_sub(self.at) as f64;
        self.at = now;
        self.progress += self.rate * passed;
        self.busy += (self.running.len() as f64).min(self.capacity.cores) * passed;
    }

    fn set_rate(&mut self) {
        let stands = self.is_paused || self.running.is_empty();
        self.rate = if stands { 0.0 } else { self.capacity.rate(self.running.len()) };
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn whole(time: f64) -> Nanos {
    time as Nanos
}

impl Eq for Mark {}

impl Ord for Mark {
    fn cmp(&self, other: &Self) -> Ordering {
        self.progress.total_cmp(&other.progress).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Mark {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity() -> Capacity {
        Capacity { slots: UNBOUNDED, cores: UNBOUNDED, contention: 0.0, coherency: 0.0, speed: 1.0 }
    }

    /// Who ends when, if nobody else comes.
    fn ends(station: &mut Station) -> Vec<(u32, Nanos)> {
        let mut ends = Vec::new();
        while let Some(at) = station.next_end() {
            ends.push((station.end_next(at).unwrap(), at));
        }
        ends
    }

    #[test]
    fn workers_serve_so_many_at_once_and_the_others_in_order() {
        let mut station = Station::new(Capacity { slots: 2.0, ..capacity() });
        for call in 0..4 {
            station.enter(0, call, 100.0);
        }
        assert_eq!(ends(&mut station), [(0, 100), (1, 100), (2, 200), (3, 200)]);
    }

    #[test]
    fn shared_processors_give_each_call_its_part() {
        let mut station = Station::new(Capacity { cores: 1.0, ..capacity() });
        station.enter(0, 0, 100.0);
        station.enter(50, 1, 100.0);
        // The first has half of its work left, which takes twice as long; then the second is alone.
        assert_eq!(ends(&mut station), [(0, 150), (1, 200)]);
    }

    #[test]
    fn past_the_knee_more_calls_get_less_done() {
        let station = |calls: u32| {
            let mut station = Station::new(Capacity { cores: 8.0, coherency: 0.01, ..capacity() });
            (0..calls).for_each(|call| {
                station.enter(0, call, 1e6);
            });
            f64::from(calls) / station.next_end().unwrap() as f64
        };
        assert!(station(8) > station(4) && station(8) > station(16) && station(16) > station(32));
        let exact = 8.0 / (1e6 * (1.0 + 0.01 * 8.0 * 7.0));
        assert!((station(8) / exact - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_change_of_speed_and_a_pause_count_from_their_moment() {
        let mut station = Station::new(Capacity { slots: 1.0, ..capacity() });
        station.enter(0, 0, 100.0);
        station.change(50, Capacity { slots: 1.0, speed: 0.5, ..capacity() });
        assert_eq!(station.next_end(), Some(150));
        station.pause(100, true);
        assert_eq!(station.next_end(), None);
        station.pause(1000, false);
        assert_eq!(ends(&mut station), [(0, 1050)]);
    }

    #[test]
    fn more_workers_take_calls_out_of_the_queue_at_once_and_fewer_let_those_end_that_run() {
        let mut station = Station::new(Capacity { slots: 1.0, ..capacity() });
        (0..4).for_each(|call| {
            station.enter(0, call, 100.0);
        });
        station.change(10, Capacity { slots: 3.0, ..capacity() });
        station.change(20, Capacity { slots: 1.0, ..capacity() });
        assert_eq!(ends(&mut station), [(0, 100), (1, 110), (2, 110), (3, 210)]);
    }

    #[test]
    fn a_call_can_leave_the_queue_but_not_what_has_begun() {
        let mut station = Station::new(Capacity { slots: 1.0, ..capacity() });
        let numbers: Vec<u64> = (0..3).map(|call| station.enter(0, call, 100.0)).collect();
        assert!(!station.leave(numbers[0]) && station.leave(numbers[1]) && !station.leave(numbers[1]));
        assert_eq!(ends(&mut station), [(0, 100), (2, 200)]);
        assert!(!station.leave(numbers[2]));
    }

    #[test]
    fn busy_time_is_what_the_servers_worked() {
        let mut station = Station::new(Capacity { slots: 2.0, ..capacity() });
        (0..3).for_each(|call| {
            station.enter(0, call, 100.0);
        });
        ends(&mut station);
        assert_eq!((station.take_busy(400), station.take_busy(500)), (300.0, 0.0));
        assert_eq!(station.servers(), Some(2.0));
    }
}
