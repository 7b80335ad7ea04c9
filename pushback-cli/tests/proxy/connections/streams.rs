//! Streams of HTTP/2 that a service does not take.

use std::{convert::Infallible, time::Duration};

use hyper::{Request, Response, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

use super::scripted::{Does, Scripted};
use crate::support::{Proxy, get, read, request, send};

fn proxy(service: &Scripted) -> Proxy {
    Proxy::start(&format!("h2c://{}", service.address()), &["--workers", "1"])
}

#[test]
fn a_stream_that_was_refused_or_left_out_is_asked_for_once_more_by_any_method() {
    for (does, connections) in [(Does::Refuses, 1), (Does::LeavesOut, 2)] {
        for method in ["GET", "POST"] {
            for before in [0, 1] {
                let script = [&[Does::Answers][..before], &[does]].concat();
                let service = Scripted::http2(&script);
                let proxy = proxy(&service);
                let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
                for _ in 0..=before {
                    assert_eq!(read(&mut send(&proxy.address, &request)).status, 200, "{does:?} {method}");
                }
                let seen = (service.requests(), service.connections());
                assert_eq!(seen, (before + 2, connections), "{does:?} {method}");
                proxy.holds(0.0);
            }
        }
    }
}

#[test]
fn a_stream_is_not_asked_for_a_third_time_nor_with_half_a_body() {
    for does in [Does::Refuses, Does::LeavesOut] {
        let service = Scripted::http2(&[does, does]);
        let proxy = proxy(&service);
        let answer = proxy.get("/");
        let word = answer.field("proxy-status");
        assert_eq!(
            (answer.status, word),
            (502, Some("pushback; error=http_response_incomplete")),
            "{does:?}"
        );
        assert_eq!(service.requests(), 2, "{does:?}");

        let service = Scripted::http2(&[does]);
        let proxy = self::proxy(&service);
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read(&mut send(&proxy.address, request)).status, 502, "{does:?}");
        assert_eq!(service.requests(), 1, "{does:?}");
        proxy.holds(0.0);
    }
}

/// Of a body that was not touched yet, nothing is lost.
#[test]
fn what_waits_for_a_stream_when_its_connection_ends_goes_out_on_another_one_with_its_body() {
    let service = Scripted::http2(&[Does::AnswersLast]);
    let proxy = proxy(&service);
    let mut first = send(&proxy.address, &request(&proxy.address, "/"));
    while service.requests() == 0 {
        std::thread::yield_now();
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let mut waiting = [post, post].map(|post| send(&proxy.address, post));
    proxy.holds(3.0);
    service.answer.send(()).unwrap();
    assert_eq!(read(&mut first).status, 200);
    for connection in &mut waiting {
        assert_eq!(read(connection).status, 200);
    }
    assert_eq!((service.requests(), service.connections()), (3, 2));
    proxy.holds(0.0);
}

/// Serves as one with ten streams on each connection does that takes its time.
async fn serve_ten_streams(listener: TcpListener) {
    while let Ok((connection, _)) = listener.accept().await {
        let works = service_fn(async |_: Request<_>| {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<_, Infallible>(Response::new(String::new()))
        });
        let mut server = http2::Builder::new(TokioExecutor::new());
        tokio::spawn(server.max_concurrent_streams(10).serve_connection(TokioIo::new(connection), works));
    }
}

/// The statuses of forty calls at once.
fn forty(proxy: &Proxy) -> JoinSet<u16> {
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        let address = proxy.address.clone();
        asked.spawn_blocking(move || get(&address, "/").status);
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_above_the_streams_that_a_service_allows_waits_for_its_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    let proxy = Proxy::start(&url, &["--workers", "1", "--limit", "100"]);
    let first = forty(&proxy);
    // All are on their way before the service says how many it allows.
    proxy.holds(40.0);
    tokio::spawn(serve_ten_streams(listener));
    for asked in [first, forty(&proxy)] {
        let answers = asked.join_all().await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    }
    // No longer than the route's time-out.
    let proxy = Proxy::start(&url, &["--workers", "1", "--limit", "100", "--timeout", "250ms"]);
    let mut answers = forty(&proxy).join_all().await;
    answers.sort_unstable();
    answers.dedup();
    assert_eq!(answers, [200, 504]);
    proxy.holds(0.0);
}
