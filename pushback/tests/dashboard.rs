//! The live page as a router: what it serves, and the stream's life.
#![cfg(feature = "dashboard")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode},
    routing::get,
};
use http_body_util::BodyExt;
use pushback::{
    Arrival, Line, PressureGauge, Priority,
    dashboard::{Dashboard, RouteCount},
    http::{BackpressureLayer, Classify},
};
use serde_json::Value;
use tower::ServiceExt;

async fn ask(app: &Router, path: &str) -> Response<Body> {
    app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

/// The next frame of a stream, unless it has ended.
async fn next(stream: &mut Response<Body>) -> Option<Value> {
    loop {
        let part = stream.body_mut().frame().await?.unwrap().into_data().unwrap();
        let text = std::str::from_utf8(&part).unwrap();
        if !text.is_empty() {
            let json = text.strip_prefix("data: ").and_then(|text| text.strip_suffix("\n\n"));
            return Some(serde_json::from_str(json.expect("an event")).unwrap());
        }
    }
}

/// A service of paths that say how important they are, and its page.
fn app(gauge: &PressureGauge) -> Router {
    let classify = Classify::new().arrival(|request| match request.uri.path() {
        "/low" => Arrival::new().priority(Priority::Low),
        _ => Arrival::new(),
    });
    let layer = BackpressureLayer::new(gauge.clone()).classify(classify);
    let page = Dashboard::new([gauge.clone()]).routes(|| vec![RouteCount::new("work", "shop", 3)]);
    Router::new()
        .nest("/api", Router::new().route("/{*path}", get(async || "done").route_layer(layer)))
        .nest_service("/pressure", page.router())
}

#[tokio::test]
async fn a_frame_tells_what_happened_while_somebody_looked() {
    let line = Line::fifo(3).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().name("shop").limit(1).line(line).build().unwrap();
    let app = app(&gauge);
    assert_eq!(ask(&app, "/api/before").await.status(), StatusCode::OK);
    let mut stream = ask(&app, "/pressure/events").await;
    next(&mut stream).await.unwrap();
    assert_eq!(ask(&app, "/api/work").await.status(), StatusCode::OK);
    let held = gauge.try_acquire().unwrap();
    for path in ["/api/low", "/api/secret?token=1", "/api/low"] {
        assert_eq!(ask(&app, path).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }
    // The one that is being made while this is asked for may not have all of it.
    next(&mut stream).await.unwrap();
    let frame = next(&mut stream).await.unwrap();
    drop(held);
    let shop = &frame["gauges"][0];
    assert_eq!((&shop["title"], &shop["name"]), (&"shop".into(), &"shop".into()));
    assert_eq!((&shop["limit"], &shop["in_flight"], &shop["in_line"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!((&shop["admitted"], &shop["refused"]["full"]), (&3.into(), &3.into()));
    assert_eq!(shop["times"]["count"], 1, "the one before nobody timed");
    assert_eq!(
        shop["priorities"],
        serde_json::json!([
            { "name": "normal", "admitted": 1, "refused": 1 },
            { "name": "low", "admitted": 0, "refused": 2 },
        ])
    );
    let refusals = frame["refusals"].as_array().unwrap();
    let shown: Vec<_> =
        refusals.iter().map(|one| (&one["request"], &one["count"], &one["priority"])).collect();
    assert_eq!(
        shown,
        [
            (&"GET /api/low".into(), &2.into(), &"low".into()),
            // What is behind the question mark may be anybody's secret.
            (&"GET /api/secret".into(), &1.into(), &"normal".into()),
        ]
    );
    assert_eq!(frame["routes"], serde_json::json!([{ "name": "work", "gauge": "shop", "requests": 3 }]));
}

#[tokio::test]
async fn gauges_of_one_name_are_told_apart() {
    let two = [PressureGauge::new(1), PressureGauge::new(2)];
    let app: Router = Dashboard::new(two).router();
    let frame = next(&mut ask(&app, "/events").await).await.unwrap();
    let titles: Vec<_> = frame["gauges"].as_array().unwrap().iter().map(|gauge| &gauge["title"]).collect();
    assert_eq!(titles, ["gauge", "gauge #2"]);
}

#[tokio::test]
async fn a_frame_says_whether_a_limit_is_pinned() {
    let gauge = PressureGauge::auto();
    let app: Router = Dashboard::new([gauge.clone()]).router();
    let mut stream = ask(&app, "/events").await;
    assert_eq!(next(&mut stream).await.unwrap()["gauges"][0]["pinned"], false);
    gauge.pin(30);
    let mut shown = Value::Null;
    while shown["pinned"] != true {
        shown = next(&mut stream).await.unwrap()["gauges"][0].take();
    }
    assert_eq!((&shown["limit"], &shown["why"]["reason"]), (&30.into(), &"pinned by an operator".into()));
}

#[tokio::test]
async fn the_page_is_of_one_origin_and_cannot_be_framed() {
    let app: Router = Dashboard::new([]).changes_at("\"><script>").router();
    for (path, content_type) in [("/", "text/html"), ("/?style", "text/css"), ("/?script", "text/javascript")]
    {
        let answer = ask(&app, path).await;
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(content_type), "{path}");
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path} names another origin");
        assert!(!text.contains("\"\"><script>"), "{path}");
    }
}

#[tokio::test]
async fn the_page_is_there_with_a_slash_behind_its_path_and_without() {
    let app = app(&PressureGauge::new(1));
    for path in ["/pressure", "/pressure/", "/pressure?script", "/pressure/?script"] {
        let answer = ask(&app, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        let is_script = text.starts_with(b"\"use strict\";\n");
        assert_eq!(is_script, path.ends_with("script"), "{path}");
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_gauges_are_drained() {
    let gauge = PressureGauge::new(1);
    let app = app(&gauge);
    let mut stream = ask(&app, "/pressure/events").await;
    next(&mut stream).await.unwrap();
    gauge.drain().await;
    while next(&mut stream).await.is_some() {}
    // Who comes later sees what there is.
    let mut late = ask(&app, "/pressure/events").await;
    for _ in 0..2 {
        assert_eq!(next(&mut late).await.unwrap()["gauges"][0]["closed"], true);
    }
}

#[tokio::test]
async fn there_is_a_bound_on_viewers_and_who_leaves_makes_room() {
    let app: Router = Dashboard::new([PressureGauge::new(1)]).router();
    let mut viewers = Vec::new();
    for _ in 0..32 {
        viewers.push(ask(&app, "/events").await);
    }
    assert_eq!(ask(&app, "/events").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    viewers.pop();
    assert_eq!(ask(&app, "/events").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_source_that_panics_ends_the_stream_and_the_next_viewer_begins_anew() {
    let fails = Arc::new(AtomicBool::new(false));
    let gauges = {
        let fails = Arc::clone(&fails);
        move || {
            assert!(!fails.load(Ordering::Relaxed), "somebody's mistake");
            vec![PressureGauge::new(1)]
        }
    };
    let app: Router = Dashboard::of(gauges).router();
    let mut stream = ask(&app, "/events").await;
    next(&mut stream).await.unwrap();
    fails.store(true, Ordering::Relaxed);
    while next(&mut stream).await.is_some() {}
    fails.store(false, Ordering::Relaxed);
    assert!(next(&mut ask(&app, "/events").await).await.is_some());
}

#[test]
fn a_runtime_that_ends_takes_no_later_viewer_along() {
    let app: Router = Dashboard::new([PressureGauge::new(1)]).router();
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _stream = runtime.block_on(async {
            let mut stream = ask(&app, "/events").await;
            next(&mut stream).await.unwrap();
            stream
        });
    }
}
