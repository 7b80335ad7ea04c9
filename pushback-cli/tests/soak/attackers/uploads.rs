//! Uploads that take their time, and uploads that break off.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{interval, sleep};

use super::Attackers;
use crate::{raw::Raw, streams::Streams};

/// How often a drop comes, and how many of them.
const DROP: Duration = Duration::from_millis(400);
const DROPS: u32 = 50;
/// How many clients send drop by drop in each way.
const SLOW: u32 = 20;
/// The same by streams of one connection.
const STREAMS: usize = 10;
const CONNECTIONS: u32 = 3;
/// How long a client stays after half of its upload.
const STAYS: Duration = Duration::from_millis(20);
/// Half of an upload of which the gauge is asked before it is all there.
const HALF: usize = 100_000;

pub(super) fn start(attackers: &mut Attackers, address: &str) {
    let second = Duration::from_secs(1);
    for (what, head, part) in [
        ("short uploads drop by drop", "Content-Length: 1000", "x"),
        ("long uploads drop by drop", "Content-Length: 10000000", "x"),
        ("chunks drop by drop", "Transfer-Encoding: chunked", "1\r\nx\r\n"),
    ] {
        let attack = move |address| drop_by_drop(address, "/", head, 0, part);
        attackers.add(what, SLOW, second, attack, address);
    }
    // They have come to their place, and may keep it for as long as they send.
    let attack = |address| drop_by_drop(address, "/uploads", "Content-Length: 10000000", HALF, "x");
    attackers.add("uploads that get slow", 4, second, attack, address);
    attackers.add("streams drop by drop", CONNECTIONS, second, streams_drop_by_drop, address);
    for (what, announced, sent, is_reset) in [
        ("short uploads reset", 100, 3, true),
        ("short uploads half-closed", 100, 3, false),
        ("long uploads reset", 2 * HALF, HALF, true),
        ("long uploads half-closed", 2 * HALF, HALF, false),
    ] {
        let attack = move |address| break_off(address, announced, sent, is_reset);
        attackers.add(what, 1, second / 4, attack, address);
    }
    let attack = |address| break_off_streams(address, 2 * HALF, HALF);
    attackers.add("uploads of streams reset", 1, second / 4, attack, address);
}

async fn drop_by_drop(address: String, path: &str, framing: &str, first: usize, part: &str) {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n").into_bytes();
    head.resize(head.len() + first, b'x');
    let mut client = Raw::send(&address, &head).await;
    let mut ticks = interval(DROP);
    for _ in 0..DROPS {
        ticks.tick().await;
        if client.write(part.as_bytes()).await.is_err() {
            return; // cut off
        }
    }
}

async fn streams_drop_by_drop(address: String) {
    let (streams, ended) = Streams::connect(&address).await;
    let slow: Vec<_> = (0..STREAMS).map(|_| streams.post(1000)).collect();
    let (senders, answers): (Vec<_>, Vec<_>) = slow.into_iter().unzip();
    let mut answered = tokio::task::JoinSet::new();
    for answer in answers {
        answered.spawn(answer);
    }
    let mut ticks = interval(DROP);
    for _ in 0..DROPS {
        ticks.tick().await;
        for parts in &senders {
            let _ = parts.send(Bytes::from_static(b"x")); // whoever was cut off has nobody who takes it
        }
        if ended.is_finished() || answered.is_empty() {
            return;
        }
        while answered.try_join_next().is_some() {}
    }
}

/// Announces so many bytes, sends some of them, and leaves.
async fn break_off(address: String, announced: usize, sent: usize, is_reset: bool) {
    let mut upload =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {announced}\r\n\r\n").into_bytes();
    upload.resize(upload.len() + sent, b'x');
    let mut client = Raw::send(&address, &upload).await;
    sleep(STAYS).await;
    if is_reset {
        client.reset();
    } else {
        client.half_close().await;
        client.end().await;
    }
}

async fn break_off_streams(address: String, announced: usize, sent: usize) {
    let (streams, _ended) = Streams::connect(&address).await;
    let (parts, answer) = streams.post(announced);
    let leaving = async move {
        let _ = parts.send(Bytes::from(vec![b'x'; sent]));
        sleep(STAYS).await;
        drop(parts);
    };
    let _ = tokio::join!(answer, leaving);
}
