//! Connections that have become something else.

use std::{
    io::{BufRead, ErrorKind, Read, Write},
    net::TcpStream,
    process::Stdio,
    time::{Duration, Instant},
};

use pushback::{Clock, SystemClock};
use tempfile::TempDir;

use crate::support::{Proxy, Service, get, head, read, request, send};

const ASKED: &str =
    "GET /echo-upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const OPEN: &str = "pushback_upgraded_connections{route=\"all\"}";

fn proxy(folder: &TempDir, service: &Service, route: &str, other: &str) -> Proxy {
    write(folder, service, "all", route, other);
    let file = folder.path().join("pushback.toml");
    Proxy::start_with(&["--config", file.to_str().unwrap()], |command| {
        command.stderr(Stdio::piped());
    })
}

/// Its settings, of one route of this name.
fn write(folder: &TempDir, service: &Service, name: &str, route: &str, other: &str) {
    let (url, usual) = (service.url(), "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"");
    let text = format!("{usual}\n{other}\n[[routes]]\nname = \"{name}\"\nto = \"{url}\"\n{route}\n");
    std::fs::write(folder.path().join("pushback.toml"), text).unwrap();
}

/// Waits until a line of the log has all these words.
fn logs(log: &mut impl BufRead, words: &[&str]) -> String {
    let mut lines = log.lines().map(Result::unwrap);
    lines.find(|line| words.iter().all(|word| line.contains(word))).expect("it says so before it ends")
}

/// A connection that has become something else.
fn upgraded(proxy: &Proxy) -> TcpStream {
    let mut connection = send(&proxy.address, ASKED);
    let head = head(&mut connection);
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    connection
}

fn since(begun: Instant) -> Duration {
    SystemClock.now() - begun
}

fn echoes(connection: &mut TcpStream) -> bool {
    let mut echoed = [0; 2];
    connection.write_all(b"hi").is_ok() && connection.read_exact(&mut echoed).is_ok() && &echoed == b"HI"
}

fn waits_for(proxy: &Proxy, open: f64) {
    proxy.waits_for(OPEN, open);
}

/// They used to pass a limit of two, twenty of them, and nobody counted them.
#[test]
fn upgraded_connections_are_counted_and_limited() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let proxy = proxy(&folder, &service, "limit = 10\nupgraded_limit = 2", "");
    let mut open = [upgraded(&proxy), upgraded(&proxy)];
    assert!(open.iter_mut().all(echoes));
    waits_for(&proxy, 2.0);
    proxy.holds(0.0); // for they hold no place that calls are waiting for

    let mut third = send(&proxy.address, ASKED);
    let refused = read(&mut third);
    let status = refused.field("proxy-status");
    assert_eq!((refused.status, status), (429, Some("pushback; error=connection_limit_reached")));
    assert!((proxy.metric("pushback_upgrades_refused_total{route=\"all\"}") - 1.0).abs() < f64::EPSILON);
    third.write_all(request("a", "/").as_bytes()).unwrap();
    assert_eq!(read(&mut third).status, 200, "its connection is as good as before");

    drop(open);
    waits_for(&proxy, 0.0);
    assert!(echoes(&mut upgraded(&proxy)));
}

#[test]
fn an_upgraded_connection_ends_when_nothing_moves_on_it_for_its_own_time() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let proxy = proxy(&folder, &service, "upgraded_idle = \"1s\"", "");
    let begun = SystemClock.now();
    let mut idle = upgraded(&proxy);
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0, "it has ended");
    assert!(since(begun) >= Duration::from_secs(1), "{:?}", since(begun));
    waits_for(&proxy, 0.0);
}

#[test]
fn an_upgraded_connection_may_be_idle_for_longer_than_one_of_requests() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let proxy = proxy(&folder, &service, "", "clients.idle = \"1s\"");
    let mut idle = upgraded(&proxy);
    idle.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let ended = idle.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(ended, Err(ErrorKind::WouldBlock), "nothing has come of it in this time");
    assert!(echoes(&mut idle));
}

