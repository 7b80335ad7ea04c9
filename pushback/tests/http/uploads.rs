//! Requests with bodies: those that are refused, and those that never end.

use axum::{body::to_bytes, extract::Request as AxumRequest, response::IntoResponse, routing::post};
use http_body::Frame;
use http_body_util::channel::Channel;
use pushback::http::{RequestBody, SenderStalled};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::wire::{PATIENCE, head, line, send, serve, until};

const MIB: usize = 1 << 20;

/// Reads all that is sent, and says how much it was, or what went wrong.
async fn receive(request: AxumRequest) -> Response<Body> {
    match to_bytes(request.into_body(), usize::MAX).await {
        Ok(all) => format!("{} bytes", all.len()).into_response(),
        Err(error) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                if error.is::<SenderStalled>() {
                    return StatusCode::REQUEST_TIMEOUT.into_response();
                }
                cause = error.source();
            }
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

struct Server {
    address: String,
    gauge: PressureGauge,
    clock: ManualClock,
}

/// A server whose handlers read bodies from their first byte on.
async fn server() -> Server {
    server_with(|layer| layer.body_buffer(0).unwrap()).await
}

async fn server_with(settings: impl Fn(BackpressureLayer) -> BackpressureLayer) -> Server {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let layer = settings(BackpressureLayer::new(gauge.clone()));
    let app = Router::new().route("/", post(receive)).layer(layer);
    Server { address: serve(app).await, gauge, clock }
}

impl Server {
    async fn begins(&self, length: usize, more: &str) -> TcpStream {
        send(&self.address, &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n"))
            .await
    }
}

#[tokio::test]
async fn a_refused_client_that_sends_its_whole_upload_first_reads_the_answer_and_no_reset() {
    let server = server().await;
    let held = server.gauge.try_acquire().unwrap();
    for _ in 0..20 {
        let mut connection = server.begins(2 * MIB, "").await;
        // Much more than what fits into the buffers of both systems, so that somebody must read it.
        connection.write_all(&vec![b'x'; 2 * MIB]).await.unwrap();
        assert!(head(&mut connection).await.starts_with("HTTP/1.1 429 "));
        let mut text = [0; 17];
        connection.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"Too many requests");
        // The connection is as good as before.
        connection.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(line(&mut connection).await, "HTTP/1.1 429 Too Many Requests\r\n");
    }
    drop(held);
}

#[tokio::test]
async fn under_expect_100_continue_nothing_is_asked_for() {
    let server = server().await;
    let held = server.gauge.try_acquire().unwrap();
    let mut connection = server.begins(MIB, "Expect: 100-continue\r\n").await;
    assert!(head(&mut connection).await.starts_with("HTTP/1.1 429 "), "and not 100");
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, connection.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "nobody waits for more, for time stands still");
    drop(held);
    let mut connection = server.begins(MIB, "Expect: 100-continue\r\n").await;
    assert_eq!(head(&mut connection).await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(server.gauge.snapshot().in_flight, 1, "1xx is no answer yet");
    connection.write_all(&vec![b'x'; MIB]).await.unwrap();
    assert!(head(&mut connection).await.starts_with("HTTP/1.1 200 "));
    until(|| server.gauge.snapshot().in_flight == 0).await;
}

#[tokio::test]
async fn what_is_read_on_is_bounded_in_bytes() {
    let server = server().await;
    let _held = server.gauge.try_acquire().unwrap();
    let mut connection = server.begins(1 << 30, "").await;
    let (mut read, mut write) = connection.split();
    // The client sends as fast as it can, and is cut off long before its gigabyte.
    let sent = async {
        let mut sent = 0;
        while write.write_all(&[b'x'; 64 << 10]).await.is_ok() {
            sent += 64 << 10;
        }
        sent
    };
    let heard = async {
        let mut start = [0; 12];
        read.read_exact(&mut start).await.map(|_| start)
    };
    let (sent, heard) = tokio::join!(sent, heard);
    assert_eq!(&heard.unwrap(), b"HTTP/1.1 429");
    // What the systems buffer comes on top of the 4 MiB.
    assert!((4 * MIB..64 * MIB).contains(&sent), "{sent} bytes");
}

#[tokio::test]
async fn what_is_read_on_is_bounded_in_time() {
    let server = server().await;
    let _held = server.gauge.try_acquire().unwrap();
    let mut connection = server.begins(MIB, "").await;
    assert!(head(&mut connection).await.starts_with("HTTP/1.1 429 "));
    let closed = async {
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest).await; // an end or a reset, as the system likes it
    };
    let later = async {
        loop {
            server.clock.advance(Duration::from_millis(100));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = closed => (),
        () = later => (),
        () = tokio::time::sleep(PATIENCE) => panic!("it is read for ever"),
    }
}

#[tokio::test]
async fn a_sender_that_stalls_gives_the_place_back() {
    let server = server().await;
    let mut connection = server.begins(10, "").await;
    connection.write_all(b"half").await.unwrap();
    until(|| server.gauge.snapshot().in_flight == 1).await;
    let answer = async { line(&mut connection).await };
    let later = async {
        loop {
            server.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! { line = answer => line, () = later => unreachable!() };
    assert_eq!(answer, "HTTP/1.1 408 Request Timeout\r\n");
    until(|| server.gauge.snapshot().in_flight == 0).await;
    let snapshot = server.gauge.snapshot();
    assert_eq!(
        (snapshot.ignored, snapshot.overloaded),
        (1, 0),
        "it was the sender who was slow, not the service"
    );
}

/// Hands its caller the request's body, as a handler sees it.
#[derive(Clone, Default)]
struct Hands(Arc<std::sync::Mutex<Option<RequestBody<Channel<Bytes>>>>>);

impl Service<Request<RequestBody<Channel<Bytes>>>> for Hands {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Pending<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Channel<Bytes>>>) -> Self::Future {
        *self.0.lock().unwrap() = Some(request.into_body());
        std::future::pending()
    }
}

#[test]
fn only_the_time_that_the_handler_waits_for_the_sender_counts_as_a_stall() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let hands = Hands::default();
    let (mut sender, body) = Channel::<Bytes>::new(8);
    let layer = BackpressureLayer::new(gauge).least_rate(0).body_buffer(0).unwrap();
    let mut service = layer.layer(hands.clone());
    let mut call = Task::new(service.call(Request::post("/").body(body).unwrap()));
    assert!(call.poll().is_pending());
    let mut body = hands.0.lock().unwrap().take().unwrap();
    for _ in 0..5 {
        assert!(Task::new(body.frame()).poll().is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(sender.try_send(Frame::data("part".into())).is_ok());
        assert!(matches!(Task::new(body.frame()).poll(), Poll::Ready(Some(Ok(_)))), "it came in time");
        clock.advance(Duration::from_secs(3_600)); // the handler works on the part
    }
    let mut reading = Task::new(body.frame());
    assert!(reading.poll().is_pending());
    clock.advance(Duration::from_secs(13));
    let Poll::Ready(Some(Err(error))) = reading.poll_if_rung() else { panic!("the sender has stalled") };
    assert!(error.is::<SenderStalled>(), "{error}");
}

/// Answers at once and goes on reading, as a gRPC call with streams both ways does.
#[derive(Clone, Default)]
struct BothWays(Arc<std::sync::Mutex<Option<RequestBody<Channel<Bytes>>>>>);

impl Service<Request<RequestBody<Channel<Bytes>>>> for BothWays {
    type Response = Response<Channel<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody<Channel<Bytes>>>) -> Self::Future {
        let mut body = request.into_body();
        assert!(Task::new(body.frame()).poll().is_pending(), "it waits for the sender before it answers");
        *self.0.lock().unwrap() = Some(body);
        ready(Ok(Response::new(Channel::new(1).1)))
    }
}

#[test]
fn after_the_answer_a_sender_may_be_silent_for_as_long_as_it_likes() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let both_ways = BothWays::default();
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let layer = BackpressureLayer::new(gauge.clone()).hold(pushback::http::Hold::Head);
    let mut service = layer.body_buffer(0).unwrap().layer(both_ways.clone());
    assert!(Task::new(service.call(Request::post("/").body(body).unwrap())).poll().is_ready());
    let mut body = both_ways.0.lock().unwrap().take().unwrap();
    clock.advance(Duration::from_secs(3_600));
    assert!(Task::new(body.frame()).poll().is_pending());
    clock.advance(Duration::from_secs(3_600));
    assert!(sender.try_send(Frame::data("at last".into())).is_ok());
    assert!(matches!(Task::new(body.frame()).poll(), Poll::Ready(Some(Ok(_)))));
}

