//! How long a place is held, and who loses it.

use std::{collections::VecDeque, sync::Mutex, task::Waker};

use axum::Extension;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body::{Body as _, Frame};
use pushback::http::{Hold, Place, ReaderStalled, ResponseBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::wire::{Flood, ask, head, line, send, serve, until};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const STALL: Duration = Duration::from_secs(10);
/// A stall is found within a quarter of the bound, and half a second more for the sweep's own period.
const STALL_FOUND: Duration = Duration::from_secs(13);

/// A body that does what it was told, and has nothing to say after that.
struct Scripted {
    steps: VecDeque<Step>,
    /// What a service's body holds, as it would a file.
    _file: Arc<()>,
}

#[derive(Clone, Copy)]
enum Step {
    Data(&'static str),
    GrpcStatus(&'static str),
    Fail,
    End,
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(step) = self.steps.pop_front() else { return Poll::Pending };
        Poll::Ready(match step {
            Step::Data(text) => Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Step::GrpcStatus(status) => {
                let name = HeaderName::from_static("grpc-status");
                let trailers = HeaderMap::from_iter([(name, HeaderValue::from_static(status))]);
                Some(Ok(Frame::trailers(trailers)))
            }
            Step::Fail => Some(Err("the service broke off")),
            Step::End => None,
        })
    }
}

/// Answers with a scripted body, once.
#[derive(Clone)]
struct Says(Arc<Mutex<VecDeque<Step>>>, Arc<()>);

impl<Q> Service<Request<Q>> for Says {
    type Response = Response<Scripted>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let steps = std::mem::take(&mut *self.0.lock().unwrap());
        let is_grpc = request.headers().contains_key(header::CONTENT_TYPE);
        let mut response = Response::new(Scripted { steps, _file: self.1.clone() });
        if is_grpc {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        }
        ready(Ok(response))
    }
}

/// A gauge of one place, and a response that came as far as its head.
struct Answered {
    gauge: PressureGauge,
    clock: ManualClock,
    body: Pin<Box<ResponseBody<Scripted>>>,
    /// What the service's body holds.
    file: std::sync::Weak<()>,
}

impl Answered {
    fn with(steps: &[Step]) -> Self {
        Answered::to(request("/"), steps)
    }

    fn grpc(steps: &[Step]) -> Self {
        let mut request = request("/");
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = Method::POST;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Answered::to(request, steps)
    }

    fn to(request: Request<Empty<Bytes>>, steps: &[Step]) -> Self {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
        let held_by_body = Arc::new(());
        let says = Says(Arc::new(Mutex::new(steps.iter().copied().collect())), held_by_body.clone());
        let mut service = BackpressureLayer::new(gauge.clone()).layer(says);
        let Poll::Ready(Ok(response)) = Task::new(service.call(request)).poll() else { panic!("it is free") };
        drop(service);
        let file = Arc::downgrade(&held_by_body);
        Answered { gauge, clock, body: Box::pin(response.into_body()), file }
    }

    fn next(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    fn reads(&mut self, expected: &str) {
        let Poll::Ready(Some(Ok(frame))) = self.next() else { panic!("the body goes on") };
        assert_eq!(frame.into_data().unwrap(), expected);
    }

    fn in_flight(&self) -> u32 {
        self.gauge.snapshot().in_flight
    }
}

#[test]
fn a_reader_that_stalls_loses_the_place_and_its_body_ends_with_an_error() {
    let mut answer = Answered::with(&[Step::Data("one"), Step::Data("two"), Step::Data("three"), Step::End]);
    answer.reads("one");
    answer.clock.advance(STALL);
    assert_eq!(answer.in_flight(), 1, "it may take as long as the bound");
    answer.reads("two");
    answer.clock.advance(STALL);
    assert_eq!(answer.in_flight(), 1, "and begins anew with each part");
    answer.clock.advance(STALL_FOUND - STALL);
    assert_eq!(answer.in_flight(), 0, "while nobody reads, the place goes to somebody else");
    let Poll::Ready(Some(Err(error))) = answer.next() else { panic!("the body was ended") };
    assert!(error.is::<ReaderStalled>(), "{error}");
}

#[test]
fn a_body_that_is_never_asked_for_loses_the_place() {
    let answer = Answered::with(&[Step::Data("one")]);
    answer.clock.advance(STALL);
    assert_eq!(answer.in_flight(), 1);
    assert!(answer.file.upgrade().is_some());
    answer.clock.advance(STALL_FOUND - STALL);
    assert_eq!(answer.in_flight(), 0);
    // And what the body holds is let go, though nobody asked.
    while answer.file.upgrade().is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn a_large_part_is_handed_over_in_several_so_that_slow_readers_are_seen_to_go_on() {
    static LARGE: [u8; 200 << 10] = [b'x'; 200 << 10];
    let large = std::str::from_utf8(&LARGE).unwrap();
    let mut answer = Answered::with(&[Step::Data(large), Step::Data("end"), Step::End]);
    let mut lengths = Vec::new();
    while answer.in_flight() == 1 {
        answer.clock.advance(STALL);
        match answer.next() {
            Poll::Ready(Some(Ok(frame))) => lengths.push(frame.into_data().unwrap().len()),
            Poll::Ready(None) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(lengths, [64 << 10, 64 << 10, 64 << 10, 8 << 10, 3]);
    assert_eq!(answer.in_flight(), 0);
}

#[test]
fn a_service_that_is_silent_is_nobodys_stall() {
    let mut answer = Answered::with(&[Step::Data("event")]);
    answer.reads("event");
    assert!(answer.next().is_pending(), "the reader is there");
    answer.clock.advance(STALL * 1_000);
    assert_eq!(answer.in_flight(), 1, "server-sent events hold their place as long as they last");
    assert!(answer.next().is_pending());
}

/// Panics when it is asked for its second part.
struct Fragile(bool);

impl http_body::Body for Fragile {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        assert!(!std::mem::replace(&mut self.0, true), "the body panics");
        Poll::Ready(Some(Ok(Frame::data("first".into()))))
    }
}

#[test]
fn a_body_that_panics_gives_the_place_back_and_is_no_success() {
    let gauge = PressureGauge::new(1);
    let fragile = tower::service_fn(async |_| Ok::<_, Infallible>(Response::new(Fragile(false))));
    let mut service = BackpressureLayer::new(gauge.clone()).layer(fragile);
    let Poll::Ready(Ok(response)) = Task::new(service.call(request("/"))).poll() else {
        panic!("it is free")
    };
    let mut body = response.into_body();
    assert!(matches!(Task::new(body.frame()).poll(), Poll::Ready(Some(Ok(_)))));
    assert!(catch_unwind(AssertUnwindSafe(|| Task::new(body.frame()).poll().is_ready())).is_err());
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.ignored, snapshot.faults), (0, 1, 0));
}

#[test]
fn ten_slow_readers_do_not_freeze_a_limit_of_ten() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(10).clock(clock.clone()).build().unwrap();
    let mut service = BackpressureLayer::new(gauge.clone()).layer(Fast);
    let mut call = || match Task::new(service.call(request("/"))).poll() {
        Poll::Ready(Ok(response)) => response,
        other => panic!("it answers at once: {:?}", other.is_pending()),
    };
    let slow: Vec<_> = (0..10).map(|_| call()).collect();
    assert_eq!(call().status(), StatusCode::TOO_MANY_REQUESTS);
    clock.advance(STALL_FOUND);
    assert_eq!(call().status(), StatusCode::OK);
    drop(slow);
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[test]
fn the_stall_bound_is_a_setting_and_one_out_of_range_is_an_error() {
    let layer = BackpressureLayer::new(PressureGauge::new(1));
    assert!(layer.clone().stall(Duration::from_millis(1)).is_ok());
    for bound in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(24 * 3600 + 1)] {
        let error = layer.clone().stall(bound).unwrap_err();
        assert_eq!(
            (error.key(), error.to_string()),
            ("stall", format!("stall is {bound:?}; allowed: 1 ms to 24 h"))
        );
    }
}

#[test]
fn what_ends_a_body_says_how_the_call_went() {
    let ended = |mut answer: Answered| {
        while let Poll::Ready(Some(Ok(_))) = answer.next() {}
        let snapshot = answer.gauge.snapshot();
        assert_eq!(snapshot.in_flight, 0);
        (snapshot.overloaded, snapshot.ignored, snapshot.cancelled)
    };
    assert_eq!(ended(Answered::with(&[Step::Data("all"), Step::End])), (0, 0, 0));
    assert_eq!(ended(Answered::with(&[Step::Data("half"), Step::Fail])), (0, 1, 0), "the service broke off");
    for (status, expected) in [("0", (0, 0, 0)), ("5", (0, 1, 0)), ("14", (1, 0, 0)), ("1", (0, 0, 1))] {
        let steps = [Step::Data("message"), Step::GrpcStatus(status), Step::End];
        assert_eq!(ended(Answered::grpc(&steps)), expected, "grpc-status {status}");
    }
    assert_eq!(
        ended(Answered::grpc(&[Step::Data("message"), Step::End])),
        (0, 1, 0),
        "the service said nothing"
    );
    let unread = Answered::grpc(&[Step::Data("message")]);
    drop(unread.body);
    assert_eq!(unread.gauge.snapshot().cancelled, 1, "nobody waited for the trailers");
}

#[test]
fn a_place_held_to_the_head_is_given_back_with_it() {
    let gauge = PressureGauge::new(1);
    let mut service = BackpressureLayer::new(gauge.clone()).hold(Hold::Head).layer(Fast);
    let response = Task::new(service.call(request("/"))).poll();
    assert!(matches!(response, Poll::Ready(Ok(_))));
    assert_eq!(gauge.snapshot().in_flight, 0, "the body is not read yet");
}

#[test]
fn a_place_held_for_a_task_is_given_back_when_the_task_lets_go_of_it() {
    let gauge = PressureGauge::new(1);
    let kept = Arc::new(Mutex::new(None));
    let app = Router::new().route(
        "/",
        get({
            let kept = kept.clone();
            async move |Extension(place): Extension<Place>| {
                *kept.lock().unwrap() = Some(place);
                "started"
            }
        }),
    );
    let app = app.layer(BackpressureLayer::new(gauge.clone()).hold(Hold::Task));
    let response =
        smol::block_on(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap())).unwrap();
    drop(response);
    assert_eq!(gauge.snapshot().in_flight, 1, "the task goes on");
    kept.lock().unwrap().take().unwrap().record(pushback::Outcome::Overload);
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().overloaded), (0, 1));

    drop(smol::block_on(app.clone().oneshot(Request::get("/").body(Body::empty()).unwrap())));
    let place = kept.lock().unwrap().take().unwrap();
    let job = std::thread::spawn(move || {
        let _place = place;
        panic!("the job fails");
    });
    assert!(job.join().is_err());
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().ignored), (0, 1), "and it is no success");

    let missing = Request::get("/missing").body(Body::empty()).unwrap();
    drop(smol::block_on(app.oneshot(missing)));
    assert_eq!(gauge.snapshot().in_flight, 0, "whoever does not take it holds it to the head");
}

