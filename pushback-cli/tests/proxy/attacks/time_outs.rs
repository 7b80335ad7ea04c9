//! Time-outs hold on every listener and for every version, or a client that says nothing stays for ever.

use std::time::Duration;

use tempfile::tempdir;
use tokio::{task::JoinSet, time::timeout};

use super::{proxy_by, raw::Raw, streams::Streams, within};
use crate::support::{Proxy, Service};

/// What a client says before it is silent.
type Beginning = (&'static str, &'static [u8]);
const BEGINNINGS: [Beginning; 3] =
    [("nothing", b""), ("one byte", b"P"), ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")];
/// More than the listeners for few clients have room for.
const SILENT: usize = 220;
/// In which time a probe wants its answer.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// In which time the listeners for few clients are rid of a silent one.
const RID_MAX: Duration = Duration::from_secs(15);

/// A proxy whose service nobody asks, and where its probes are.
fn proxy_with_probes() -> (Proxy, String) {
    let mut proxy = Proxy::start("http://127.0.0.1:1", &["--probes", "127.0.0.1:0"]);
    let said = proxy.says("Probes on http://");
    let probes = said.split("://").nth(1).and_then(|rest| rest.split(": ").next()).expect("its address");
    let probes = probes.trim().to_owned();
    (proxy, probes)
}

async fn is_alive(address: &str) -> bool {
    let asking = async { Raw::connect(address).await.get(address, "/healthz").await };
    matches!(timeout(PROBE_MAX, asking).await, Ok(Ok(answer)) if answer.status == 200)
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
