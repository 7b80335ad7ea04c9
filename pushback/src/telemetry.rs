//! What a gauge tells metrics and traces, which are other people's code: never under the lock.
//!
//! Without the features `metrics` and `tracing` nothing is left of this.

#[cfg(feature = "http")]
use std::time::Duration;
use std::time::Instant;

use crate::rejected::Rejected;

/// A call was refused.
#[inline]
pub(crate) fn refused(rejected: &Rejected) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushback",
        gauge = rejected.gauge,
        reason = rejected.reason.as_str(),
        limit = rejected.limit,
        in_flight = rejected.in_flight,
        "refused"
    );
    let _ = rejected;
}

pub(crate) fn limit_set(gauge: &'static str, before: u32, limit: u32) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, limit, limit_before = before, "limit set");
    let _ = (gauge, before, limit);
}

/// An operator keeps the limit there.
pub(crate) fn limit_pinned(gauge: &'static str, before: u32, limit: u32) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, limit, limit_before = before, "limit pinned");
    let _ = (gauge, before, limit);
}

/// An operator lets the limit move again.
pub(crate) fn limit_unpinned(gauge: &'static str, limit: u32) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, limit, "limit unpinned");
    let _ = (gauge, limit);
}

/// A controller moved the limit.
pub(crate) fn limit_moved(gauge: &'static str, before: u32, limit: u32, why: Option<&str>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "pushback", gauge, limit, limit_before = before, why, "limit moved");
    let _ = (gauge, before, limit, why);
}

/// A second gauge publishes by a name.
#[cfg(feature = "metrics")]
pub(crate) fn another_of_that_name(gauge: &'static str, label: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "pushback", gauge, label, "another gauge has this name, so its metrics are numbered");
    let _ = (gauge, label);
}

pub(crate) fn closed(gauge: &'static str) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, "closed");
    let _ = gauge;
}

pub(crate) fn paused_set(gauge: &'static str, on: bool) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, on, "paused set");
    let _ = (gauge, on);
}

pub(crate) fn dry_run_set(gauge: &'static str, on: bool) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, on, "dry run set");
    let _ = (gauge, on);
}

/// So many peers were cut off, because they made too little progress: readers of answers, and senders of requests.
#[cfg(feature = "http")]
pub(crate) fn stalled(gauge: &'static str, readers: u64, senders: u64) {
    if readers + senders == 0 {
        return;
    }
    #[cfg(feature = "metrics")]
    count_stalled(gauge, readers, senders);
    #[cfg(feature = "tracing")]
    tracing::info!(target: "pushback", gauge, readers, senders, "cut off who had stalled, or was too slow");
    let _ = gauge;
}

#[cfg(all(feature = "http", feature = "metrics"))]
fn count_stalled(gauge: &'static str, readers: u64, senders: u64) {
    for (peer, count) in [("reader", readers), ("sender", senders)] {
        metrics::counter!("pushback_stalled_total", "gauge" => gauge, "peer" => peer).increment(count);
    }
}

/// So that the metric is there before there is one.
#[cfg(all(feature = "http", feature = "metrics"))]
pub(crate) fn stalled_from_now_on(gauge: &'static str) {
    metrics::describe_counter!(
        "pushback_stalled_total",
        "Readers and senders who were cut off, because they made too little progress."
    );
    count_stalled(gauge, 0, 0);
}

/// An admitted request was answered, so long after the end of its body.
#[cfg(feature = "http")]
pub(crate) fn served(gauge: &'static str, time: Duration) {
    #[cfg(feature = "metrics")]
    metrics::histogram!("pushback_request_duration_seconds", "gauge" => gauge).record(time);
    let _ = (gauge, time);
}

/// Since when a call waits, if somebody wants to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    since: Instant,
}

impl Waiting {
    pub(crate) fn begins(now: impl FnOnce() -> Instant) -> Self {
        let _ = &now;
        Waiting {
            #[cfg(any(feature = "metrics", feature = "tracing"))]
            since: now(),
        }
    }

    /// The wait is over: with a place, or with a refusal.
    pub(crate) fn ends(self, gauge: &'static str, now: impl Fn() -> Instant, result: &'static str) {
        #[cfg(any(feature = "metrics", feature = "tracing"))]
        {
            let waited = now().saturating_duration_since(self.since);
            #[cfg(feature = "metrics")]
            metrics::histogram!("pushback_queue_wait_seconds", "gauge" => gauge, "result" => result)
                .record(waited);
            #[cfg(feature = "tracing")]
            tracing::trace!(target: "pushback", gauge, result, ?waited, "waited in line");
        }
        let _ = (gauge, &now, result);
    }
}