#[test]
fn an_answer_that_is_known_to_have_no_body_holds_no_place() {
    let gauge = PressureGauge::new(1);
    let empty = tower::service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let mut service = BackpressureLayer::new(gauge.clone()).layer(empty);
    let response = Task::new(service.call(request("/"))).poll();
    assert!(response.is_ready());
    assert_eq!(gauge.snapshot().in_flight, 0, "nobody has asked for the body");
}

#[tokio::test]
async fn answers_without_a_body_give_the_place_back_at_the_head() {
    let gauge = PressureGauge::new(1);
    let app = Router::new()
        .route("/", get(async || "this is for GET"))
        .route("/204", get(async || StatusCode::NO_CONTENT))
        .route("/304", get(async || StatusCode::NOT_MODIFIED))
        .layer(BackpressureLayer::new(gauge.clone()));
    let address = serve(app).await;
    for (request, status) in
        [("HEAD /", "200 OK"), ("GET /204", "204 No Content"), ("GET /304", "304 Not Modified")]
    {
        let mut connection = send(&address, &format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
        assert!(head(&mut connection).await.starts_with(&format!("HTTP/1.1 {status}\r\n")));
        until(|| gauge.snapshot().in_flight == 0).await;
        assert_eq!(gauge.snapshot().cancelled, 0);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_of_a_body_gives_the_place_back() {
    let gauge = PressureGauge::new(1);
    let endless = get(async || Body::new(Flood));
    let app = Router::new().route("/", endless).layer(BackpressureLayer::new(gauge.clone()));
    let address = serve(app).await;
    let mut connection = ask(&address).await;
    assert!(head(&mut connection).await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(gauge.snapshot().in_flight, 1);
    drop(connection);
    until(|| gauge.snapshot().in_flight == 0).await;
}

/// Takes the connection over, says a word on it, and lets go when it is told or the peer goes away.
async fn take_over(place: Option<Extension<Place>>, mut request: axum::extract::Request) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut connection = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
        connection.write_all(b"over\r\n").await.unwrap();
        let _ = connection.read_u8().await;
        drop(place);
    });
    let mut response = Response::new(Body::empty());
    if request.method() != http::Method::CONNECT {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("words"));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    response
}

#[tokio::test]
async fn an_upgraded_connection_holds_its_place_if_its_task_keeps_it_and_else_to_the_head() {
    for (hold, in_flight_after) in [(Hold::Body, 0), (Hold::Head, 0), (Hold::Task, 1)] {
        let gauge = PressureGauge::new(1);
        let app = Router::new().fallback(take_over).layer(BackpressureLayer::new(gauge.clone()).hold(hold));
        let address = serve(app).await;
        for first_line in
            ["GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: words", "CONNECT a.example:443 HTTP/1.1"]
        {
            let mut connection = send(&address, &format!("{first_line}\r\nHost: a.example\r\n\r\n")).await;
            let head = head(&mut connection).await;
            assert!(head.starts_with("HTTP/1.1 101") || head.starts_with("HTTP/1.1 200"), "{head}");
            assert_eq!(line(&mut connection).await, "over\r\n");
            assert_eq!(gauge.snapshot().in_flight, in_flight_after, "{hold:?} {first_line}");
            drop(connection);
            until(|| gauge.snapshot().in_flight == 0).await;
        }
    }
}
