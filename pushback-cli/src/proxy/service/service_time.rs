//! How long the service typically takes for the head of an answer.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How much of each new time goes into it.
const SHARE: i64 = 16;
/// Nobody's place is kept for longer than this after its client has gone.
const KEPT_MAX: Duration = Duration::from_secs(10);

/// A moving mean, in nanoseconds; 0 before the first answer.
#[derive(Debug, Default)]
pub(in crate::proxy) struct ServiceTime(AtomicU64);

impl ServiceTime {
    pub(in crate::proxy) fn learn(&self, took: Duration) {
        let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX / 2);
        let before = self.0.load(Ordering::Relaxed);
        let mean = match i64::try_from(before) {
            Ok(0) | Err(_) => took,
            Ok(before) => before + (took - before) / SHARE,
        };
        // Two at once may lose one of them, which a mean can bear.
        self.0.store(mean.unsigned_abs(), Ordering::Relaxed);
    }

    /// How much longer a call that took so long already may be expected to run.
    pub(in crate::proxy) fn left_after(&self, took: Duration) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)).saturating_sub(took).min(KEPT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typical_follows_slowly_and_is_bounded() {
        let typical = ServiceTime::default();
        assert_eq!(typical.left_after(Duration::ZERO), Duration::ZERO);
        typical.learn(Duration::from_millis(160));
        assert_eq!(typical.left_after(Duration::ZERO), Duration::from_millis(160));
        typical.learn(Duration::ZERO);
        assert_eq!(typical.left_after(Duration::from_millis(50)), Duration::from_millis(100));
        assert_eq!(typical.left_after(Duration::from_millis(200)), Duration::ZERO);
        typical.learn(Duration::MAX);
        assert_eq!(typical.left_after(Duration::ZERO), KEPT_MAX);
    }
}
