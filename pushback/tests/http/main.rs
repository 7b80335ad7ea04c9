//! The layer, driven by hand and by axum.
#![cfg(feature = "http")]

mod axum_routes;
mod blame;
mod classify;
mod connections;
mod hold;
mod kept_word;
mod others;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod timing;
mod uploads;
#[path = "../support/wire.rs"]
mod wire;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full};
use pushback::{
    Line, ManualClock, PressureGauge, Reason,
    http::{BackpressureLayer, Reply},
};
use support::Task;
use tower::{Layer, Service, ServiceExt};

/// Answers at once.
#[derive(Clone)]
struct Fast;

impl<Q> Service<Request<Q>> for Fast {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        ready(if request.uri().path() == "/fails" {
            Err("the inner error")
        } else {
            Ok(Response::new("done".into()))
        })
    }
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

#[test]
fn the_place_is_held_until_the_body_was_read_and_the_refusal_is_a_response() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Fast);
    let first = Task::new(service.call(request("/"))).poll();
    let Poll::Ready(Ok(first)) = first else { panic!("the first request was not served") };
    assert_eq!(gauge.snapshot().in_flight, 1, "the head is out, the body is not");

    let Poll::Ready(Ok(second)) = Task::new(service.call(request("/"))).poll() else {
        panic!("a refusal must be a response")
    };
    assert_eq!(second.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(["1", "2"].contains(&second.headers()[header::RETRY_AFTER].to_str().unwrap()));
    assert_eq!(second.headers()[header::CACHE_CONTROL], "no-store");
    let text = smol::block_on(second.into_body().collect()).unwrap().to_bytes();
    assert_eq!(text, "Too many requests");

    let text = smol::block_on(first.into_body().collect()).unwrap().to_bytes();
    assert_eq!(text, "done");
    assert_eq!(gauge.snapshot().in_flight, 0);
}

/// What a full gauge answers to a request with these headers.
fn refusal(layer: &BackpressureLayer, headers: &[(&str, &str)]) -> (Response<()>, String) {
    refusal_of(layer, Request::post("/").version(http::Version::HTTP_2).body(Empty::new()).unwrap(), headers)
}

fn refusal_of(
    layer: &BackpressureLayer,
    mut request: Request<Empty<Bytes>>,
    headers: &[(&str, &str)],
) -> (Response<()>, String) {
    for (name, value) in headers {
        request.headers_mut().insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let Poll::Ready(Ok(response)) = Task::new(layer.layer(Fast).call(request)).poll() else {
        panic!("a refusal must be a response")
    };
    let (head, body) = response.into_parts();
    let body = smol::block_on(body.collect()).unwrap().to_bytes();
    (Response::from_parts(head, ()), String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn the_status_is_a_setting_and_a_status_that_does_not_refuse_is_an_error() {
    let gauge = PressureGauge::new(1);
    let _held = gauge.try_acquire().unwrap();
    let layer = BackpressureLayer::new(gauge.clone());
    assert_eq!(refusal(&layer, &[]).0.status(), StatusCode::TOO_MANY_REQUESTS);
    let busy = layer.clone().reply(Reply::new().status(StatusCode::SERVICE_UNAVAILABLE).unwrap());
    assert_eq!(refusal(&busy, &[]).0.status(), StatusCode::SERVICE_UNAVAILABLE);
    let by_reason = Reply::new().status_for(Reason::Full, StatusCode::IM_A_TEAPOT).unwrap();
    assert_eq!(refusal(&layer.clone().reply(by_reason), &[]).0.status(), StatusCode::IM_A_TEAPOT);
    for status in [StatusCode::OK, StatusCode::FOUND, StatusCode::CONTINUE] {
        let error = Reply::new().status(status).unwrap_err();
        assert_eq!(error.to_string(), format!("status is {}; allowed: 400 to 599", status.as_u16()));
        assert!(Reply::new().status_for(Reason::Full, status).is_err());
    }
    gauge.close();
    let (head, text) = refusal(&layer, &[]);
    assert_eq!((head.status(), text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "Shutting down"));
}

#[test]
fn callers_are_answered_in_the_form_they_understand_and_strangers_learn_no_numbers() {
    let gauge = PressureGauge::builder().name("secret-database").limit(0).build().unwrap();
    for layer in [BackpressureLayer::new(gauge.clone()), BackpressureLayer::waiting(gauge)] {
        let (head, text) = refusal(&layer, &[("accept", "application/problem+json")]);
        assert_eq!(head.headers()[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(text, r#"{"type":"about:blank","title":"Too many requests","status":429}"#);
        let (head, text) = refusal(&layer, &[("content-type", "application/grpc+proto")]);
        assert_eq!((head.status(), text.as_str()), (StatusCode::OK, ""), "trailers only");
        assert_eq!(head.headers()[header::CONTENT_TYPE], "application/grpc");
        assert_eq!(
            (&head.headers()["grpc-status"], &head.headers()["grpc-message"]),
            (&"14".parse().unwrap(), &"Too many requests".parse().unwrap())
        );
        let pushback: u32 = head.headers()["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
        assert!((100..1_000).contains(&pushback), "nothing is known yet: {pushback}");
        assert!(head.headers().get(header::RETRY_AFTER).is_none());
    }
}

#[test]
fn a_body_that_is_dropped_unread_gives_the_place_back() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Fast);
    let response = Task::new(service.call(request("/"))).poll();
    assert_eq!(gauge.snapshot().in_flight, 1);
    drop(response);
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[test]
fn the_inner_error_passes_unchanged_and_gives_the_place_back() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Fast);
    let answer = Task::new(service.call(request("/fails"))).poll();
    assert!(matches!(answer, Poll::Ready(Err("the inner error"))));
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().ignored), (0, 1));
}

#[test]
fn waiting_requests_stand_in_the_gauges_line() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
    let mut service = BackpressureLayer::waiting(gauge.clone()).layer(Fast);
    let held = gauge.try_acquire().unwrap();
    let mut waiting = Task::new(service.call(request("/")));
    assert!(waiting.poll().is_pending());
    assert!(waiting.poll_as_another_task().0.is_pending());
    let Poll::Ready(Ok(refused)) = Task::new(service.clone().call(request("/"))).poll() else {
        panic!("the line is full")
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    drop(held);
    let Poll::Ready(Ok(served)) = waiting.poll_if_rung() else { panic!("its turn has come") };
    assert_eq!(served.status(), StatusCode::OK);
}

/// Never answers, so that a request can be dropped while it runs.
#[derive(Clone)]
struct Stuck;

impl<Q> Service<Request<Q>> for Stuck {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Q>) -> Self::Future {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_caller_that_goes_away_gives_the_place_back_as_cancelled() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Stuck);
    let mut task = Task::new(service.call(request("/")));
    assert!(task.poll().is_pending());
    drop(task);
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().cancelled), (0, 1));
}

