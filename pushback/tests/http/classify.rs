//! What a request is to the gauge, and whose word counts.

use http::HeaderMap;
use pushback::{
    Arrival, Outcome, Priority,
    http::{Classify, Trust},
};

use super::*;

/// Says what it saw of a request's headers, with the status that the request asks for.
#[derive(Clone, Default)]
struct Mirror(Arc<std::sync::Mutex<HeaderMap>>);

impl<Q> Service<Request<Q>> for Mirror {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        if let Ok(status) = request.uri().path()[1..].parse() {
            *response.status_mut() = status;
        }
        *self.0.lock().unwrap() = request.into_parts().0.headers;
        ready(Ok(response))
    }
}

fn with_headers(path: &str, headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = request(path);
    for (name, value) in headers {
        request.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request
}

/// Trusts whoever says so, as no service should.
fn trust() -> Trust {
    Trust::new(|request| request.headers.contains_key("trust-me")).deadline_header("x-timeout-ms").unwrap()
}

#[test]
fn exempt_paths_pass_a_full_gauge_and_take_no_place() {
    let gauge = PressureGauge::new(1);
    let held = gauge.try_acquire().unwrap();
    let classify = Classify::new().exempt(["/healthz"]).unwrap();
    let mut service = BackpressureLayer::new(gauge.clone()).classify(classify).layer(Fast);
    let mut status = |path| match Task::new(service.call(request(path))).poll() {
        Poll::Ready(Ok(response)) => response.status(),
        _ => panic!("it answers at once"),
    };
    assert_eq!(status("/healthz?verbose"), StatusCode::OK);
    assert_eq!(status("/healthz/"), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status("/"), StatusCode::TOO_MANY_REQUESTS);
    drop(held);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.admitted, snapshot.in_flight), (1, 0), "only the held place was ever taken");
}

#[test]
fn a_preflight_passes_if_it_is_said_and_so_does_what_else_is() {
    let gauge = PressureGauge::new(1);
    let _held = gauge.try_acquire().unwrap();
    let plain = BackpressureLayer::new(gauge.clone());
    let said = Classify::new()
        .exempt_if(|request| request.is_preflight())
        .exempt_if(|request| request.method == http::Method::GET && request.uri.path() == "/read");
    let said = plain.clone().classify(said);
    let status = |layer: &BackpressureLayer, method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = with_headers(path, headers);
        *request.method_mut() = method.parse().unwrap();
        match Task::new(layer.layer(Fast).call(request)).poll() {
            Poll::Ready(Ok(response)) => response.status(),
            _ => panic!("it answers at once"),
        }
    };
    let preflight = [("origin", "https://page.test"), ("access-control-request-method", "PUT")];
    assert_eq!(status(&plain, "OPTIONS", "/", &preflight), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(&said, "OPTIONS", "/", &preflight), StatusCode::OK);
    for (method, headers) in [("OPTIONS", &[][..]), ("OPTIONS", &preflight[..1]), ("PUT", &preflight)] {
        assert_eq!(
            status(&said, method, "/", headers),
            StatusCode::TOO_MANY_REQUESTS,
            "{method} {headers:?}"
        );
    }
    assert_eq!(status(&said, "GET", "/read", &[]), StatusCode::OK);
    assert_eq!(status(&said, "PUT", "/read", &[]), StatusCode::TOO_MANY_REQUESTS);
}

#[test]
fn a_route_has_a_cost_and_a_priority() {
    let gauge = PressureGauge::builder().limit(3).line(Line::fifo(10)).build().unwrap();
    let classify = Classify::new().arrival(|request| match request.uri.path() {
        "/report" => Arrival::new().cost(3).priority(Priority::Background),
        "/checkout" => Arrival::new().priority(Priority::Critical),
        _ => Arrival::new(),
    });
    let mut service = BackpressureLayer::waiting(gauge.clone()).classify(classify).layer(Fast);
    let Poll::Ready(Ok(report)) = Task::new(service.call(request("/report"))).poll() else {
        panic!("it is free")
    };
    assert_eq!(gauge.snapshot().in_flight, 3);
    let mut waiting = ["/report", "/other", "/checkout"].map(|path| Task::new(service.call(request(path))));
    assert!(waiting.iter_mut().all(|task| task.poll().is_pending()));
    drop(report);
    let rung: Vec<bool> = waiting.iter().map(|task| task.rung() > 0).collect();
    assert_eq!(rung, [false, true, true], "the report waits for all three places");
}

#[test]
fn priority_counts_from_trusted_peers_and_is_taken_off_others() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(10)).build().unwrap();
    let mirror = Mirror::default();
    let layer = BackpressureLayer::waiting(gauge.clone()).classify(Classify::new().trust(trust()));
    let mut service = layer.layer(mirror.clone());
    let held = gauge.try_acquire().unwrap();
    let mut stranger =
        Task::new(service.call(with_headers("/", &[("priority", "u=0"), ("x-timeout-ms", "5")])));
    let mut peer = Task::new(service.call(with_headers("/", &[("priority", "u=0"), ("trust-me", "yes")])));
    assert!(stranger.poll().is_pending() && peer.poll().is_pending());
    drop(held);
    assert_eq!((stranger.rung(), peer.rung()), (0, 1), "whoever came later is more important");
    assert!(peer.poll().is_ready());
    assert!(mirror.0.lock().unwrap().contains_key("priority"));
    assert!(stranger.poll().is_ready());
    let seen = mirror.0.lock().unwrap();
    assert!(!seen.contains_key("priority") && !seen.contains_key("x-timeout-ms"), "{seen:?}");
}

