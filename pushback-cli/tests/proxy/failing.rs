//! Services that fail, and clients that leave.

use std::{io::Read, net::TcpListener, process::Stdio, thread, time::Duration};

use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use crate::support::{Answer, Proxy, Service, head, read, request, send};

#[test]
fn each_way_to_fail_has_a_status_and_a_word_of_its_own_and_leaves_no_place_behind() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--timeout", "200ms", "--limit", "10"]);
    for (path, status, error) in [
        ("/?ms=1000", 504, "http_response_timeout"),
        ("/close", 502, "http_response_incomplete"),
        ("/garbage", 502, "http_protocol_error"),
    ] {
        let answer = proxy.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.field("proxy-status"), Some(format!("pushback; error={error}").as_str()), "{path}");
    }
    proxy.holds(0.0);

    // A port on which nobody listens any more.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::start(&format!("http://{dead}"), &[]);
    let answer = proxy.get("/");
    assert_eq!(
        (answer.status, answer.field("proxy-status")),
        (502, Some("pushback; error=connection_refused"))
    );
    proxy.holds(0.0);
}

#[test]
fn a_service_that_fails_is_told_at_once_and_then_seldom_and_counted() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let errors = |name: &str| format!("pushback_proxy_errors_total{{error=\"{name}\"}}");
    let mut proxy = Proxy::start_as(&format!("http://{dead}"), &["--drain", "0s"], |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    assert_eq!(proxy.metric(&errors("connection_refused")).round(), 0.0, "it is there from the start");
    for _ in 0..20 {
        assert_eq!(proxy.get("/").status, 502);
    }
    let malformed = send(&proxy.address, "GET http://a#x HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(read(&mut { malformed }).status, 400);
    assert_eq!(proxy.metric(&errors("connection_refused")).round(), 20.0);
    assert_eq!(proxy.metric(&errors("http_request_error")).round(), 1.0);
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 0);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    let lines: Vec<_> =
        said.lines().filter(|line| line.contains("a call got no answer from its service")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let fields = ["WARN", &format!("service=http://{dead}"), "The service refuses connections"];
    assert!(fields.iter().all(|field| lines[0].contains(field)), "{said}");
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_client_too() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    let mut connection = send(&proxy.address, &request(&proxy.address, "/half"));
    assert!(head(&mut connection).contains("content-length: 100\r\n"));
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest);
    assert!(rest.len() < 100, "it must not look whole");
    proxy.holds(0.0);
}

/// The service's thread works on, whoever has left: without this, the next call would run beside the first.
#[test]
fn the_place_of_a_client_that_left_stays_taken_while_the_service_works_on() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1"]);
    for _ in 0..3 {
        let leaving = send(&proxy.address, &request(&proxy.address, "/?ms=300"));
        while service.ask("/running") != "1" {
            thread::yield_now();
        }
        drop(leaving);
        while proxy.get("/").status == 429 {}
        assert_eq!(service.ask("/running"), "0", "its place was given away while it ran");
    }
    proxy.holds(0.0);
}

/// Clients that ask and reset at once: <https://www.cve.org/CVERecord?id=CVE-2023-44487>.
#[tokio::test]
async fn streams_that_are_reset_at_once_do_not_fill_the_service_above_its_limit() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "4"]);
    let connection = TcpStream::connect(&proxy.address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    let url = format!("http://{}/?ms=300", proxy.address);
    let ask = |client: &mut http2::SendRequest<String>| {
        client.send_request(Request::get(&url).body(String::new()).unwrap())
    };
    for _ in 0..300 {
        client.ready().await.unwrap();
        let asked = ask(&mut client);
        // Given the time to be sent, and then dropped, which resets its stream.
        let _ = timeout(Duration::from_millis(2), asked).await;
    }
    let refused = proxy.metric("pushback_refused_total{gauge=\"upstream\",reason=\"full\"}");
    assert!(refused > 100.0, "{refused} of 300 refused");
    let most: u32 = service.ask("/most").parse().unwrap();
    // The service counts a call until its answer is written, a moment longer than that the answer is here.
    assert!(most <= 6, "{most} ran at once");
    while client.ready().await.is_err() || ask(&mut client).await.unwrap().status() != 200 {}
    proxy.holds(0.0);
}

#[test]
fn a_client_that_sends_half_a_body_and_leaves_takes_no_place_along() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1"]);
    let half = send(&proxy.address, &half_of_a_large_body());
    proxy.holds(1.0);
    drop(half);
    proxy.holds(0.0);
    assert_eq!(proxy.get("/").status, 200);
}

#[test]
fn whoever_stalls_in_the_middle_of_a_body_loses_the_place() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1", "--stall", "300ms"]);
    let mut half = send(&proxy.address, &half_of_a_large_body());
    proxy.holds(1.0);
    proxy.holds(0.0);
    assert_is_told_so(&read(&mut half));
}

#[test]
fn whoever_stalls_in_a_small_body_never_had_a_place() {
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &["--limit", "1", "--stall", "300ms"]);
    let mut half = send(&proxy.address, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
    assert_is_told_so(&read(&mut half));
    let admitted = proxy.metric("pushback_admitted_total{gauge=\"upstream\"}");
    assert!(admitted.abs() < f64::EPSILON, "{admitted}");
}

fn assert_is_told_so(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.field("proxy-status")),
        (408, Some("pushback; error=http_request_error"))
    );
}

/// More than is read before the gauge is asked.
fn half_of_a_large_body() -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{}", "x".repeat(100_000))
}
