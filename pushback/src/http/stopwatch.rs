//! How long the service takes: from the end of the request's body to the response's head.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A stopwatch that runs from when the request came, and anew from each part of its body that is handed over. So the time that
/// an upload takes is its sender's, and so is what the reader of the answer takes, for it stops at the head.
#[derive(Debug, Clone)]
pub(super) struct Stopwatch {
    came: Instant,
    /// How long after it came the last part of the body was handed over, in nanoseconds.
    uploaded: Option<Arc<AtomicU64>>,
}

impl Stopwatch {
    /// For a request that came now, with a body or without one.
    pub(super) fn start(came: Instant, has_body: bool) -> Self {
        Stopwatch { came, uploaded: has_body.then(Arc::default) }
    }

    pub(super) fn restart(&self, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.came).as_nanos()).unwrap_or(u64::MAX);
        if let Some(uploaded) = &self.uploaded {
            uploaded.fetch_max(since, Ordering::Relaxed);
        }
    }

    pub(super) fn stop(&self, now: Instant) -> Duration {
        let uploaded = self.uploaded.as_ref().map_or(0, |uploaded| uploaded.load(Ordering::Relaxed));
        let uploaded = Duration::from_nanos(uploaded);
        now.saturating_duration_since(self.came).saturating_sub(uploaded)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn the_time_runs_from_the_last_part_of_the_upload() {
        let clock = ManualClock::new();
        let (plain, upload) = (Stopwatch::start(clock.now(), false), Stopwatch::start(clock.now(), true));
        clock.advance(Duration::from_secs(5));
        upload.clone().restart(clock.now());
        clock.advance(Duration::from_secs(2));
        assert_eq!(upload.stop(clock.now()), Duration::from_secs(2));
        assert_eq!(plain.stop(clock.now()), Duration::from_secs(7));
    }
}