#[test]
fn a_body_read_to_its_end_gives_the_place_back_even_if_it_is_kept() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Fast);
    let Poll::Ready(Ok(response)) = Task::new(service.call(request("/"))).poll() else {
        panic!("it is free")
    };
    let mut body = response.into_body();
    while smol::block_on(body.frame()).is_some() {}
    assert_eq!(gauge.snapshot().in_flight, 0);
    drop(body);
}

#[test]
fn a_caller_that_goes_away_while_it_waits_in_line_leaves_the_line() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
    let mut service = BackpressureLayer::waiting(gauge.clone()).layer(Fast);
    let _held = gauge.try_acquire().unwrap();
    let mut waiting = Task::new(service.call(request("/")));
    assert!(waiting.poll().is_pending());
    assert_eq!(gauge.snapshot().in_line, 1);
    drop(waiting);
    assert_eq!((gauge.snapshot().in_line, gauge.snapshot().left_line), (0, 1));
}

/// Ready when its switch says so; a call before that is a fault.
#[derive(Clone)]
struct Moody {
    mood: Arc<AtomicU8>,
    was_ready: bool,
}

const NOT_YET: u8 = 0;
const READY: u8 = 1;
const FAILED: u8 = 2;

impl<Q> Service<Request<Q>> for Moody {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.mood.load(Ordering::SeqCst) {
            NOT_YET => Poll::Pending,
            READY => {
                self.was_ready = true;
                Poll::Ready(Ok(()))
            }
            _ => Poll::Ready(Err("the service is broken")),
        }
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        assert!(self.was_ready, "called before it was ready");
        assert_eq!(request.uri().path(), "/");
        ready(Ok(Response::new("done".into())))
    }
}

fn moody() -> (Moody, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(NOT_YET));
    (Moody { mood: mood.clone(), was_ready: false }, mood)
}

#[test]
fn an_inner_service_that_is_not_ready_is_waited_for_behind_the_permit() {
    let gauge = PressureGauge::new(1);
    let (inner, mood) = moody();
    let mut service = BackpressureLayer::new(gauge.clone()).layer(inner);
    assert!(ready_for_requests(&mut service), "there is no hidden line before the gauge");
    let mut first = Task::new(service.call(request("/")));
    assert!(first.poll().is_pending());
    let Poll::Ready(Ok(refused)) = Task::new(service.call(request("/"))).poll() else { panic!("it is full") };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    mood.store(READY, Ordering::SeqCst);
    assert!(matches!(first.poll(), Poll::Ready(Ok(response)) if response.status() == StatusCode::OK));

    mood.store(NOT_YET, Ordering::SeqCst);
    let mut leaver = Task::new(service.call(request("/")));
    assert!(leaver.poll().is_pending());
    drop(leaver);
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().cancelled), (0, 1));

    mood.store(FAILED, Ordering::SeqCst);
    let failed = Task::new(service.call(request("/"))).poll();
    assert!(matches!(failed, Poll::Ready(Err("the service is broken"))));
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().ignored), (0, 1));
}

