//! Who is to blame decides the outcome: what a client does not send to its end says nothing about the service.

use std::time::Duration;

use bytes::Bytes;
use tokio::{
    task::JoinSet,
    time::{interval, sleep},
};

use super::{LIMIT, counted::Counted, metric, nobody_holds_a_place, raw::Raw, streams::Streams, within};
use crate::support::{Proxy, Service};

const OVERLOAD: &str = "pushback_ended_total{gauge=\"upstream\",outcome=\"overload\"}";
/// How many break off in one way, and how many of them at a time, which is less than any limit here.
const UPLOADS: usize = 40;
const AT_ONCE: usize = 10;
/// How long a client stays after what it has sent.
const STAYS: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
enum Leaves {
    ByReset,
    ByHalfClose,
}

/// Announces so many bytes, sends some of them, and leaves.
async fn break_off(address: String, announced: usize, sent: usize, leaves: Leaves) {
    let mut upload =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {announced}\r\n\r\n").into_bytes();
    upload.resize(upload.len() + sent, b'x');
    let mut client = Raw::send(&address, &upload).await;
    sleep(STAYS).await;
    match leaves {
        Leaves::ByReset => client.reset(),
        Leaves::ByHalfClose => {
            client.half_close().await;
            client.end().await;
        }
    }
}

/// The same by a stream, which it resets.
async fn break_off_a_stream(streams: Streams, announced: usize, sent: usize) {
    let (parts, answer) = streams.post(announced);
    let leaving = async move {
        let _ = parts.send(Bytes::from(vec![b'x'; sent]));
        sleep(STAYS).await;
        drop(parts);
    };
    let _ = tokio::join!(answer, leaving);
}

async fn some_at_a_time<Once: Future<Output = ()> + Send + 'static>(attack: impl Fn() -> Once) {
    let mut running = JoinSet::new();
    for _ in 0..UPLOADS {
        if running.len() == AT_ONCE {
            running.join_next().await;
        }
        running.spawn(attack());
    }
    within(Duration::from_secs(15), "an end of all uploads", running.join_all()).await;
}

/// Where the limit goes by itself when no more than one honest call is in flight: four times that, and ten.
const AT_REST: f64 = 14.0;

/// What the service is blamed for, and where the limit is, when all have ended.
async fn blamed(proxy: &Proxy) -> (f64, f64) {
    // By now the one worker has heard of all that came before this. Some of that may still hold places.
    assert!((0..1_000).any(|_| proxy.get("/").status == 200), "there is never a place");
    nobody_holds_a_place(proxy).await;
    (metric(proxy, OVERLOAD).await, metric(proxy, LIMIT).await)
}

#[tokio::test]
async fn uploads_that_break_off_are_no_overload_of_the_service() {
    let service = Service::start();
    let mut wrong = Vec::new();
    for (announced, sent) in [(200_000, 100_000), (100, 3)] {
        for leaves in [Leaves::ByReset, Leaves::ByHalfClose] {
            let proxy = Proxy::start(&service.url(), &["--workers", "1"]);
            let (_, first) = blamed(&proxy).await;
            some_at_a_time(|| break_off(proxy.address.clone(), announced, sent, leaves)).await;
            let (overloads, limit) = blamed(&proxy).await;
            if overloads > 0.0 || limit < first.min(AT_REST) {
                wrong.push(format!(
                    "{UPLOADS} of {announced} bytes that end after {sent} {leaves:?}: \
                     {overloads} overloads, the limit from {first} to {limit}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn streams_that_are_reset_in_the_middle_of_an_upload_are_no_overload_of_the_service() {
    let service = Service::start();
    let mut wrong = Vec::new();
    for (announced, sent) in [(200_000, 100_000), (100, 3)] {
        let proxy = Proxy::start(&service.url(), &["--workers", "1"]);
        let (_, first) = blamed(&proxy).await;
        let (streams, _ended) = Streams::connect(&proxy.address).await;
        some_at_a_time(|| break_off_a_stream(streams.clone(), announced, sent)).await;
        let (overloads, limit) = blamed(&proxy).await;
        if overloads > 0.0 || limit < first.min(AT_REST) {
            wrong.push(format!(
                "{UPLOADS} of {announced} bytes that end after {sent}: \
                 {overloads} overloads, the limit from {first} to {limit}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The service has the whole request after four seconds, and its time for an answer begins then.
#[tokio::test]
async fn a_steady_upload_may_take_longer_than_the_service_may_for_its_answer() {
    static PART: [u8; 100_000] = [b'x'; 100_000];
    const PARTS: usize = 40;
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--timeout", "2s"]);
    let length = PART.len() * PARTS;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let mut client = Raw::send(&proxy.address, head.as_bytes()).await;
    let mut ticks = interval(Duration::from_millis(100));
    let mut sent = 0;
    for _ in 0..PARTS {
        ticks.tick().await;
        match client.write(&PART).await {
            Ok(()) => sent += PART.len(),
            Err(_) => break, // its answer is there all the same
        }
    }
    let answer = client.answer().await.unwrap_or_else(|error| panic!("{error} after {sent} bytes"));
    assert_eq!((answer.status, answer.body), (200, format!("POST / {length}")), "after {sent} bytes");
}

/// Over HTTP/2 to the service, a sender's fault used to be told as the service's: 502, which gRPC callers take for a reason to try again.
#[tokio::test]
async fn a_sender_who_stalls_is_told_so_whatever_the_service_speaks() {
    let (service, h2c) = (Service::start(), Counted::start().await);
    for url in [&service.url(), &h2c.url] {
        let proxy = Proxy::start(url, &["--stall", "300ms"]);
        let half = format!(
            "POST /?ms=1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{}",
            "x".repeat(100_000)
        );
        let mut client = Raw::send(&proxy.address, half.as_bytes()).await;
        assert_eq!(client.answer().await.unwrap().status, 408, "{url}");
        assert!(metric(&proxy, OVERLOAD).await < 1.0, "{url}");
    }
}
