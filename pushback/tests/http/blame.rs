//! Who is to blame decides what the gauge is told, never the status alone: the table in docs/outcomes.md, row by row.

use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use pushback::{Outcome, Snapshot};
use tokio::sync::oneshot;

use super::*;

/// How far the request's body is when its call ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Body {
    None,
    /// The handler has not asked for it.
    Unread,
    /// The handler waits for the rest of it.
    Awaited,
    Read,
    /// It broke off, or was malformed.
    Broken,
    Stalled,
}

/// How it ends.
enum End {
    /// The caller goes away, or an outer time-out ends the call.
    Leaves,
    Answers(http::response::Builder),
    Fails,
    Panics,
}

type Ended = Result<Response<Empty<Bytes>>, &'static str>;
type Upload = Channel<Bytes, std::io::Error>;
type Coming = pushback::http::RequestBody<http_body_util::Either<Upload, Empty<Bytes>>>;

/// What the gauge is told of a call that ends so.
fn told(request: http::request::Builder, body: Body, end: End) -> Snapshot {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let (sender, channel) = Upload::new(8);
    let (end_it, ends) = oneshot::channel::<Option<Ended>>();
    let (ends, hands) = (Arc::new(std::sync::Mutex::new(Some(ends))), Arc::new(std::sync::Mutex::new(None)));
    let handed = Arc::clone(&hands);
    let service = tower::service_fn(move |request: Request<Coming>| {
        *handed.lock().unwrap() = Some(request.into_body());
        let ends = ends.lock().unwrap().take().unwrap();
        async move { ends.await.unwrap().expect("as this test wants") }
    });
    let layer = BackpressureLayer::new(gauge.clone()).body_buffer(0).unwrap();
    let channel = match body {
        Body::None => http_body_util::Either::Right(Empty::new()),
        _ => http_body_util::Either::Left(channel),
    };
    let mut call = Task::new(layer.layer(service).call(request.body(channel).unwrap()));
    assert!(call.poll().is_pending());
    let mut coming = hands.lock().unwrap().take().unwrap();
    send(body, sender, &mut coming, &clock);
    match end {
        End::Leaves => (),
        End::Answers(response) => {
            end_it.send(Some(Ok(response.body(Empty::new()).unwrap()))).unwrap();
            assert!(call.poll().is_ready());
        }
        End::Fails => {
            end_it.send(Some(Err("it failed"))).unwrap();
            assert!(call.poll().is_ready());
        }
        End::Panics => {
            end_it.send(None).unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| call.poll().is_ready())).is_err());
        }
    }
    drop(call);
    gauge.snapshot()
}

fn send(body: Body, mut sender: Sender<Bytes, std::io::Error>, coming: &mut Coming, clock: &ManualClock) {
    let mut next = || Task::new(coming.frame()).poll();
    if matches!(body, Body::None | Body::Unread) {
        std::mem::forget(sender); // it goes on
        return;
    }
    assert!(sender.try_send(Frame::data("part".into())).is_ok());
    assert!(matches!(next(), Poll::Ready(Some(Ok(_)))));
    match body {
        Body::Awaited => assert!(next().is_pending()),
        Body::Read => {
            drop(sender);
            assert!(matches!(next(), Poll::Ready(None)));
            return;
        }
        Body::Broken => {
            sender.abort(std::io::ErrorKind::UnexpectedEof.into());
            assert!(matches!(next(), Poll::Ready(Some(Err(_)))));
            return;
        }
        Body::Stalled => {
            let mut waiting = Task::new(coming.frame());
            assert!(waiting.poll().is_pending());
            clock.advance(Duration::from_secs(15));
            assert!(matches!(waiting.poll(), Poll::Ready(Some(Err(_)))));
        }
        Body::None | Body::Unread => unreachable!(),
    }
    std::mem::forget(sender);
}

/// Nothing of a success, which is not counted apart, is told.
fn outcome(snapshot: &Snapshot) -> Outcome {
    assert_eq!((snapshot.admitted, snapshot.in_flight), (1, 0));
    match (snapshot.overloaded, snapshot.ignored, snapshot.cancelled) {
        (0, 0, 0) => Outcome::Success,
        (1, 0, 0) => Outcome::Overload,
        (0, 1, 0) => Outcome::Ignore,
        (0, 0, 1) => Outcome::Cancelled,
        counts => panic!("{counts:?}"),
    }
}

