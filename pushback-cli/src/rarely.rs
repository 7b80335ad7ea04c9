//! What may happen a thousand times a second, and is told now and then.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use pushback::{Clock, SystemClock};

/// Between two times that it is told.
const PAUSE: Duration = Duration::from_secs(10);

/// How often it happened, and when it was told.
#[derive(Debug, Default)]
pub(crate) struct Rarely(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    since: u64,
}

impl Rarely {
    /// It happens. If it is time to tell that, says how often it did since it was told.
    pub(crate) fn happens(&self) -> Option<u64> {
        self.happens_at(SystemClock.now())
    }

    fn happens_at(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.since += 1;
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_once_and_then_now_and_then_with_how_often_it_was() {
        let (rarely, start) = (Rarely::default(), SystemClock.now());
        let at = |seconds| rarely.happens_at(start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(100)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
    }
}
