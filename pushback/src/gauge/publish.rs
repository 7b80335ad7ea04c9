//! The gauge as metrics.

use std::{
    any::Any,
    sync::{Arc, Weak},
};

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

use super::{PressureGauge, label::label};
use crate::snapshot::Snapshot;

impl PressureGauge {
    /// Publishes the gauge's figures of this moment to the [`metrics`] facade, **once**.
    ///
    /// Mostly you want [`publish_metrics_every`](Self::publish_metrics_every), which goes on doing
    /// it. This one is for a loop of your own, or for a handler that answers a scrape: it has the
    /// newest figures if it calls this first. Calls themselves publish nothing, so a call costs no
    /// more than without metrics.
    ///
    /// All metrics have the label `gauge`, the gauge's name. No label comes from a caller. Of
    /// several gauges of one name, the second that publishes is called `name #2` here, and what is
    /// recorded as it happens is of all that have the name. So name gauges by what they protect.
    ///
    /// | metric | is |
    /// |---|---|
    /// | `pushback_limit` | how many places there are |
    /// | `pushback_in_flight` | how many are taken |
    /// | `pushback_awaiting_client` | places of calls that wait for their client, where the limit moves |
    /// | `pushback_queued` | calls in the queue, which is the gauge's line |
    /// | `pushback_queue_oldest_seconds` | how long the one that came first among them has waited |
    /// | `pushback_admitted_total` | calls admitted |
    /// | `pushback_refused_total` | calls refused, by `reason` |
    /// | `pushback_ended_total` | calls that did not end well, by `outcome`: `overload`, `ignore`, `cancelled` |
    /// | `pushback_queue_abandoned_total` | calls whose caller gave up in the queue |
    /// | `pushback_queue_starvation_grants_total` | calls in the queue served before more important ones, so that they do not starve |
    /// | `pushback_queue_turns_passed_on_total` | turns that went to others because the caller did not look after its call |
    /// | `pushback_retries_total` | calls that said that they were retries, admitted or refused |
    /// | `pushback_paused` | 1 while the gauge is paused, else 0 |
    /// | `pushback_dry_run_in_flight` | calls that a dry run lets run beside the limit |
    /// | `pushback_dry_run_queued_total` | calls that without the dry run would have been queued |
    /// | `pushback_dry_run_refused_total` | calls that a dry run would have refused, by `reason` |
    /// | `pushback_limit_pinned` | 1 while a limit that moves is pinned, else 0; not for a fixed limit |
    /// | `pushback_limit_changes_total` | how many times a limit moved by itself, by `cause` |
    /// | `pushback_internal_errors_total` | faults the gauge recovered from; anything but 0 is a bug |
    ///
    /// Two times in seconds are recorded as they happen: `pushback_queue_wait_seconds` by `result`
    /// (`admitted`, `refused`, `left`), and by the HTTP layer `pushback_request_duration_seconds`,
    /// from the end of a request's body to its response's head. Exporters for Prometheus make
    /// summaries of them unless they are given buckets.
    pub fn publish_metrics(&self) {
        describe();
        let snapshot = self.snapshot();
        let core = Arc::downgrade(&self.core) as Weak<dyn Any + Send + Sync>;
        let name = label(snapshot.name, core, self.core.built);
        gauge!("pushback_limit", "gauge" => name).set(snapshot.limit);
        gauge!("pushback_in_flight", "gauge" => name).set(snapshot.in_flight);
        gauge!("pushback_awaiting_client", "gauge" => name).set(snapshot.awaiting_client);
        gauge!("pushback_queued", "gauge" => name).set(snapshot.in_line);
        gauge!("pushback_queue_oldest_seconds", "gauge" => name)
            .set(snapshot.oldest_wait.unwrap_or_default());
        counter!("pushback_admitted_total", "gauge" => name).absolute(snapshot.admitted);
        for (reason, count) in snapshot.refused.iter() {
            counter!("pushback_refused_total", "gauge" => name, "reason" => reason.as_str()).absolute(count);
        }
        for (outcome, count) in ended(&snapshot) {
            counter!("pushback_ended_total", "gauge" => name, "outcome" => outcome).absolute(count);
        }
        #[cfg(feature = "http")]
        crate::telemetry::stalled_from_now_on(snapshot.name);
        counter!("pushback_queue_abandoned_total", "gauge" => name).absolute(snapshot.left_line);
        counter!("pushback_queue_starvation_grants_total", "gauge" => name)
            .absolute(snapshot.starvation_grants);
        counter!("pushback_queue_turns_passed_on_total", "gauge" => name).absolute(snapshot.turns_passed_on);
        counter!("pushback_retries_total", "gauge" => name).absolute(snapshot.retries);
        gauge!("pushback_paused", "gauge" => name).set(u32::from(snapshot.paused));
        counter!("pushback_internal_errors_total", "gauge" => name).absolute(snapshot.faults);
        if snapshot.why.is_some() {
            gauge!("pushback_limit_pinned", "gauge" => name).set(u32::from(snapshot.pinned));
        }
        for (cause, count) in snapshot.why.unwrap_or_default().moves {
            counter!("pushback_limit_changes_total", "gauge" => name, "cause" => cause).absolute(count);
        }
        if let Some(dry_run) = snapshot.dry_run {
            gauge!("pushback_dry_run_in_flight", "gauge" => name).set(dry_run.phantoms);
            counter!("pushback_dry_run_queued_total", "gauge" => name).absolute(dry_run.would_wait);
            for (reason, count) in dry_run.would_refuse.iter() {
                counter!("pushback_dry_run_refused_total", "gauge" => name, "reason" => reason.as_str())
                    .absolute(count);
            }
        }
    }
}

