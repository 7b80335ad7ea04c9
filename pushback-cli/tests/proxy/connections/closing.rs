//! Kept connections that the service closes, at that very moment or while nobody calls, and those that the proxy closes.

use std::time::Duration;

use super::scripted::{Does, Scripted};
use crate::support::{Proxy, head, send};

/// One worker, so that there is one pool.
fn proxy(scheme: &str, service: &Scripted, arguments: &[&str]) -> Proxy {
    Proxy::start(&format!("{scheme}://{}", service.address()), &[&["--workers", "1"], arguments].concat())
}

/// What a request by this method gets, with a body of so many bytes if there is one.
fn status(proxy: &Proxy, method: &str, body: usize) -> (u16, Option<String>) {
    let length = if body > 0 { format!("Content-Length: {body}\r\n") } else { String::new() };
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n{length}\r\n{}", "x".repeat(body));
    let head = head(&mut send(&proxy.address, &request));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let word = head.lines().find_map(|line| line.strip_prefix("proxy-status: "));
    (status, word.map(str::to_owned))
}

fn broken() -> (u16, Option<String>) {
    (502, Some("pushback; error=http_response_incomplete".to_owned()))
}

fn service(scheme: &str, script: &[Does]) -> Scripted {
    if scheme == "http" { Scripted::http1(script) } else { Scripted::http2(script) }
}

/// A proxy that has a kept connection to a service which then does so.
fn kept(scheme: &str, script: &[Does]) -> (Scripted, Proxy) {
    let service = service(scheme, &[&[Does::Answers], script].concat());
    let proxy = proxy(scheme, &service, &["--timeout", "2s"]);
    assert_eq!(status(&proxy, "GET", 0).0, 200);
    (service, proxy)
}

#[test]
fn what_may_be_done_twice_goes_out_once_more_when_a_kept_connection_ends_before_its_answer() {
    for scheme in ["http", "h2c"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            let (service, proxy) = kept(scheme, &[Does::Closes(b"")]);
            assert_eq!(status(&proxy, method, 0), (200, None), "{scheme} {method}");
            assert_eq!((service.requests(), service.connections()), (3, 2), "{scheme} {method}");
            proxy.holds(0.0);
            assert!((proxy.metric("pushback_admitted_total{gauge=\"upstream\"}") - 2.0).abs() < 0.5);
        }
    }
}

#[test]
fn what_may_not_be_done_twice_is_not_sent_twice() {
    for scheme in ["http", "h2c"] {
        for (method, body) in [("POST", 0), ("PATCH", 0), ("POST", 3), ("PUT", 3)] {
            let (service, proxy) = kept(scheme, &[Does::Closes(b"")]);
            assert_eq!(status(&proxy, method, body), broken(), "{scheme} {method} {body}");
            assert_eq!(service.requests(), 2, "{scheme} {method} {body}");
            proxy.holds(0.0);
        }
    }
}

#[test]
fn nothing_goes_out_more_than_twice_and_nothing_again_that_a_fresh_connection_lost() {
    for scheme in ["http", "h2c"] {
        let (service, proxy) = kept(scheme, &[Does::Closes(b""), Does::Closes(b"")]);
        assert_eq!(status(&proxy, "GET", 0), broken(), "{scheme}");
        assert_eq!(service.requests(), 3, "{scheme}");

        let service = self::service(scheme, &[Does::Closes(b"")]);
        let proxy = self::proxy(scheme, &service, &[]);
        assert_eq!(status(&proxy, "GET", 0), broken(), "{scheme}");
        assert_eq!(service.requests(), 1, "{scheme}");
    }
}

/// Its second connection has what the first one has left of it.
#[test]
fn both_attempts_have_one_time_out_together() {
    for scheme in ["http", "h2c"] {
        let (service, proxy) = kept(scheme, &[Does::Closes(b""), Does::Hangs]);
        let too_slow = (504, Some("pushback; error=http_response_timeout".to_owned()));
        assert_eq!(status(&proxy, "GET", 0), too_slow, "{scheme}");
        assert_eq!(service.requests(), 3, "{scheme}");
        proxy.holds(0.0);
    }
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let (service, proxy) = kept("http", &[Does::Closes(b"HTTP/1.1 20")]);
    assert_eq!(status(&proxy, "GET", 0).0, 502);
    assert_eq!(service.requests(), 2);
}

#[test]
fn a_connection_on_which_nothing_runs_is_closed_in_time_though_nobody_calls() {
    for scheme in ["http", "h2c"] {
        let service = service(scheme, &[]);
        let proxy = proxy(scheme, &service, &["--keep-alive", "200ms"]);
        assert_eq!(status(&proxy, "GET", 0).0, 200);
        service.closed.recv_timeout(Duration::from_secs(30)).expect("it is closed");
        assert_eq!(status(&proxy, "GET", 0).0, 200);
        assert_eq!(service.connections(), 2, "{scheme}");
    }
}

#[test]
fn a_connection_that_is_always_in_use_grows_old_all_the_same() {
    for scheme in ["http", "h2c"] {
        let service = service(scheme, &[]);
        let proxy = proxy(scheme, &service, &["--keep-alive", "1h", "--connection-age", "1s"]);
        while service.connections() < 2 {
            assert_eq!(status(&proxy, "GET", 0).0, 200);
        }
        service.closed.recv_timeout(Duration::from_secs(30)).expect("the old one is closed");
    }
}
