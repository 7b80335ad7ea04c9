//! The layer, driven by hand and by axum.
#![cfg(feature = "http")]

mod support;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use pushback::{Line, PressureGauge, http::BackpressureLayer};
use support::Task;
use tower::{Layer, Service, ServiceExt};

/// Answers at once.
#[derive(Clone)]
struct Fast;

impl Service<Request<()>> for Fast {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(if request.uri().path() == "/fails" {
            Err("the inner error")
        } else {
            Ok(Response::new("done".into()))
        })
    }
}

fn request(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
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
    assert_eq!(second.headers()[header::RETRY_AFTER], "1");
    assert_eq!(second.headers()[header::CACHE_CONTROL], "no-store");
    let text = smol::block_on(second.into_body().collect()).unwrap().to_bytes();
    assert_eq!(text, "Too many requests");

    let text = smol::block_on(first.into_body().collect()).unwrap().to_bytes();
    assert_eq!(text, "done");
    assert_eq!(gauge.snapshot().in_flight, 0);
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

impl Service<Request<()>> for Stuck {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
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
fn a_service_that_is_cloned_has_one_limit_and_an_idle_clone_takes_no_place() {
    let gauge = PressureGauge::new(1);
    let service = BackpressureLayer::new(gauge.clone()).layer(Stuck);
    let mut idle = service.clone();
    assert!(smol::block_on(idle.ready()).is_ok());
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