#[test]
fn a_client_that_leaves_is_cancelled_once_the_service_has_its_request_and_ignored_before() {
    for (body, expected) in [
        (Body::None, Outcome::Cancelled),
        (Body::Read, Outcome::Cancelled),
        (Body::Unread, Outcome::Ignore),
        (Body::Awaited, Outcome::Ignore),
        (Body::Broken, Outcome::Ignore),
        (Body::Stalled, Outcome::Ignore),
    ] {
        assert_eq!(outcome(&told(Request::post("/"), body, End::Leaves)), expected, "{body:?}");
    }
}

#[test]
fn a_status_counts_only_if_the_sender_did_his_part() {
    for (status, whole, awaited) in [
        (200, Outcome::Success, Outcome::Success),
        (304, Outcome::Success, Outcome::Success),
        (400, Outcome::Ignore, Outcome::Ignore),
        (404, Outcome::Ignore, Outcome::Ignore),
        (408, Outcome::Overload, Outcome::Ignore),
        (413, Outcome::Ignore, Outcome::Ignore),
        (429, Outcome::Overload, Outcome::Overload),
        (500, Outcome::Ignore, Outcome::Ignore),
        (502, Outcome::Ignore, Outcome::Ignore),
        (503, Outcome::Overload, Outcome::Overload),
        (504, Outcome::Overload, Outcome::Ignore),
    ] {
        for (body, expected) in [
            (Body::None, whole),
            (Body::Read, whole),
            (Body::Unread, whole),
            (Body::Awaited, awaited),
            (Body::Broken, Outcome::Ignore),
            (Body::Stalled, Outcome::Ignore),
        ] {
            let answer = End::Answers(Response::builder().status(status));
            assert_eq!(outcome(&told(Request::post("/"), body, answer)), expected, "{status}, {body:?}");
        }
    }
}

#[test]
fn a_grpc_status_counts_only_if_the_caller_did_not_bring_it_about() {
    for (status, body, with_timeout, expected) in [
        ("0", Body::Read, true, Outcome::Success),
        ("1", Body::Read, true, Outcome::Cancelled),
        ("4", Body::Read, false, Outcome::Overload),
        ("4", Body::Read, true, Outcome::Cancelled),
        ("4", Body::Awaited, false, Outcome::Ignore),
        ("8", Body::Read, false, Outcome::Overload),
        ("8", Body::Unread, false, Outcome::Ignore),
        ("8", Body::Awaited, false, Outcome::Ignore),
        ("14", Body::Read, true, Outcome::Overload),
        ("13", Body::Read, true, Outcome::Ignore),
        ("14", Body::Broken, false, Outcome::Ignore),
    ] {
        let mut request = Request::post("/").header(header::CONTENT_TYPE, "application/grpc");
        if with_timeout {
            request = request.header("grpc-timeout", "1m");
        }
        let answer = Response::builder()
            .header(header::CONTENT_TYPE, "application/grpc")
            .header("grpc-status", status);
        let seen = outcome(&told(request, body, End::Answers(answer)));
        assert_eq!(seen, expected, "{status}, {body:?}, {with_timeout}");
    }
}

#[test]
fn failures_and_panics_say_nothing() {
    for body in [Body::None, Body::Read, Body::Awaited, Body::Broken] {
        assert_eq!(outcome(&told(Request::post("/"), body, End::Fails)), Outcome::Ignore, "{body:?}");
        assert_eq!(outcome(&told(Request::post("/"), body, End::Panics)), Outcome::Ignore, "{body:?}");
    }
}

#[test]
fn a_handler_that_knows_better_says_so_but_not_of_a_sender_who_failed() {
    for (said, body, expected) in [
        (Outcome::Ignore, Body::Read, Outcome::Ignore),
        (Outcome::Overload, Body::None, Outcome::Overload),
        (Outcome::Overload, Body::Broken, Outcome::Ignore),
    ] {
        let answer = End::Answers(
            Response::builder().status(if body == Body::Read { 503 } else { 200 }).extension(said),
        );
        assert_eq!(outcome(&told(Request::post("/"), body, answer)), expected, "{said:?}, {body:?}");
    }
}