#[tokio::test]
async fn uploads_cut_off_at_every_byte_give_the_place_back() {
    let whole = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    for body_buffer in [0, 7, 64 << 10] {
        let server = server_with(|layer| layer.body_buffer(body_buffer).unwrap()).await;
        for end in 0..=whole.len() {
            let mut connection = send(&server.address, &whole[..end]).await;
            connection.shutdown().await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            until(|| server.gauge.snapshot().in_flight == 0).await;
            assert_eq!(
                answer.contains("200 OK") && answer.ends_with("11 bytes"),
                end == whole.len(),
                "{end}: {answer}"
            );
        }
        let snapshot = server.gauge.snapshot();
        // Only a body that is all there asks for a place, or one whose first seven bytes are.
        let admitted =
            [(0, 20..60), (7, 5..20), (64 << 10, 1..2)].into_iter().find(|(size, _)| *size == body_buffer);
        assert!(admitted.unwrap().1.contains(&snapshot.admitted), "{body_buffer}: {snapshot:?}");
        assert_eq!(snapshot.refused.total(), 0);
        assert_eq!((snapshot.overloaded, snapshot.cancelled), (0, 0), "{snapshot:?}");
    }
}

/// Twenty clients at a byte every other second used to take twenty places for as long as they liked.
#[test]
fn a_sender_must_keep_to_the_least_rate() {
    for (rate, bytes, every, lives) in [
        (4 << 10, 1, 2_000, false),
        (4 << 10, 4 << 10, 2_000, false),
        (4 << 10, 9 << 10, 2_000, true),
        (4 << 10, 40 << 10, 9_000, true),
        (0, 1, 9_000, true),
    ] {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
        let hands = Hands::default();
        let (mut sender, body) = Channel::<Bytes>::new(8);
        let layer = BackpressureLayer::new(gauge).least_rate(rate).body_buffer(0).unwrap();
        let mut service = layer.layer(hands.clone());
        let mut call = Task::new(service.call(Request::post("/").body(body).unwrap()));
        assert!(call.poll().is_pending());
        let mut body = hands.0.lock().unwrap().take().unwrap();
        let mut reads = || {
            let mut waiting = Task::new(body.frame());
            assert!(waiting.poll().is_pending());
            clock.advance(Duration::from_millis(every));
            if waiting.poll_if_rung().is_ready() {
                return false; // it was told that the sender has stalled
            }
            assert!(sender.try_send(Frame::data(vec![b'x'; bytes].into())).is_ok());
            matches!(Task::new(body.frame()).poll(), Poll::Ready(Some(Ok(_))))
        };
        let read = (0..30).take_while(|_| reads()).count();
        assert_eq!(read == 30, lives, "{bytes} bytes each {every} ms at {rate}: {read} were read");
        assert!(read >= 4, "it is kept over the whole bound: {read}");
    }
}

