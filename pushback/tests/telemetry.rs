//! What a gauge tells metrics and logs.
#![cfg(all(feature = "http", feature = "metrics", feature = "tracing"))]

#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, routing::post};
use http::Request;
use http_body::Frame;
use http_body_util::channel::Channel;
use metrics_exporter_prometheus::PrometheusBuilder;
use pushback::{DryRunMode, Line, ManualClock, PressureGauge, http::BackpressureLayer, limit::Auto};
use support::Task;
use tower::ServiceExt;

fn gauge(name: &str) -> (PressureGauge, ManualClock) {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().name(name).limit(1).line(Line::fifo(1)).clock(clock.clone());
    (gauge.build().unwrap(), clock)
}

#[test]
fn metrics_are_named_as_prometheus_wants_it_and_say_what_the_snapshot_says() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let (gauge, clock) = gauge("db");
        let held = gauge.try_acquire().unwrap();
        assert!(gauge.try_acquire().is_err());
        let mut waiting = Task::new(gauge.acquire());
        assert!(waiting.poll().is_pending());
        clock.advance(Duration::from_millis(500));
        gauge.publish_metrics();
        let text = page.render();
        for line in [
            "# TYPE pushback_limit gauge",
            "pushback_limit{gauge=\"db\"} 1",
            "pushback_in_flight{gauge=\"db\"} 1",
            "pushback_queued{gauge=\"db\"} 1",
            "pushback_queue_oldest_seconds{gauge=\"db\"} 0.5",
            "# TYPE pushback_admitted_total counter",
            "pushback_admitted_total{gauge=\"db\"} 1",
            "pushback_refused_total{gauge=\"db\",reason=\"full\"} 1",
            "pushback_refused_total{gauge=\"db\",reason=\"closed\"} 0",
            "pushback_internal_errors_total{gauge=\"db\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("pushback_dry_run_in_flight"), "there is no dry run");
        drop(held);
        assert!(waiting.poll_if_rung().is_ready());
        gauge.set_dry_run(DryRunMode::On);
        gauge.publish_metrics();
        let text = page.render();
        assert!(
            text.contains("pushback_queue_wait_seconds_sum{gauge=\"db\",result=\"admitted\"} 0.5\n"),
            "{text}"
        );
        assert!(text.contains("pushback_dry_run_in_flight{gauge=\"db\"} 0"), "{text}");
    });
}

#[test]
fn metrics_that_are_published_again_and_again_follow_the_gauge_and_end_with_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let (gauge, clock) = gauge("again");
        let mut publishing = Task::new(gauge.publish_metrics_every(Duration::from_secs(5)));
        let says = |in_flight: u32| {
            let (line, text) = (format!("pushback_in_flight{{gauge=\"again\"}} {in_flight}"), page.render());
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        };
        assert!(publishing.poll().is_pending());
        says(0);
        let held = gauge.try_acquire().unwrap();
        clock.advance(Duration::from_secs(4));
        assert!(publishing.poll().is_pending(), "whoever polls it early changes nothing");
        says(0);
        for in_flight in [1, 1] {
            clock.advance(Duration::from_secs(5));
            assert!(publishing.poll_if_rung().is_pending());
            says(in_flight);
        }
        drop(held);
        drop(gauge);
        clock.advance(Duration::from_secs(5));
        assert!(publishing.poll_if_rung().is_ready(), "it keeps no gauge alive");
    });
}

#[test]
fn the_service_time_runs_from_the_end_of_the_upload_to_the_head() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let (gauge, clock) = gauge("uploads");
        let (mut sender, body) = Channel::<bytes::Bytes>::new(1);
        let slow = clock.clone();
        let app = Router::new().route(
            "/",
            post(async move |body: String| {
                slow.advance(Duration::from_secs(3)); // the work
                body
            }),
        );
        let app = app.layer(BackpressureLayer::new(gauge));
        let request = Request::post("/").body(Body::new(body)).unwrap();
        let mut call = Task::new(app.oneshot(request));
        assert!(call.poll().is_pending());
        clock.advance(Duration::from_secs(5)); // a slow upload
        assert!(sender.try_send(Frame::data("all".into())).is_ok());
        drop(sender);
        assert!(call.poll_if_rung().is_ready());
        let text = page.render();
        assert!(text.contains("pushback_request_duration_seconds_sum{gauge=\"uploads\"} 3\n"), "{text}");
    });
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn logs_say_who_was_refused_and_why_and_what_operators_did() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let (gauge, clock) = gauge("db");
        let held = gauge.try_acquire().unwrap();
        assert!(gauge.try_acquire().is_err());
        let mut waiting = Task::new(gauge.acquire());
        assert!(waiting.poll().is_pending());
        clock.advance(Duration::from_millis(500));
        drop(held);
        assert!(waiting.poll().is_ready());
        gauge.set_limit(7);
        gauge.set_dry_run(DryRunMode::On);
        gauge.close();
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    assert_eq!(
        lines,
        [
            "DEBUG pushback: refused gauge=\"db\" reason=\"full\" limit=1 in_flight=1",
            "TRACE pushback: waited in line gauge=\"db\" result=\"admitted\" waited=500ms",
            "INFO pushback: limit set gauge=\"db\" limit=7 limit_before=1",
            "INFO pushback: dry run set gauge=\"db\" on=true",
            "INFO pushback: closed gauge=\"db\"",
        ]
    );
}

#[test]
fn a_pinned_limit_is_told_to_metrics_and_logs() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        tracing::subscriber::with_default(subscriber, || {
            let (fixed, _clock) = gauge("stays");
            let gauge = PressureGauge::builder().name("moves").limit(Auto::new()).build().unwrap();
            let says = |pinned: u32| {
                gauge.publish_metrics();
                fixed.publish_metrics();
                let (line, text) =
                    (format!("pushback_limit_pinned{{gauge=\"moves\"}} {pinned}"), page.render());
                assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
                assert!(!text.contains("pushback_limit_pinned{gauge=\"stays\"}"), "{text}");
            };
            says(0);
            gauge.pin(7);
            says(1);
            gauge.unpin();
            gauge.unpin();
            says(0);
        });
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    assert_eq!(
        lines,
        [
            "INFO pushback: limit pinned gauge=\"moves\" limit=7 limit_before=4",
            "INFO pushback: limit unpinned gauge=\"moves\" limit=7",
        ]
    );
}

#[test]
fn gauges_of_one_name_have_figures_of_their_own() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let (one, _clock) = gauge("twin");
        let (other, _clock) = gauge("twin");
        let _held = one.try_acquire().unwrap();
        for _ in 0..2 {
            one.publish_metrics();
            other.publish_metrics();
        }
        let says = |line: &str| {
            let text = page.render();
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        };
        says("pushback_in_flight{gauge=\"twin\"} 1");
        says("pushback_in_flight{gauge=\"twin #2\"} 0");
        // One that takes the place of both, after which they are not published any more, though calls are in flight.
        let (next, _clock) = gauge("twin");
        next.set_limit(7);
        next.publish_metrics();
        says("pushback_limit{gauge=\"twin\"} 7");
    });
}