/// They used to be cut after a second, whatever the drain's bound was.
#[test]
fn a_drain_leaves_upgraded_connections_alone_to_its_end() {
    const BOUND: Duration = Duration::from_secs(4);
    for leaves in [false, true] {
        let (folder, service) = (TempDir::new().unwrap(), Service::start());
        let mut proxy = proxy(&folder, &service, "", "drain = \"4s\"");
        let mut connection = upgraded(&proxy);
        waits_for(&proxy, 1.0);
        let begun = SystemClock.now();
        proxy.signal("-TERM");
        proxy.says("draining, 0 in flight and 1 upgraded connection open");
        // Nobody new is let in any more by then.
        while TcpStream::connect(&proxy.address).is_ok() {
            std::thread::yield_now();
        }
        assert!(echoes(&mut connection), "it was cut after {:?}", since(begun));
        if leaves {
            drop(connection);
            let (code, said) = proxy.end();
            assert_eq!(code, 0);
            assert!(!said.contains("Cut"), "{said}");
            assert!(since(begun) < BOUND, "nobody was left to wait for");
        } else {
            while echoes(&mut connection) {}
            assert!(since(begun) >= BOUND, "{:?}", since(begun));
            let (code, said) = proxy.end();
            assert_eq!(code, 0);
            assert!(said.contains("Cut after 4s: 1 upgraded connection.\n"), "{said}");
        }
    }
}

/// It used to say `Connection: close` alone, so that a client did not take it for an upgrade.
#[test]
fn a_connection_that_becomes_something_else_during_a_drain_is_told_so() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let proxy = proxy(&folder, &service, "", "");
    // Until its answer is there, all other connections are closed.
    let mut late = send(&proxy.address, &ASKED.replace("/echo-upgrade", "/echo-upgrade?ms=3000"));
    proxy.holds(1.0);
    proxy.signal("-TERM");
    while get(&proxy.admin, "/readyz").status == 200 {}
    let mut early = send(&proxy.address, ASKED);
    for (connection, when) in [(&mut early, "while clients are told"), (&mut late, "later")] {
        let head = head(connection);
        assert!(head.starts_with("http/1.1 101 "), "{when}: {head}");
        // Later, hyper adds "close" to it, which no client minds (RFC 6455, 4.1).
        assert!(head.contains("\r\nconnection: upgrade"), "{when}: {head}");
        assert!(echoes(connection), "{when}");
    }
    drop((early, late));
    assert_eq!(proxy.end().0, 0);
}

/// It used to be called "gauge", whichever route it was of.
#[test]
fn another_limit_of_upgraded_connections_is_logged_with_the_name_of_its_route() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let mut proxy = proxy(&folder, &service, "limit = 10\nupgraded_limit = 2", "");
    let mut log = proxy.log();
    write(&folder, &service, "all", "limit = 10\nupgraded_limit = 3", "");
    proxy.signal("-HUP");
    let line = logs(&mut log, &["limit set"]);
    assert!(line.contains("gauge=\"all upgraded\" limit=3 limit_before=2"), "{line}");
}

/// The figure used to stand still with them open, for ever.
#[test]
fn upgraded_connections_of_a_route_that_is_gone_are_counted_to_their_end() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let mut proxy = proxy(&folder, &service, "limit = 10", "");
    let mut log = proxy.log();
    let mut reload = |proxy: &Proxy, name: &str| {
        write(&folder, &service, name, "limit = 10\nupgraded_limit = 2", "");
        proxy.signal("-HUP");
        logs(&mut log, &["settings read again"]);
    };
    let (mut first, second) = (upgraded(&proxy), upgraded(&proxy));
    waits_for(&proxy, 2.0);
    reload(&proxy, "other");
    drop(second);
    waits_for(&proxy, 1.0);
    assert!(echoes(&mut first));

    // Its limit holds for both, if the route comes back.
    reload(&proxy, "all");
    let _third = upgraded(&proxy);
    waits_for(&proxy, 2.0);
    assert_eq!(read(&mut send(&proxy.address, ASKED)).status, 429);

    reload(&proxy, "other");
    proxy.signal("-TERM");
    proxy.says("draining, 0 in flight and 2 upgraded connections open");
}

#[test]
fn the_last_figure_of_a_route_that_is_gone_is_none() {
    let (folder, service) = (TempDir::new().unwrap(), Service::start());
    let mut proxy = proxy(&folder, &service, "limit = 10", "");
    let mut log = proxy.log();
    let mut reload = |proxy: &Proxy, name: &str| {
        write(&folder, &service, name, "limit = 10", "");
        proxy.signal("-HUP");
        logs(&mut log, &["settings read again"]);
    };
    let connection = upgraded(&proxy);
    waits_for(&proxy, 1.0);
    reload(&proxy, "other");
    drop(connection);
    // Nobody looks until it is forgotten.
    while service.ask("/running") != "0" {}
    reload(&proxy, "third");
    waits_for(&proxy, 0.0);
}
