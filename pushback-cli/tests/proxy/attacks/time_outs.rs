//! Time-outs hold on every listener and for every version, or a client that says nothing stays for ever.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::TokioTimer;
use tempfile::tempdir;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{is_alive, proxy_by, raw::Raw, secure::Identity, streams::Streams, within};
use crate::support::{Proxy, Service};

/// What a client says before it is silent.
type Beginning = (&'static str, &'static [u8]);
const BEGINNINGS: [Beginning; 3] =
    [("nothing", b""), ("one byte", b"P"), ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")];
/// The preface, settings by which the bodies of answers have no room, and `GET /healthz`.
const NO_ROOM: Beginning = (
    "a question whose answer has no room",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
      \0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0\
      \0\0\x0f\x01\x05\0\0\0\x01\x82\x86\x01\x01a\x04\x08/healthz",
);
/// What the listeners for few clients have room for.
const ROOM: usize = 200;
/// More than the listeners for few clients have room for.
const SILENT: usize = 220;
/// In which time the listeners for few clients are rid of a silent one.
const RID_MAX: Duration = Duration::from_secs(15);

/// A proxy whose service nobody asks, and where its probes are.
fn proxy_with_probes() -> (Proxy, String) {
    let mut proxy = Proxy::start("http://127.0.0.1:1", &["--probes", "127.0.0.1:0"]);
    let probes = proxy.probes();
    (proxy, probes)
}

/// Says which beginnings keep a probe from its answer.
async fn blocked_by_silent_clients(address: &str) -> Vec<&'static str> {
    let mut blocked = Vec::new();
    for (name, beginning) in BEGINNINGS {
        let mut silent = Vec::new();
        for _ in 0..SILENT {
            silent.push(Raw::send(address, beginning).await);
        }
        if !is_alive(address).await {
            blocked.push(name);
        }
        silent.into_iter().for_each(Raw::reset);
        let alive = async { while !is_alive(address).await {} };
        within(RID_MAX, "an answer when they are gone", alive).await;
    }
    blocked
}

#[tokio::test]
async fn silent_clients_keep_no_probe_from_its_answer() {
    let (_proxy, probes) = proxy_with_probes();
    let blocked = blocked_by_silent_clients(&probes).await;
    assert!(blocked.is_empty(), "{SILENT} that say this block it: {blocked:?}");
}

#[tokio::test]
async fn silent_clients_keep_nobody_from_the_admin_listener() {
    let (proxy, _) = proxy_with_probes();
    let blocked = blocked_by_silent_clients(&proxy.admin).await;
    assert!(blocked.is_empty(), "{SILENT} that say this block it: {blocked:?}");
}