#[tokio::test]
async fn a_request_takes_its_place_when_its_body_is_there() {
    let server = server_with(|layer| layer).await;
    let mut slow = server.begins(10, "").await;
    slow.write_all(b"hello").await.unwrap();
    for _ in 0..20 {
        let mut quick = server.begins(5, "").await;
        quick.write_all(b"hello").await.unwrap();
        assert!(head(&mut quick).await.starts_with("HTTP/1.1 200 "), "nobody is in its way");
    }
    slow.write_all(b"world").await.unwrap();
    assert!(head(&mut slow).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.gauge.snapshot().admitted, 21);
}

#[tokio::test]
async fn a_sender_that_stalls_before_it_has_a_place_is_told_so_and_no_handler_runs() {
    let server = server_with(|layer| layer).await;
    let mut connection = server.begins(10, "").await;
    connection.write_all(b"half").await.unwrap();
    let later = async {
        loop {
            server.clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    };
    let answer = tokio::select! { head = head(&mut connection) => head, () = later => unreachable!() };
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("connection: close\r\n"), "{answer}");
    let snapshot = server.gauge.snapshot();
    assert_eq!((snapshot.admitted, snapshot.refused.total()), (0, 0));
}

/// A stream of gRPC waits for an answer before it goes on: to wait for more than its first message would be to wait for ever.
#[test]
fn of_a_grpc_call_the_first_message_is_enough() {
    let speaks = BackpressureLayer::new(PressureGauge::new(9));
    for (layer, content_type, asks) in [
        (speaks.clone(), "application/grpc", true),
        (speaks.clone(), "application/json", false),
        (speaks.no_grpc(), "application/grpc", false),
    ] {
        let hands = Hands::default();
        let (mut sender, body) = Channel::<Bytes>::new(8);
        let mut service = layer.layer(hands.clone());
        let request = Request::post("/").header(header::CONTENT_TYPE, content_type).body(body).unwrap();
        let mut call = Task::new(service.call(request));
        assert!(call.poll().is_pending() && hands.0.lock().unwrap().is_none());
        for part in [&b"\0\0\0"[..], b"\0\x02a"] {
            assert!(sender.try_send(Frame::data(part.into())).is_ok());
            assert!(call.poll().is_pending() && hands.0.lock().unwrap().is_none());
        }
        assert!(sender.try_send(Frame::data("b".into())).is_ok());
        assert!(call.poll().is_pending());
        let body = hands.0.lock().unwrap().take();
        assert_eq!(body.is_some(), asks, "{content_type}");
        if let Some(mut body) = body {
            let Poll::Ready(Some(Ok(frame))) = Task::new(body.frame()).poll() else { panic!("it is there") };
            assert_eq!(frame.into_data().unwrap(), &b"\0\0\0\0\x02ab"[..]);
            assert!(Task::new(body.frame()).poll().is_pending(), "the stream goes on");
        }
    }
}

