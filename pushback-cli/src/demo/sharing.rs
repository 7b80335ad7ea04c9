//! How requests share workers, as threads share the cores of a machine: as many as there are workers run at full speed, and of more,
//! all get slower in proportion.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Requests that share workers. Each is something that is told when it is done.
///
/// All take equally long, and all who are there are equally fast: so whoever came first is done first, and one sum says how much each of
/// them was given.
#[derive(Debug)]
pub(super) struct Sharing<T> {
    workers: usize,
    /// In seconds of a worker of one's own, like all that is given.
    work: f64,
    /// What somebody who had been there since the beginning would have been given, by this moment.
    given: f64,
    at: Instant,
    /// By their numbers, with what must have been given until they are done.
    running: BTreeMap<u64, (f64, T)>,
    came: u64,
    done: Vec<T>,
}

impl<T> Sharing<T> {
    pub(super) fn new(workers: usize, work: Duration, now: Instant) -> Self {
        Sharing {
            workers,
            work: work.as_secs_f64(),
            given: 0.0,
            at: now,
            running: BTreeMap::new(),
            came: 0,
            done: Vec::new(),
        }
    }

    /// One more. Gives its number, by which it may leave.
    pub(super) fn begin(&mut self, now: Instant, request: T) -> u64 {
        self.pass(now);
        self.came += 1;
        self.running.insert(self.came, (self.given + self.work, request));
        self.came
    }

    /// One less, whose work is abandoned: the others get its share from now on. Nothing, if it is done.
    pub(super) fn leave(&mut self, now: Instant, number: u64) {
        self.pass(now);
        self.running.remove(&number);
    }

    /// Those who are done by now, in their order.
    pub(super) fn done(&mut self, now: Instant) -> Vec<T> {
        self.pass(now);
        std::mem::take(&mut self.done)
    }

    /// How long until the next is done, if nobody comes or leaves before.
    pub(super) fn next_in(&self) -> Option<Duration> {
        let left = self.first_needs()?.max(0.0) / self.speed();
        Some(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX))
    }

    /// Which part of a worker each has.
    fn speed(&self) -> f64 {
        self.workers as f64 / self.running.len().max(self.workers) as f64
    }

    fn first_needs(&self) -> Option<f64> {
        self.running.first_key_value().map(|(_, (done_at, _))| done_at - self.given)
    }

    /// Up to now, over each end on the way, for from then on the others get more.
    fn pass(&mut self, now: Instant) {
        loop {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            let speed = self.speed();
            match self.first_needs() {
                Some(needs) if needs <= passed * speed => {
                    let needs = needs.max(0.0);
                    self.given += needs;
                    self.at += Duration::from_secs_f64(needs / speed);
                    self.done.extend(self.running.pop_first().map(|(_, (_, request))| request));
                }
                _ => {
                    self.given += passed * speed;
                    self.at = self.at.max(now);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pushback::{Clock, ManualClock};

    use super::*;

    const WORK: Duration = Duration::from_millis(500);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// So many at once, and when each of them is done, in milliseconds.
    fn ends_of(count: u32, workers: usize) -> Vec<u128> {
        let start = ManualClock::new().now();
        let mut sharing = Sharing::new(workers, WORK, start);
        for number in 0..count {
            sharing.begin(start, number);
        }
        let mut now = start;
        let mut ends = Vec::new();
        while let Some(next) = sharing.next_in() {
            // A timer that is a little late is a timer as they are.
            now += next + Duration::from_nanos(10);
            ends.extend(sharing.done(now).into_iter().map(|_| (now - start).as_millis()));
        }
        ends
    }

    #[test]
    fn as_many_as_there_are_workers_run_at_full_speed_and_more_are_slower_in_proportion() {
        assert_eq!(ends_of(1, 10), [500]);
        assert_eq!(ends_of(10, 10), [500; 10]);
        assert_eq!(ends_of(20, 10), [1_000; 20]);
        assert_eq!(ends_of(50, 10), [2_500; 50], "all of them later than any caller waits");
    }

    #[test]
    fn whoever_comes_later_makes_all_slower_from_then_on() {
        let start = ManualClock::new().now();
        let mut sharing = Sharing::new(1, WORK, start);
        sharing.begin(start, "first");
        sharing.begin(start + millis(250), "second");
        assert_eq!(sharing.next_in(), Some(millis(500)), "half a worker for the other half of its work");
        assert_eq!(sharing.done(start + millis(749)), [""; 0]);
        assert_eq!(sharing.done(start + millis(751)), ["first"]);
        // The second had a quarter of a second of work by then, and has the worker for itself from now on.
        assert_eq!(sharing.done(start + millis(999)), [""; 0]);
        assert_eq!(sharing.done(start + millis(1_001)), ["second"]);
        assert_eq!(sharing.next_in(), None);
    }

    #[test]
    fn work_whose_caller_has_left_is_abandoned_and_the_others_get_its_share() {
        let start = ManualClock::new().now();
        let mut sharing = Sharing::new(1, WORK, start);
        sharing.begin(start, "stays");
        let leaves = sharing.begin(start, "leaves");
        sharing.leave(start + millis(500), leaves);
        assert_eq!(sharing.next_in(), Some(millis(250)), "half of it is done, and the worker is its own");
        assert_eq!(sharing.done(start + millis(751)), ["stays"]);
        assert_eq!(sharing.next_in(), None, "nobody works for whoever left");
    }

    #[test]
    fn somebody_who_looks_late_finds_all_ends_as_they_were() {
        let start = ManualClock::new().now();
        let mut sharing = Sharing::new(1, WORK, start);
        sharing.begin(start, 1);
        sharing.begin(start + millis(250), 2);
        assert_eq!(sharing.done(start + millis(60_000)), [1, 2]);
        sharing.begin(start + millis(60_000), 3);
        assert_eq!(sharing.next_in(), Some(WORK), "nobody else is there any more");
    }
}
