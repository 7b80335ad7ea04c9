//! A clock for tests and simulations.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Alarm, Clock, SystemClock};

/// A clock that stands still until it is told to go on. Clones are the same clock.
///
/// ```
/// use std::time::Duration;
/// use pushback::{Line, ManualClock, PressureGauge};
///
/// let clock = ManualClock::new();
/// let gauge = PressureGauge::builder()
///     .limit(1)
///     .line(Line::fifo(1).wait_at_most(Duration::from_secs(3)))
///     .clock(clock.clone())
///     .build()?;
/// # let _ = gauge;
/// clock.advance(Duration::from_secs(3)); // whoever waits now has waited too long
/// # Ok::<(), pushback::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
}

#[derive(Debug)]
struct Hands {
    now: Instant,
    alarms: Vec<(Instant, Alarm)>,
}

impl ManualClock {
    /// A clock that stands at some time.
    pub fn new() -> Self {
        ManualClock { hands: Arc::new(Mutex::new(Hands { now: SystemClock.now(), alarms: Vec::new() })) }
    }

    /// Moves the clock on, and rings the alarms on the way, each at its own time.
    ///
    /// # Panics
    ///
    /// If the time is more than an [`Instant`] can hold.
    pub fn advance(&self, time: Duration) {
        let end = self.now() + time;
        while let Some(alarm) = self.next_until(end) {
            alarm.ring();
        }
        let mut hands = self.lock();
        hands.now = hands.now.max(end);
    }

    /// Moves the clock to the first alarm that is due by then, and takes it out.
    fn next_until(&self, end: Instant) -> Option<Alarm> {
        let mut hands = self.lock();
        let (index, when) = hands
            .alarms
            .iter()
            .enumerate()
            .map(|(index, (when, _))| (index, *when))
            .min_by_key(|(_, when)| *when)
            .filter(|(_, when)| *when <= end)?;
        hands.now = hands.now.max(when);
        // The alarm rings after the lock is gone, for a gauge that is rung may set its next alarm here.
        Some(hands.alarms.remove(index).1)
    }

    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.lock().now
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        let mut hands = self.lock();
        let before = hands.alarms.iter().position(|(_, before)| before.is_for_the_same(&alarm));
        match before {
            Some(index) if hands.alarms[index].0 <= when => (),
            Some(index) => hands.alarms[index] = (when, alarm),
            None => hands.alarms.push((when, alarm)),
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}
