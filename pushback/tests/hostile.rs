//! Clients that mean harm or know no better, over real connections. A process of its own, for it looks at its memory.
#![cfg(feature = "http")]

#[path = "support/wire.rs"]
mod wire;

use std::{fs, process::Stdio, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use pushback::{ManualClock, PressureGauge, http::BackpressureLayer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    task::JoinSet,
};
use wire::{Flood, ask, head, send, serve, until};

const MIB: usize = 1 << 20;

/// How much memory this process has, in bytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// One at a time, so that one test's memory is not another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_refusals_of_a_mebibyte_leave_nothing_behind() {
    const UPLOADS: usize = 10_000;
    const CLIENTS: usize = 20;
    // One for all clients: what an allocator keeps of bodies that each client makes would be taken for a leak.
    static BODY: [u8; MIB] = [b'x'; MIB];
    let gauge = PressureGauge::new(1);
    let app = Router::new()
        .route("/", post(async |body: Bytes| format!("{} bytes", body.len())))
        .layer(BackpressureLayer::new(gauge.clone()));
    let address = serve(app).await;
    let held = gauge.try_acquire().unwrap();
    let mut settled = 0;
    for round in 0..10 {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let address = address.clone();
            clients.spawn(async move {
                let mut connection = send(&address, "").await;
                for _ in 0..UPLOADS / CLIENTS / 10 {
                    let head_sent = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MIB}\r\n\r\n");
                    connection.write_all(head_sent.as_bytes()).await.unwrap();
                    connection.write_all(&BODY).await.unwrap();
                    assert!(head(&mut connection).await.starts_with("HTTP/1.1 429 "));
                    connection.read_exact(&mut [0; 17]).await.unwrap();
                }
            });
        }
        clients.join_all().await;
        let now = memory();
        println!("round {round}: {} MiB", now / MIB);
        // What allocators and buffers settle at is seen after the first rounds.
        if round < 3 {
            settled = settled.max(now);
        } else {
            assert!(now < settled + 16 * MIB, "{now} bytes after {settled}");
        }
    }
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.refused.total()), (1, UPLOADS as u64));
    drop(held);
    let mut served = send(&address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
    assert!(head(&mut served).await.starts_with("HTTP/1.1 200 "));
    until(|| gauge.snapshot().in_flight == 0).await;
}

/// A service with answers that do not fit into the buffers of both systems, behind a limit of `limit`.
async fn large_answers(limit: u32) -> (String, PressureGauge, ManualClock) {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(limit).clock(clock.clone()).build().unwrap();
    let app = Router::new()
        .route("/", get(async || Body::new(Flood)))
        .route("/small", get(async || "done"))
        .layer(BackpressureLayer::new(gauge.clone()));
    (serve(app).await, gauge, clock)
}

#[tokio::test]
async fn ten_readers_that_do_not_read_lose_their_places() {
    let (address, gauge, clock) = large_answers(10).await;
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut connection = ask(&address).await;
        assert!(head(&mut connection).await.starts_with("HTTP/1.1 200 "));
        slow.push(connection);
    }
    assert!(head(&mut ask(&address).await).await.starts_with("HTTP/1.1 429 "));
    clock.advance(Duration::from_secs(13));
    assert_eq!(gauge.snapshot().in_flight, 0);
    let small = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n";
    assert!(head(&mut send(&address, small).await).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_http_2_client_without_a_window_loses_its_place() {
    let (address, gauge, clock) = large_answers(1).await;
    let mut client = Command::new("nghttp")
        .args(["-n", "-w0", &format!("http://{address}/")])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("`cargo xtask test --install` installs it");
    until(|| gauge.snapshot().in_flight == 1).await;
    assert!(head(&mut ask(&address).await).await.starts_with("HTTP/1.1 429 "), "it keeps the place");
    clock.advance(Duration::from_secs(13));
    assert_eq!(gauge.snapshot().in_flight, 0);
    assert!(client.try_wait().unwrap().is_none(), "it still waits");
    client.kill().await.unwrap();
}

#[tokio::test]
async fn readers_that_go_away_at_every_byte_give_their_place_back() {
    let gauge = PressureGauge::new(1);
    let app =
        Router::new().route("/", get(async || "x".repeat(50))).layer(BackpressureLayer::new(gauge.clone()));
    let address = serve(app).await;
    let mut whole = Vec::new();
    ask(&address).await.read_to_end(&mut whole).await.unwrap();
    for end in 0..=whole.len() {
        let mut connection = ask(&address).await;
        connection.read_exact(&mut vec![0; end]).await.unwrap();
        drop(connection);
        until(|| gauge.snapshot().in_flight == 0).await;
    }
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.refused.total(), snapshot.faults), (0, 0));
}
