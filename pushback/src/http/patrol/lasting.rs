//! From when on an answer counts as one that goes on for as long as its client likes: a subscription.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// No answer is one before this.
const OPEN_AFTER: Duration = Duration::from_secs(60);
/// Nor before it has lasted so many times as long as those that came to their ends.
const TIMES: u32 = 10;
/// How much of each new time goes into the mean.
const SHARE: f64 = 1.0 / 32.0;

/// How long the service had those calls whose answers came to their ends.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    /// Its mean, in nanoseconds; 0 before anything is known.
    mean: AtomicU64,
}

impl Lasting {
    pub(super) fn learn(&self, held: Duration) {
        let (before, held) = (self.mean.load(Ordering::Relaxed) as f64, held.as_nanos() as f64);
        let mean = if before == 0.0 { held } else { before + SHARE * (held - before) };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and is not negative"
        )]
        self.mean.store((mean as u64).max(1), Ordering::Relaxed);
    }

    /// After how long an answer is open for good.
    pub(super) fn open_after(&self) -> Duration {
        OPEN_AFTER.max(TIMES * Duration::from_nanos(self.mean.load(Ordering::Relaxed)))
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_open_after_a_minute_or_ten_times_what_others_take() {
        let lasting = Lasting::default();
        assert_eq!(lasting.open_after(), Duration::from_secs(60));
        lasting.learn(Duration::from_secs(1));
        assert_eq!(lasting.open_after(), Duration::from_secs(60));
        (0..200).for_each(|_| lasting.learn(Duration::from_secs(90)));
        assert!(lasting.open_after() > Duration::from_secs(890), "{:?}", lasting.open_after());
    }
}