/// In a stream of gRPC, the service may be the one to speak first.
#[test]
fn a_grpc_call_that_says_nothing_is_handed_over_after_a_moment() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let hands = Hands::default();
    let (_sender, body) = Channel::<Bytes>::new(8);
    let mut service = BackpressureLayer::new(gauge).layer(hands.clone());
    let request = Request::post("/").header(header::CONTENT_TYPE, "application/grpc").body(body).unwrap();
    let mut call = Task::new(service.call(request));
    assert!(call.poll().is_pending() && hands.0.lock().unwrap().is_none());
    clock.advance(Duration::from_millis(1_100));
    assert!(call.poll_if_rung().is_pending());
    assert!(hands.0.lock().unwrap().is_some(), "the service has it");
}

#[test]
fn what_was_read_ahead_is_handed_over_as_it_came() {
    for (parts, trailers, body_buffer) in [
        (&["one"][..], false, 9),
        (&["one", "two", "three"], true, 99),
        (&["one", "two", "three"], true, 4),
        (&[], true, 9),
    ] {
        let hands = Hands::default();
        let (mut sender, body) = Channel::<Bytes>::new(8);
        let layer = BackpressureLayer::new(PressureGauge::new(1)).body_buffer(body_buffer).unwrap();
        let mut call = Task::new(layer.layer(hands.clone()).call(Request::post("/").body(body).unwrap()));
        assert!(call.poll().is_pending());
        for part in parts {
            assert!(sender.try_send(Frame::data((*part).into())).is_ok());
        }
        let last = http::HeaderMap::from_iter([(header::ETAG, header::HeaderValue::from_static("x"))]);
        assert!(!trailers || sender.try_send(Frame::trailers(last.clone())).is_ok());
        drop(sender);
        assert!(call.poll().is_pending());
        let body = hands.0.lock().unwrap().take().unwrap();
        let Poll::Ready(Ok(all)) = Task::new(body.collect()).poll() else { panic!("all of it is there") };
        assert_eq!(all.trailers(), trailers.then_some(&last));
        assert_eq!(all.to_bytes(), parts.concat());
    }
    assert!(BackpressureLayer::new(PressureGauge::new(1)).body_buffer(usize::MAX).is_err());
}