fn ended(snapshot: &Snapshot) -> [(&'static str, u64); 3] {
    [("overload", snapshot.overloaded), ("ignore", snapshot.ignored), ("cancelled", snapshot.cancelled)]
}

/// The recorder may be another one than last time, so it is told each time.
fn describe() {
    describe_gauge!("pushback_limit", "Concurrency limit: the most requests in flight.");
    describe_gauge!(
        "pushback_limit_pinned",
        "1 while an operator pins a limit that adapts by itself, else 0."
    );
    describe_gauge!("pushback_in_flight", "Requests in flight.");
    describe_gauge!(
        "pushback_awaiting_client",
        "Requests that wait for their client to send or to read, under a limit that adapts."
    );
    describe_gauge!("pushback_queued", "Requests in the queue.");
    describe_gauge!(
        "pushback_queue_oldest_seconds",
        Unit::Seconds,
        "How long the oldest request in the queue has waited."
    );
    describe_counter!("pushback_admitted_total", "Requests admitted.");
    describe_counter!("pushback_refused_total", "Requests refused (shed), by reason.");
    describe_counter!("pushback_ended_total", "Admitted requests that did not end as a success, by outcome.");
    describe_counter!("pushback_queue_abandoned_total", "Requests whose caller gave up in the queue.");
    describe_counter!(
        "pushback_queue_starvation_grants_total",
        "Requests in the queue that were served before more important ones, so that they do not starve."
    );
    describe_counter!(
        "pushback_queue_turns_passed_on_total",
        "Turns in the queue that went to others, because the caller did not look after its request."
    );
    describe_counter!(
        "pushback_retries_total",
        "Requests that said that they were retries, admitted or refused."
    );
    describe_gauge!("pushback_paused", "1 while the gauge is paused and admits nobody, else 0.");
    describe_gauge!(
        "pushback_dry_run_in_flight",
        "Requests in flight above the limit, which a dry run lets pass."
    );
    describe_counter!(
        "pushback_dry_run_queued_total",
        "Requests that would have been queued, without the dry run."
    );
    describe_counter!(
        "pushback_dry_run_refused_total",
        "Requests that would have been refused, without the dry run, by reason."
    );
    describe_counter!("pushback_limit_changes_total", "Changes of a limit that adapts by itself, by cause.");
    describe_counter!(
        "pushback_internal_errors_total",
        "Internal errors that the gauge recovered from: anything but 0 is a bug."
    );
    describe_histogram!("pushback_queue_wait_seconds", Unit::Seconds, "Time in the queue, by result.");
    describe_histogram!(
        "pushback_request_duration_seconds",
        Unit::Seconds,
        "Request duration: from the end of the request to the head of its response, without the time in the queue."
    );
}
