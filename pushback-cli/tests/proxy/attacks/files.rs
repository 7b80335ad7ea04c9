//! Clients who would use up the files that the process may have: those of calls and of probes are kept for them.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tokio::task::JoinSet;

use super::{is_alive, raw::Raw, streams::Streams, within};
use crate::support::{Proxy, Service, start_under};

/// A proxy that may open few files, and where its probes are.
fn proxy_of_few_files(service: &Service) -> (Proxy, String) {
    let arguments = ["--workers", "1", "--limit", "100", "--probes", "127.0.0.1:0"];
    let mut proxy = start_under("ulimit -n 64", &service.url(), &arguments, Stdio::null());
    let probes = proxy.probes();
    (proxy, probes)
}

async fn assert_answers_probes(proxy: &Proxy, probes: &str) {
    assert!(is_alive(probes).await, "the listener for probes");
    assert!(is_alive(&proxy.admin).await, "the admin listener");
}

#[tokio::test]
async fn clients_who_only_connect_leave_files_for_probes_and_for_calls() {
    let service = Service::start();
    let (proxy, probes) = proxy_of_few_files(&service);
    let mut served = Raw::connect(&proxy.address).await;
    assert_eq!(served.get(&proxy.address, "/").await.unwrap().status, 200);
    let mut silent = Vec::new();
    for _ in 0..120 {
        silent.push(Raw::connect(&proxy.address).await);
    }
    assert_answers_probes(&proxy, &probes).await;
    let again = served.get(&proxy.address, "/");
    let answer = within(Duration::from_secs(5), "an answer beside them", again).await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn clients_who_all_ask_leave_files_for_their_calls() {
    let service = Service::start();
    let (proxy, probes) = proxy_of_few_files(&service);
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        let address = proxy.address.clone();
        asking.spawn(async move {
            let mut client = Raw::connect(&address).await;
            client.get(&address, "/?ms=100").await.map(|answer| answer.status)
        });
    }
    assert_answers_probes(&proxy, &probes).await;
    let answers = within(Duration::from_secs(20), "an answer for all", asking.join_all()).await;
    let served = answers.iter().filter(|answer| matches!(answer, Ok(200))).count();
    assert_eq!(served, 100, "{answers:?}");
}

/// What one service's calls leave behind was kept from the calls of others.
#[tokio::test]
async fn connections_that_are_kept_make_room_for_those_that_are_needed() {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let route = |name: &str, to: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nlimit = 100\nkeep_alive = \"1h\"\nto = \"{to}\"\n"
        )
    };
    let other = Service::start();
    let settings = format!(
        "workers = 2\nlisten = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n{}{}",
        route("a", &service.url()),
        route("b", &other.url())
    );
    let file = folder.path().join("pushback.toml");
    std::fs::write(&file, settings).unwrap();
    let arguments = ["proxy", "--config", file.to_str().unwrap()];
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 72 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_pushback")]);
    let proxy = Proxy::start_by(shell.args(arguments).stderr(Stdio::null()));
    for path in ["/a?ms=100", "/b?ms=100", "/a?ms=100", "/b?ms=100"] {
        let mut asking = JoinSet::new();
        for _ in 0..11 {
            let address = proxy.address.clone();
            asking.spawn(async move {
                let mut client = Raw::connect(&address).await;
                client.get(&address, path).await.map(|answer| answer.status)
            });
        }
        let answers = within(Duration::from_secs(20), "an answer for all", asking.join_all()).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(200))), "{path}: {answers:?}");
    }
}

#[tokio::test]
async fn calls_on_one_connection_leave_files_for_probes() {
    let service = Service::start();
    let (proxy, probes) = proxy_of_few_files(&service);
    let (client, _) = Streams::connect(&proxy.address).await;
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let client = client.clone();
        calls.spawn(async move { client.get("/?ms=3000").await.unwrap().status().as_u16() });
    }
    assert_eq!(calls.join_next().await.unwrap().unwrap(), 503, "there are no files for all of them");
    assert_answers_probes(&proxy, &probes).await;
    let answers = calls.join_all().await;
    let served = answers.iter().filter(|status| **status == 200).count();
    assert!(served >= 10, "{answers:?}");
}