/// Connects, says its beginning, and gives the names of those that are still open after a while.
async fn still_open(
    addresses: &[(&'static str, &str)],
    beginnings: &'static [Beginning],
    bound: Duration,
) -> Vec<String> {
    let mut silent = JoinSet::new();
    for (listener, address) in addresses {
        for (name, beginning) in beginnings {
            let mut client = Raw::send(address, beginning).await;
            let name = format!("{listener}: {name}");
            silent.spawn(async move { timeout(bound, client.end()).await.err().map(|_| name) });
        }
    }
    silent.join_all().await.into_iter().flatten().collect()
}

#[tokio::test]
async fn silent_clients_of_admin_and_probes_are_closed() {
    let (proxy, probes) = proxy_with_probes();
    let open = still_open(&[("admin", &proxy.admin), ("probes", &probes)], &BEGINNINGS, RID_MAX).await;
    assert!(open.is_empty(), "after {RID_MAX:?}, these are still open: {open:#?}");
}

/// Of room for bodies.
const PLENTY: u32 = 1 << 20;
const CLIENTS: &str = "[clients]\nhead = \"1s\"\nidle = \"2s\"\n";
/// Within some seconds of these bounds.
const CLOSED_MAX: Duration = Duration::from_secs(6);

/// Says which silent clients the main listener does not close.
async fn still_open_with(clients: &str, beginnings: &'static [Beginning]) -> Vec<String> {
    let folder = tempdir().unwrap();
    let route = "[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n";
    let proxy = proxy_by(&folder, &format!("{clients}{route}"));
    still_open(&[("main", &proxy.address)], beginnings, CLOSED_MAX).await
}

#[tokio::test]
async fn silent_clients_are_closed() {
    let open = still_open_with(CLIENTS, &BEGINNINGS).await;
    assert!(open.is_empty(), "after {CLOSED_MAX:?}, these are still open: {open:#?}");
}

/// The time for a head counts from the start of a connection, for either version. For its first byte, each has ten seconds.
#[tokio::test]
async fn clients_without_a_head_are_closed_though_they_might_be_idle_for_longer() {
    let open = still_open_with("[clients]\nhead = \"1s\"\nidle = \"60s\"\n", &BEGINNINGS[1..]).await;
    assert!(open.is_empty(), "after {CLOSED_MAX:?}, these are still open: {open:#?}");
}

#[tokio::test]
async fn a_connection_over_http2_that_is_idle_after_an_answer_is_closed() {
    let service = Service::start();
    let folder = tempdir().unwrap();
    let route = format!("[[routes]]\nname = \"all\"\nto = \"{}\"\n", service.url());
    let proxy = proxy_by(&folder, &format!("{CLIENTS}{route}"));
    let (streams, ended) = Streams::connect(&proxy.address).await;
    assert_eq!(streams.get("/").await.unwrap().status(), 200);
    within(CLOSED_MAX, "the end of an idle connection", ended).await.unwrap();
}

#[tokio::test]
async fn clients_that_take_no_answer_keep_no_probe_from_its_answer() {
    let (proxy, probes) = proxy_with_probes();
    for address in [&proxy.admin, &probes] {
        let mut clients = Vec::new();
        for _ in 0..ROOM {
            let mut client = Raw::send(address, NO_ROOM.1).await;
            // What the head of the answer is the end of.
            client.read(80).await.unwrap();
            clients.push(client);
        }
        assert!(is_alive(address).await, "{ROOM} that take no answer block it: {address}");
    }
}

/// One that pings, as clients do that wait for long, and as others may that want nothing; with so much room for the body of an answer.
async fn pinging(address: &str, room: u32) -> (Streams, JoinHandle<()>) {
    let habits = |client: &mut http2::Builder<_>| {
        client.timer(TokioTimer::new()).keep_alive_interval(Duration::from_millis(300));
        client.keep_alive_while_idle(true).initial_stream_window_size(room);
    };
    Streams::connect_as(address, habits).await
}

#[tokio::test]
async fn pings_keep_no_connection_on_which_nothing_is_asked_and_no_answer_taken() {
    let folder = tempdir().unwrap();
    let route = "[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n";
    let proxy = proxy_by(&folder, &format!("{CLIENTS}{route}"));
    let (_never, never_ended) = pinging(&proxy.address, PLENTY).await;
    let (once, once_ended) = pinging(&proxy.address, PLENTY).await;
    assert_eq!(once.get("/").await.unwrap().status(), 502);
    let (full, full_ended) = pinging(&proxy.address, 0).await;
    let _untaken = full.get("/").await.unwrap();
    within(CLOSED_MAX, "the end of one that never asks", never_ended).await.unwrap();
    within(CLOSED_MAX, "the end of one that asked once", once_ended).await.unwrap();
    within(CLOSED_MAX, "the end of one that takes no answer", full_ended).await.unwrap();
}

#[tokio::test]
async fn a_request_may_take_longer_than_its_connection_may_be_idle() {
    let service = Service::start();
    let folder = tempdir().unwrap();
    let route = format!("[[routes]]\nname = \"all\"\nto = \"{}\"\n", service.url());
    let proxy = proxy_by(&folder, &format!("{CLIENTS}{route}"));
    let (streams, _ended) = pinging(&proxy.address, PLENTY).await;
    // Its head late; and its head at once, and its body late.
    for path in ["/?ms=4500", "/late-body?ms=4500"] {
        let answer = streams.get(path).await.expect("it is not cut off");
        assert_eq!(answer.status(), 200, "{path}");
        let body = answer.into_body().collect().await;
        assert!(!body.expect("it is not cut off").to_bytes().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn clients_that_agree_on_tls_and_are_silent_then_are_closed() {
    let folder = tempdir().unwrap();
    let identity = Identity::new(&folder);
    let tls = "certificate = \"certificate.pem\"\nkey = \"key.pem\"\n";
    let route = "[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n";
    let proxy = proxy_by(&folder, &format!("{CLIENTS}[tls]\n{tls}[admin.tls]\n{tls}{route}"));
    let mut silent = JoinSet::new();
    for (listener, address, bound) in [("main", &proxy.address, CLOSED_MAX), ("admin", &proxy.admin, RID_MAX)]
    {
        for (name, beginning) in BEGINNINGS {
            let mut client = identity.send(address, beginning).await;
            let name = format!("{listener}: {name}");
            silent.spawn(async move { timeout(bound, client.end()).await.err().map(|_| name) });
        }
    }
    let open: Vec<_> = silent.join_all().await.into_iter().flatten().collect();
    assert!(open.is_empty(), "these are still open: {open:#?}");
}