#[test]
fn a_handler_that_panics_gives_the_place_back_and_is_no_cancellation() {
    let gauge = PressureGauge::new(1);
    let app = Router::new()
        .route("/", get(async || if true { panic!("the handler fails") } else { "done" }))
        .layer(BackpressureLayer::new(gauge.clone()));
    let mut call = Task::new(app.oneshot(Request::get("/").body(Body::empty()).unwrap()));
    assert!(catch_unwind(AssertUnwindSafe(|| call.poll())).is_err());
    // Whoever catches the panic may drop the future later.
    drop(call);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.ignored, snapshot.cancelled), (0, 1, 0));
}

#[test]
fn a_service_that_is_cloned_has_one_limit_and_an_idle_clone_takes_no_place() {
    let gauge = PressureGauge::new(1);
    let service = BackpressureLayer::new(gauge.clone()).layer(Stuck);
    let mut idle = service.clone();
    assert!(ready_for_requests(&mut idle));
    assert_eq!(gauge.snapshot().in_flight, 0, "readiness takes no place");
    let mut running = Task::new(service.clone().call(request("/")));
    assert!(running.poll().is_pending());
    let Poll::Ready(Ok(refused)) = Task::new(service.clone().call(request("/"))).poll() else {
        panic!("one limit for all clones")
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn axum_takes_the_layer_on_routers_and_on_routes() {
    let gauge = PressureGauge::new(1);
    let on_router =
        Router::new().route("/", get(async || "done")).layer(BackpressureLayer::new(gauge.clone()));
    let on_route =
        Router::new().route("/", get(async || "done").layer(BackpressureLayer::waiting(gauge.clone())));
    for app in [on_router, on_route] {
        let request = || Request::get("/").body(Body::empty()).unwrap();
        let response = smol::block_on(app.clone().oneshot(request())).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(gauge.snapshot().in_flight, 1);
        drop(response);
        assert_eq!(gauge.snapshot().in_flight, 0);
    }
}

fn ready_for_requests<S: Service<Request<Empty<Bytes>>>>(service: &mut S) -> bool {
    smol::block_on(service.ready()).is_ok()
}

#[test]
fn a_refused_head_has_the_length_and_no_body_over_http_2_too() {
    let layer = BackpressureLayer::new(PressureGauge::new(0));
    for version in [http::Version::HTTP_11, http::Version::HTTP_2] {
        let request = Request::head("/").version(version).body(Empty::new()).unwrap();
        let (head, text) = refusal_of(&layer, request, &[]);
        assert_eq!((head.status(), text.as_str()), (StatusCode::TOO_MANY_REQUESTS, ""));
        assert_eq!(head.headers()[header::CONTENT_LENGTH], "17");
    }
}

#[test]
fn a_server_that_goes_away_closes_its_http_1_connections() {
    let gauge = PressureGauge::new(1);
    gauge.close();
    let layer = BackpressureLayer::new(gauge);
    let (head, _) = refusal_of(&layer, request("/"), &[]);
    assert_eq!(head.headers()[header::CONNECTION], "close");
    assert!(!head.headers().contains_key(header::RETRY_AFTER), "another one may serve it at once");
    let (head, _) = refusal(&layer, &[]);
    assert!(!head.headers().contains_key(header::CONNECTION), "HTTP/2 forbids it");
}

#[test]
fn a_call_that_never_fits_is_not_asked_to_come_back() {
    let classify = pushback::http::Classify::new().arrival(|_| pushback::Arrival::new().cost(5));
    let layer = BackpressureLayer::new(PressureGauge::new(4)).classify(classify);
    assert!(!refusal(&layer, &[]).0.headers().contains_key(header::RETRY_AFTER));
    let (head, _) = refusal(&layer, &[("content-type", "application/grpc")]);
    assert_eq!(
        (&head.headers()["grpc-status"], &head.headers()["grpc-retry-pushback-ms"]),
        (&"8".parse().unwrap(), &"-1".parse().unwrap())
    );
}

#[tokio::test]
async fn methods_that_no_route_serves_take_a_place_but_behind_a_routes_own_layer() {
    for (of_its_own, expected) in [(false, "429 Too Many Requests"), (true, "405 Method Not Allowed")] {
        let gauge = PressureGauge::new(0);
        let (layer, route) = (BackpressureLayer::new(gauge.clone()), get(async || "done"));
        let app = if of_its_own {
            Router::new().route("/", route.route_layer(layer))
        } else {
            Router::new().route("/", route).route_layer(layer)
        };
        let mut connection =
            wire::send(&wire::serve(app).await, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                .await;
        assert_eq!(wire::line(&mut connection).await, format!("HTTP/1.1 {expected}\r\n"));
        assert_eq!(gauge.snapshot().refused.total(), u64::from(!of_its_own));
    }
}
