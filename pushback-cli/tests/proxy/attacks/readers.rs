//! A reader keeps its place for as long as it reads, however slowly, and no longer.

use std::{
    convert::Infallible,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::mpsc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpListener,
    time::{interval, timeout},
};

use super::{IN_FLIGHT, metric, raw::Raw, within};
use crate::support::{Proxy, Service, request};

/// More than the system takes off the proxy's hands for a client that reads little.
const DOWNLOAD: usize = 6_000_000;

/// Reads so many bytes in each step, for so many steps, and then all that is left.
async fn reads_all(stall: &str, step: usize, every: Duration, steps: u32) {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--stall", stall]);
    let mut client = Raw::connect_narrow(&proxy.address).await;
    let asked = request(&proxy.address, &format!("/big?bytes={DOWNLOAD}"));
    client.write(asked.as_bytes()).await.unwrap();
    assert_eq!(client.head().await.unwrap().status, 200);
    let mut ticks = interval(every);
    let mut read = 0;
    for _ in 0..steps {
        ticks.tick().await;
        read += client.read(step).await.unwrap_or_else(|error| panic!("{error} after {read} bytes")).len();
    }
    // A tenth of it at a time, so that it is known where it broke off.
    while read < DOWNLOAD {
        let next = (DOWNLOAD - read).min(DOWNLOAD / 10);
        read += client.read(next).await.unwrap_or_else(|error| panic!("{error} after {read} bytes")).len();
    }
    assert!(metric(&proxy, "pushback_stalled_total").await < 1.0, "it has not stalled");
}

/// 100 kB a second for twelve seconds. What the system buffers goes down by steps larger than the client's.
#[tokio::test]
async fn a_steady_reader_is_not_taken_for_one_that_has_stalled() {
    reads_all("2s", 10_000, Duration::from_millis(100), 120).await;
}

/// 16 KiB a second for twelve seconds.
#[tokio::test]
async fn a_steady_reader_may_be_slow() {
    reads_all("5s", 4 << 10, Duration::from_millis(250), 48).await;
}

/// How long somebody may read nothing, and how much longer that may take to be noticed: a third, and the time of a busy machine.
const STALL: Duration = Duration::from_secs(3);
const NOTICED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_reader_that_reads_nothing_loses_its_place_and_is_counted_and_logged() {
    let service = Service::start();
    let mut proxy = Proxy::start_as(&service.url(), &["--stall", "3s", "--limit", "10"], |command| {
        command.stderr(Stdio::piped());
    });
    let (say, said) = mpsc::channel();
    let log = proxy.log();
    thread::spawn(move || log_lines(log).for_each(|line| drop(say.send(line))));

    let mut client = Raw::connect_narrow(&proxy.address).await;
    let asked = request(&proxy.address, "/big?bytes=50000000");
    client.write(asked.as_bytes()).await.unwrap();
    client.head().await.unwrap();
    let free = async { while metric(&proxy, IN_FLIGHT).await > 0.0 {} };
    assert!(timeout(STALL, free).await.is_err(), "its place went before it had stalled");
    let free = async { while metric(&proxy, IN_FLIGHT).await > 0.0 {} };
    within(NOTICED - STALL, "a free place", free).await;

    let stalled = metric(&proxy, "pushback_stalled_total").await;
    let lines: Vec<String> = std::iter::from_fn(|| said.recv_timeout(Duration::from_secs(1)).ok()).collect();
    assert!(
        (stalled - 1.0).abs() < f64::EPSILON && lines.iter().any(|line| line.contains("stalled")),
        "pushback_stalled_total is {stalled}, and the log says {lines:#?}"
    );
}

fn log_lines(log: BufReader<impl std::io::Read>) -> impl Iterator<Item = String> {
    log.lines().map_while(Result::ok)
}

/// All calls of a worker share one connection to such a service, and a few readers who did not read stopped it for all others.
#[tokio::test]
async fn readers_who_do_not_read_stop_nobody_else_before_a_service_over_http2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serve = service_fn(async |asked: Request<Incoming>| {
                let length = asked.uri().path()[1..].parse().unwrap();
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; length]))))
            });
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), serve));
        }
    });
    let proxy = Proxy::start(&url, &["--limit", "50", "--workers", "1"]);
    let mut idle = Vec::new();
    for _ in 0..8 {
        let mut client = Raw::connect_narrow(&proxy.address).await;
        client.write(request(&proxy.address, "/20000000").as_bytes()).await.unwrap();
        client.head().await.unwrap();
        idle.push(client);
    }
    for _ in 0..5 {
        let mut honest = Raw::send(&proxy.address, request(&proxy.address, "/200000").as_bytes()).await;
        let answer = within(Duration::from_secs(3), "an answer", honest.answer()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 200_000));
    }
}