#[test]
fn on_exempt_paths_too_a_stranger_may_not_say_more() {
    let mirror = Mirror::default();
    let classify = Classify::new().trust(trust()).exempt(["/healthz"]).unwrap();
    let mut service = BackpressureLayer::new(PressureGauge::new(1)).classify(classify).layer(mirror.clone());
    assert!(Task::new(service.call(with_headers("/healthz", &[("priority", "u=0")]))).poll().is_ready());
    assert!(mirror.0.lock().unwrap().is_empty());
}

#[test]
fn deadlines_count_from_trusted_peers_only_and_the_soonest_counts() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let layer = BackpressureLayer::waiting(gauge.clone()).classify(Classify::new().trust(trust()));
    let _held = gauge.try_acquire().unwrap();
    for (headers, expired) in [
        (&[("trust-me", "yes"), ("grpc-timeout", "100m")][..], true),
        (&[("trust-me", "yes"), ("x-timeout-ms", "100")], true),
        (&[("trust-me", "yes"), ("x-timeout-ms", "9000"), ("grpc-timeout", "100m")], true),
        (&[("trust-me", "yes"), ("x-timeout-ms", "9000"), ("x-timeout-ms", "100")], true),
        (&[("trust-me", "yes"), ("x-timeout-ms", "101")], false),
        (&[("trust-me", "yes"), ("x-timeout-ms", "soon")], false),
        (&[("x-timeout-ms", "100"), ("grpc-timeout", "100m")], false),
    ] {
        let mut task = Task::new(layer.layer(Fast).call(with_headers("/", headers)));
        assert!(task.poll().is_pending());
        clock.advance(Duration::from_millis(100));
        assert_eq!(task.poll().is_ready(), expired, "{headers:?}");
    }
}

#[test]
fn trusted_peers_learn_the_reason_and_others_do_not() {
    let gauge = PressureGauge::new(1);
    let _held = gauge.try_acquire().unwrap();
    let layer = BackpressureLayer::new(gauge.clone()).classify(Classify::new().trust(trust()));
    let (head, _) = refusal(&layer, &[("trust-me", "yes")]);
    assert_eq!(head.headers()["pushback-reason"], "full");
    let (head, _) = refusal(&layer, &[("trust-me", "yes"), ("content-type", "application/grpc")]);
    assert_eq!(head.headers()["pushback-reason"], "full");
    assert!(!refusal(&layer, &[]).0.headers().contains_key("pushback-reason"));
}

#[test]
fn grpc_callers_are_told_of_a_quota_and_of_a_passed_deadline_in_their_own_codes() {
    let gauge = PressureGauge::new(1);
    let held = gauge.try_acquire().unwrap();
    let grpc = ("content-type", "application/grpc");
    let told = |layer: &BackpressureLayer, headers: &[(&str, &str)]| {
        let (head, _) = refusal(layer, headers);
        let has_pushback = head.headers().contains_key("grpc-retry-pushback-ms");
        (head.headers()["grpc-status"].to_str().unwrap().to_owned(), has_pushback)
    };
    let layer = BackpressureLayer::new(gauge.clone()).classify(Classify::new().trust(trust()));
    assert_eq!(told(&layer, &[grpc]), ("14".to_owned(), true), "UNAVAILABLE");
    let quota = layer.clone().reply(Reply::new().quota());
    assert_eq!(told(&quota, &[grpc]), ("8".to_owned(), true), "RESOURCE_EXHAUSTED");
    let expired = [grpc, ("trust-me", "yes"), ("grpc-timeout", "0m")];
    for layer in [&layer, &quota] {
        assert_eq!(told(layer, &expired), ("4".to_owned(), false), "DEADLINE_EXCEEDED");
    }
    drop(held);
    gauge.close();
    assert_eq!(
        told(&quota, &[grpc]),
        ("14".to_owned(), false),
        "a server that goes away is not a quota, and another one may do"
    );
}

#[test]
fn a_status_says_how_the_call_went_or_a_closure_does() {
    let counts = |classify: Classify, paths: &[&str]| {
        let gauge = PressureGauge::new(1);
        let mut service = BackpressureLayer::new(gauge.clone()).classify(classify).layer(Mirror::default());
        for path in paths {
            assert!(Task::new(service.call(request(path))).poll().is_ready());
        }
        let snapshot = gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.admitted), (0, paths.len() as u64));
        (snapshot.overloaded, snapshot.ignored)
    };
    let paths = ["/200", "/304", "/404", "/500", "/429", "/503", "/504", "/408"];
    assert_eq!(counts(Classify::new(), &paths), (4, 2));
    let only_500 = Classify::new().outcome(|response| {
        if response.status == StatusCode::INTERNAL_SERVER_ERROR {
            Outcome::Overload
        } else {
            Outcome::Success
        }
    });
    assert_eq!(counts(only_500, &paths), (1, 0));
}

#[test]
fn a_first_attempt_goes_before_a_retry_unless_they_are_equal() {
    for lower in [true, false] {
        let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
        let _held = gauge.try_acquire().unwrap();
        let classify = Classify::new().retries_rank_lower(lower);
        let mut service = BackpressureLayer::waiting(gauge.clone()).classify(classify).layer(Fast);
        let mut retry = Task::new(service.call(with_headers("/", &[("x-envoy-attempt-count", "2")])));
        assert!(retry.poll().is_pending());
        let mut first = Task::new(service.call(request("/")));
        assert_eq!(first.poll().is_pending(), lower);
        assert_eq!(retry.poll_if_rung().is_ready(), lower, "it made way");
        let reason = if lower { Reason::Displaced } else { Reason::LineFull };
        assert_eq!((gauge.snapshot().refused.by(reason), gauge.snapshot().retries), (1, 1));
    }
}
