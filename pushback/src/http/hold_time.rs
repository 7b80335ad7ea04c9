//! How long places are held: measured of one call at a time, so that the others read no clock for it.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use crate::{
    gauge::OwnedPermit,
    sync::{AtomicU32, AtomicU64, Mutex, Ordering, locked},
};

/// What is taken before anything is known: so short that the first who come back too early are told better soon.
const UNKNOWN: Duration = Duration::from_millis(100);
/// How much of each new time goes into the mean at least; of the first ones, all have the same part.
const SHARE: f64 = 1.0 / 32.0;
/// Once something is known, one of so many calls is measured, of those that come while no other is.
const ONE_OF: u32 = 16;
/// A call that takes so many times the mean counts with what it has taken, and another one may be measured.
const LONG: u32 = 4;

/// The mean time that a place is held.
#[derive(Debug, Default)]
pub(super) struct HoldTime {
    /// In nanoseconds; 0 before anything is known.
    mean: AtomicU64,
    is_measuring: AtomicBool,
    /// How many calls came while none was measured.
    came: AtomicU32,
    measuring: Mutex<Measuring>,
}

#[derive(Debug, Default)]
struct Measuring {
    /// The number of the call that was measured last, from 1 on.
    number: u64,
    /// When it began, as long as it runs.
    began: Option<Instant>,
    /// How many times are in the mean.
    learned: f64,
}

impl HoldTime {
    /// Begins to measure a call, perhaps; then gives its number.
    #[inline]
    pub(super) fn begin(&self, now: impl FnOnce() -> Instant) -> Option<u64> {
        if self.is_measuring.load(Ordering::Relaxed) {
            return None;
        }
        let is_chosen =
            self.came.fetch_add(1, Ordering::Relaxed) % ONE_OF == 0 || self.mean.load(Ordering::Relaxed) == 0;
        if !is_chosen || self.is_measuring.swap(true, Ordering::Relaxed) {
            return None;
        }
        let now = now();
        let mut measuring = locked(&self.measuring);
        measuring.number += 1;
        measuring.began = Some(now);
        Some(measuring.number)
    }

    /// The call of this number has given its place back.
    fn end(&self, number: u64, now: impl FnOnce() -> Instant) {
        let began = {
            let mut measuring = locked(&self.measuring);
            if measuring.number == number { measuring.began.take() } else { None }
        };
        if let Some(began) = began {
            self.learn(now().saturating_duration_since(began));
            self.is_measuring.store(false, Ordering::Relaxed);
        }
    }

    /// The mean by now. A call that still runs counts once it has taken longer than the others.
    pub(super) fn mean(&self, now: Instant) -> Duration {
        let known =
            Some(self.mean.load(Ordering::Relaxed)).filter(|mean| *mean > 0).map(Duration::from_nanos);
        let mean = known.unwrap_or(UNKNOWN);
        if !self.is_measuring.load(Ordering::Relaxed) {
            return mean;
        }
        let mut measuring = locked(&self.measuring);
        let Some(began) = measuring.began else { return mean };
        let takes = now.saturating_duration_since(began);
        if takes > LONG * mean {
            measuring.began = None;
            drop(measuring);
            self.learn(takes);
            self.is_measuring.store(false, Ordering::Relaxed);
        }
        mean.max(takes.min(LONG * mean))
    }

    pub(super) fn learn(&self, held: Duration) {
        let mut measuring = locked(&self.measuring);
        measuring.learned += 1.0;
        let share = SHARE.max(1.0 / measuring.learned);
        let before = self.mean.load(Ordering::Relaxed) as f64;
        let mean = before + share * (held.as_nanos() as f64 - before);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        self.mean.store((mean as u64).max(1), Ordering::Relaxed);
    }
}

/// A place that a request has taken, which may be measured.
#[derive(Debug)]
pub(super) struct Taken {
    permit: OwnedPermit,
    measured: Option<(Arc<HoldTime>, u64)>,
}

impl Taken {
    pub(super) fn new(permit: OwnedPermit, hold_time: &Arc<HoldTime>) -> Self {
        let number = hold_time.begin(|| permit.gauge().now());
        Taken { measured: number.map(|number| (Arc::clone(hold_time), number)), permit }
    }
}

/// A place that nobody measures.
impl From<OwnedPermit> for Taken {
    fn from(permit: OwnedPermit) -> Self {
        Taken { permit, measured: None }
    }
}

impl Deref for Taken {
    type Target = OwnedPermit;

    fn deref(&self) -> &OwnedPermit {
        &self.permit
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut OwnedPermit {
        &mut self.permit
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some((hold_time, number)) = self.measured.take() {
            hold_time.end(number, || self.permit.gauge().now());
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::{clock::ManualClock, gauge::PressureGauge};

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn one_call_at_a_time_is_measured_until_its_place_comes_back() {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(9).clock(clock.clone()).build().unwrap();
        let hold_time = Arc::new(HoldTime::default());
        let take = || Taken::new(gauge.try_acquire().unwrap().into_owned(), &hold_time);
        assert_eq!(hold_time.mean(gauge.now()), UNKNOWN);
        let (first, second) = (take(), take());
        assert!(first.measured.is_some() && second.measured.is_none());
        clock.advance(ms(160));
        assert_eq!(hold_time.mean(gauge.now()), ms(160), "it takes at least as long");
        drop((first, second));
        assert_eq!(hold_time.mean(gauge.now()), ms(160));
        while take().measured.is_none() {}
        assert_eq!(hold_time.mean(gauge.now()), ms(80), "one that took no time");
    }

    #[test]
    fn a_call_that_takes_long_keeps_nobody_else_from_being_measured() {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(9).clock(clock.clone()).build().unwrap();
        let hold_time = Arc::new(HoldTime::default());
        hold_time.learn(ms(80));
        let take = || Taken::new(gauge.try_acquire().unwrap().into_owned(), &hold_time);
        let long = std::iter::repeat_with(take).find(|taken| taken.measured.is_some()).unwrap();
        clock.advance(ms(400));
        hold_time.mean(gauge.now());
        assert_eq!(hold_time.mean(gauge.now()), ms(240), "the mean of 80 and 400");
        let other = std::iter::repeat_with(take).find(|taken| taken.measured.is_some()).unwrap();
        clock.advance(ms(40));
        drop(long);
        assert_eq!(hold_time.mean(gauge.now()), ms(240), "it is counted already");
        drop(other);
        assert_eq!(hold_time.mean(gauge.now()).as_millis(), 173, "and of 40");
    }
}
