//! The clean end.

use std::{
    io::{Read, Write},
    process::Stdio,
    sync::mpsc,
    thread,
};

use crate::support::{Proxy, Service, get, head, read, request, send};

/// Calls on one connection until an answer says that it ends; gives how many were sent and served.
fn call_on(address: &str, tell: &mpsc::Sender<()>) -> (u32, u32) {
    let (mut sent, mut served) = (1, 0);
    let asked = request(address, "/?ms=2");
    let mut connection = send(address, &asked);
    loop {
        let answer = read(&mut connection);
        assert_eq!(answer.status, 200);
        served += 1;
        let _ = tell.send(());
        if answer.field("connection") == Some("close") {
            return (sent, served);
        }
        connection.write_all(asked.as_bytes()).unwrap();
        sent += 1;
    }
}

#[test]
fn sigterm_under_load_loses_no_call() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "100"]);
    let (tell, told) = mpsc::channel();
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (address, tell) = (proxy.address.clone(), tell.clone());
            thread::spawn(move || call_on(&address, &tell))
        })
        .collect();
    for _ in 0..200 {
        told.recv().unwrap();
    }
    proxy.signal("-TERM");
    let served: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(served.iter().all(|(sent, served)| sent == served), "{served:?}");
    let total: u32 = served.iter().map(|(_, served)| served).sum();
    let (code, said) = proxy.end();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("Drained: {total} admitted, 0 refused.")), "{total}: {said}");
}

#[test]
fn while_it_drains_it_is_alive_and_not_ready() {
    let service = Service::start();
    let mut proxy = Proxy::start(&service.url(), &[]);
    let mut slow = send(&proxy.address, &request(&proxy.address, "/?ms=1500"));
    proxy.holds(1.0);
    proxy.signal("-TERM");
    proxy.says("draining, 1 in flight");
    let mut ready = get(&proxy.admin, "/readyz");
    while ready.status == 200 {
        ready = get(&proxy.admin, "/readyz");
    }
    assert_eq!((ready.status, ready.body.as_str()), (503, "draining\n"));
    assert_eq!(get(&proxy.admin, "/healthz").status, 200);
    assert_eq!(read(&mut slow).status, 200, "what runs is finished");
    assert_eq!(proxy.end().0, 0);
}

/// Or the next proxy would let in as many again as the service may have, beside those.
#[test]
fn a_drain_waits_for_what_clients_left_behind() {
    let service = Service::start();
    for path in ["/?ms=1500", "/late-body?ms=1500"] {
        let mut proxy = Proxy::start(&service.url(), &[]);
        let mut leaving = send(&proxy.address, &request(&proxy.address, path));
        proxy.holds(1.0);
        if path.starts_with("/late") {
            head(&mut leaving);
        }
        drop(leaving);
        proxy.signal("-TERM");
        proxy.says("draining, 1 in flight");
        assert_eq!(proxy.end().0, 0);
        assert_eq!(service.ask("/running"), "0", "it ended before the service had: {path}");
    }
}

#[test]
fn a_drain_has_a_bound_and_a_second_signal_ends_at_once() {
    let service = Service::start();
    for signals in [1, 2] {
        let bound = if signals == 1 { "300ms" } else { "1h" };
        let mut proxy = Proxy::start(&service.url(), &["--drain", bound]);
        let _slow = send(&proxy.address, &request(&proxy.address, "/?ms=20000"));
        proxy.holds(1.0);
        proxy.signal("-TERM");
        proxy.says("draining, 1 in flight");
        if signals == 2 {
            proxy.signal("-TERM");
        }
        assert_eq!(proxy.end().0, 1);
    }
}

#[test]
fn a_log_for_programs_says_also_why_it_failed_as_they_read_it() {
    let service = Service::start();
    let arguments = ["--log", "json", "--drain", "300ms"];
    let mut proxy = Proxy::start_as(&service.url(), &arguments, |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    let _slow = send(&proxy.address, &request(&proxy.address, "/?ms=20000"));
    proxy.holds(1.0);
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 1);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    let lines: Result<Vec<serde_json::Value>, _> = said.lines().map(serde_json::from_str).collect();
    let lines = lines.unwrap_or_else(|error| panic!("{error}: {said}"));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["level"], &last["message"]),
        (&"ERROR".into(), &"1 still in flight after 300ms".into())
    );
}

/// They were in no figure of the drain, and cutting them was no failure.
#[test]
fn a_drain_counts_what_a_dry_run_lets_run_beside_the_limit() {
    let service = Service::start();
    let mut proxy = Proxy::start(&service.url(), &["--limit", "0", "--dry-run", "--drain", "300ms"]);
    let _slow = send(&proxy.address, &request(&proxy.address, "/?ms=20000"));
    proxy.waits_for("pushback_dry_run_in_flight{", 1.0);
    proxy.signal("-TERM");
    proxy.says("draining, 1 in flight");
    assert_eq!(proxy.end().0, 1);
}

/// Two that wait for nothing used to keep whoever waited behind them out, for as long as a drain may take.
#[test]
fn a_drain_at_the_cap_serves_whoever_is_connected_already() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--connections", "2", "--workers", "1", "--drain", "1h"]);
    let asked = request(&proxy.address, "/");
    let mut idle = [send(&proxy.address, &asked), send(&proxy.address, &asked)];
    assert!(idle.iter_mut().all(|connection| read(connection).status == 200));
    let mut in_backlog = send(&proxy.address, &asked);
    proxy.signal("-TERM");
    assert_eq!(read(&mut in_backlog).status, 200);
    assert_eq!(proxy.end().0, 0);
}
