//! The limit of aegis and kratos, after BBR: the most that was done by the least that it took, once the processors are busy.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use pushback::{
    BuildError, Outcome,
    limit::{Controller, Decision, Limit, Sample, Start},
};

use super::utilisation::Utilisation;

/// Lets all pass while the processors are not busy, and then only the most calls that 100 ms completed by the least mean time.
///
/// ```text
/// busy  ← 0.95 · busy + 0.05 · now, every 500 ms
/// most  = the most successes of 100 ms in the last 10 s
/// least = the least mean time of 100 ms in the last 10 s, in whole milliseconds, at least 1
/// L = round(most · least · 10 / 1000) while busy ≥ 0.8 or within a second of a refusal, else no limit
/// ```
///
/// Source: `bbr.go` of go-kratos/aegis. There each call asks for itself; here the limit is set when calls end. A refusal is
/// taken for granted while calls fill the limit.
///
/// It goes wrong where the processors are not what is short, and by its own delay: until it sees that they are busy, thousands
/// may be in flight, and their times are then the least it knows.
#[derive(Debug, Clone)]
pub struct Bbr {
    initial: u32,
    maximum: u32,
    utilisation: Utilisation,
}

impl Bbr {
    /// A limit that looks at this, and lets so many pass while it has no say.
    pub fn new(utilisation: Utilisation, maximum: u32) -> Self {
        Bbr { initial: maximum, maximum, utilisation }
    }

    /// Where the limit begins, until the first call ends.
    pub fn initial(self, initial: u32) -> Self {
        Bbr { initial, ..self }
    }
}

impl Limit for Bbr {
    fn start(&self) -> Result<Start, BuildError> {
        let running = Running {
            settings: self.clone(),
            busy: 0.0,
            next_look: LOOK_EVERY,
            buckets: VecDeque::new(),
            filled: None,
        };
        Ok(Start::moving(self.initial, running))
    }
}

#[derive(Debug)]
struct Running {
    settings: Bbr,
    /// How busy the processors were lately, 0 to 1.
    busy: f64,
    next_look: Duration,
    buckets: VecDeque<Bucket>,
    /// When calls last filled the limit, since it had a say.
    filled: Option<Duration>,
}

#[derive(Debug)]
struct Bucket {
    number: u128,
    calls: u32,
    time: Duration,
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
const BUCKET: Duration = Duration::from_millis(100);
const BUCKETS: u128 = 100;
const BUSY: f64 = 0.8;
const COOLS: Duration = Duration::from_secs(1);

impl Controller for Running {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        let now = sample.ended;
        while self.next_look <= now {
            self.busy = 0.95 * self.busy + 0.05 * self.settings.utilisation.now();
            self.next_look += LOOK_EVERY;
        }
        if sample.outcome == Outcome::Success {
            self.take_in(sample);
        }
        let places = self.places(now);
        let has_say = self.busy >= BUSY || self.filled.is_some_and(|filled| now < filled + COOLS);
        if !has_say {
            self.filled = None;
            let maximum = f64::from(self.settings.maximum);
            return (limit != maximum)
                .then(|| Decision::new(maximum, "the processors are not busy: no limit"));
        }
        if f64::from(sample.in_flight) >= places && self.busy >= BUSY {
            self.filled = Some(now);
        }
        (limit != places).then(|| Decision::new(places, "busy: the most by the least"))
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        1..=self.settings.maximum
    }
}

impl Running {
    fn take_in(&mut self, sample: &Sample) {
        let number = sample.ended.as_nanos() / BUCKET.as_nanos();
        match self.buckets.back_mut().filter(|bucket| bucket.number == number) {
            Some(bucket) => {
                bucket.calls += 1;
                bucket.time += sample.time();
            }
            None => self.buckets.push_back(Bucket { number, calls: 1, time: sample.time() }),
        }
        while self.buckets.front().is_some_and(|bucket| bucket.number + BUCKETS <= number) {
            self.buckets.pop_front();
        }
    }

    /// What fits by the buckets that are full; the one that is being filled does not count.
    fn places(&self, now: Duration) -> f64 {
        let current = now.as_nanos() / BUCKET.as_nanos();
        let full = || self.buckets.iter().filter(|bucket| bucket.number != current);
        let most = full().map(|bucket| bucket.calls).max().unwrap_or(1).max(1);
        let mean = |bucket: &Bucket| (bucket.time / bucket.calls).as_secs_f64() * 1000.0;
        let least = full().map(mean).fold(f64::INFINITY, f64::min).ceil();
        let least = if least.is_finite() { least.max(1.0) } else { 1.0 };
        (f64::from(most) * least * 10.0 / 1000.0).round().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::testing::Bench;

    #[test]
    fn nothing_is_limited_while_the_processors_are_not_busy() {
        let mut bench = Bench::new(&Bbr::new(Utilisation::default(), 2000).initial(20));
        assert_eq!(bench.call(0.0, 0.010, 20), 2000.0);
    }

    #[test]
    fn busy_processors_leave_the_most_calls_by_the_least_time() {
        let utilisation = Utilisation::default();
        let mut bench = Bench::new(&Bbr::new(utilisation.clone(), 2000));
        utilisation.set(1.0);
        // The processors have been busy for twenty seconds, by the clock of these calls. 30 calls in 100 ms of 41 ms.
        for _ in 0..30 {
            bench.call(0.001, 0.0405, 50);
        }
        assert_eq!(bench.call(0.2, 0.500, 50), 12.0, "30 · 41 · 10 / 1000 = 12.3");
    }

    #[test]
    fn the_mean_of_the_processors_lags_by_seconds() {
        let utilisation = Utilisation::default();
        let mut bench = Bench::new(&Bbr::new(utilisation.clone(), 2000));
        bench.call(0.0, 0.010, 50);
        utilisation.set(1.0);
        let seconds = (1..100).find(|_| bench.call(1.0, 0.010, 50) < 2000.0);
        assert_eq!(seconds, Some(16), "0.95^32 is a fifth");
    }
}
