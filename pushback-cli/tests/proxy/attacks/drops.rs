//! A place is not taken by a client that sends its request drop by drop.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::interval;

use super::{IN_FLIGHT, honest::Honest, metric, raw::Raw, streams::Streams, within};
use crate::support::{Proxy, Service};

const SLOW: usize = 200;
/// Fewer than there are places.
const HONEST: u32 = 2;
const STEP: Duration = Duration::from_millis(200);
const STEPS: u32 = 15;

struct Attacked {
    proxy: Proxy,
    _service: Service,
}

impl Attacked {
    fn start() -> Self {
        let service = Service::start();
        let proxy = Proxy::start(&service.url(), &["--limit", "4"]);
        Attacked { proxy, _service: service }
    }

    /// Honest clients, while each of the slow ones takes its steps.
    async fn honest_clients_notice_nothing(&self, mut step: impl AsyncFnMut()) {
        let honest = Honest::start(&self.proxy, "/?ms=20", HONEST as usize);
        let mut ticks = interval(STEP);
        let mut most: f64 = 0.0;
        for _ in 0..STEPS {
            ticks.tick().await;
            step().await;
            most = most.max(metric(&self.proxy, IN_FLIGHT).await);
        }
        let (served, not_served) = (honest.served(), honest.not_served());
        assert!(
            not_served == 0 && most <= f64::from(HONEST),
            "{not_served} of the honest were not served, {served} were; up to {most} places were taken"
        );
        assert!(served > 20, "only {served} were served");
    }

    async fn by_connections(&self, framing: &str, drop: &[u8]) {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        let mut slow = Vec::new();
        for _ in 0..SLOW {
            slow.push(Raw::send(&self.proxy.address, head.as_bytes()).await);
        }
        self.honest_clients_notice_nothing(async || {
            for client in &mut slow {
                let _ = client.write(drop).await; // whoever was refused, goes on to be a nuisance
            }
        })
        .await;
    }
}

#[tokio::test]
async fn short_bodies_that_come_drop_by_drop_take_no_place() {
    Attacked::start().by_connections("Content-Length: 1000", b"x").await;
}

/// Whatever is announced, it is what has come that counts.
#[tokio::test]
async fn long_bodies_that_come_drop_by_drop_take_no_place() {
    Attacked::start().by_connections("Content-Length: 10000000", b"x").await;
}

/// Five bytes are an empty message of gRPC, which this service does not speak.
#[tokio::test]
async fn what_calls_itself_grpc_takes_no_place_before_a_service_that_does_not_speak_it() {
    let framing = "Content-Length: 10000000\r\nContent-Type: application/grpc";
    Attacked::start().by_connections(framing, b"\0\0\0\0\0").await;
}

#[tokio::test]
async fn chunks_that_come_drop_by_drop_take_no_place() {
    Attacked::start().by_connections("Transfer-Encoding: chunked", b"1\r\nx\r\n").await;
}

#[tokio::test]
async fn streams_whose_bodies_come_drop_by_drop_take_no_place() {
    const CONNECTIONS: usize = 4;
    let attacked = Attacked::start();
    let mut slow = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let (streams, _ended) = Streams::connect(&attacked.proxy.address).await;
        for _ in 0..SLOW / CONNECTIONS {
            let (parts, answer) = streams.post(1000);
            tokio::spawn(answer);
            slow.push(parts);
        }
        connections.push(streams);
    }
    attacked
        .honest_clients_notice_nothing(async || {
            for parts in &slow {
                let _ = parts.send(Bytes::from_static(b"x")); // whoever was refused has nobody who takes it
            }
        })
        .await;
}

/// More than may be read ahead of all bodies together, and nothing after that.
#[tokio::test]
async fn bodies_that_fill_the_room_to_read_ahead_take_no_place_and_keep_nobody_from_having_his_read() {
    const CONNECTIONS: usize = 6;
    const STREAMS: usize = 200;
    const SENT: usize = 60_000;
    let attacked = Attacked::start();
    let mut slow = Vec::new();
    let mut told = Vec::new();
    for _ in 0..CONNECTIONS {
        let (streams, _ended) = Streams::connect(&attacked.proxy.address).await;
        for _ in 0..STREAMS {
            let (parts, answer) = streams.post(SENT + 1);
            let _ = parts.send(Bytes::from(vec![b'x'; SENT]));
            told.push(tokio::spawn(answer));
            slow.push(parts);
        }
    }
    // Those who came first make room for the others.
    let first = within(Duration::from_secs(10), "an answer to one of them", told.swap_remove(0)).await;
    assert_eq!(first.unwrap().unwrap().status(), 408);
    attacked
        .honest_clients_notice_nothing(async || {
            let mut client = Raw::connect(&attacked.proxy.address).await;
            let upload =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{}", "x".repeat(9_000));
            client.write(upload.as_bytes()).await.unwrap();
            assert_eq!(client.answer().await.unwrap().status, 200);
        })
        .await;
}
