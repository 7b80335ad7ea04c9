//! Requests and answers that two readers may read differently: what the client is told, and what reaches the service.
//!
//! Each vector has a proxy and a service to itself. After it, another client asks for `/next`, which may take the same connection
//! to the service: a request that was smuggled onto it would stand before that one, or swallow it. All that reached the service is
//! then read by two foreign parsers, which must agree with what the vector says.

mod client;
mod downgrade;
mod parsers;
mod service;
mod streams;
mod vector;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Mutex,
    thread,
};

use self::{
    parsers::Parsed,
    service::{Script, Service, find, heads},
    vector::{Expected, Vector, bytes},
};
use crate::support::Proxy;

/// What the service got in one vector: the bytes of each connection.
type Got = Vec<Vec<u8>>;

#[test]
fn no_request_is_smuggled_by() {
    let vectors = vector::all();
    let said = format!("{} byte-for-byte cases", vectors.len());
    assert!(include_str!("../../../docs/proxy.md").contains(&said), "docs/proxy.md does not say '{said}'");
    let (wrong, got) = run_all(&vectors);
    let parsed = parsers::parse_all(&got.iter().flatten().map(Vec::as_slice).collect::<Vec<_>>());
    let mut parsed = parsed.into_iter();
    let mut wrong = wrong;
    for (vector, got) in vectors.iter().zip(&got) {
        let parsed: Vec<Parsed> = parsed.by_ref().take(got.len()).collect();
        let checked = catch_unwind(AssertUnwindSafe(|| check(vector.expected(), got, &parsed)));
        wrong.extend(checked.err().map(|panic| format!("{}: {}", vector.name(), message(&*panic))));
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

#[test]
fn the_foreign_parsers_see_what_would_be_smuggled() {
    let smuggled =
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let broken_off = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let left_over = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n";
    let parsed = parsers::parse_all(&[smuggled, broken_off, left_over]);
    for foreign in ["node", "python"] {
        assert_eq!(parsed[0].requests(foreign), ["POST / ", "GET /smuggled "], "by {foreign}");
        assert_eq!(parsed[0].error(foreign), None, "by {foreign}");
        assert!(parsed[1].requests(foreign).is_empty() && parsed[1].error(foreign).is_some(), "by {foreign}");
        assert_eq!(parsed[2].requests(foreign), ["GET / "], "by {foreign}");
        assert!(parsed[2].error(foreign).is_some(), "by {foreign}");
    }
}

/// Runs all, many at once, for most of their time is the second for which a drain waits.
fn run_all(vectors: &[Vector]) -> (Vec<String>, Vec<Got>) {
    let todo = Mutex::new(vectors.iter().enumerate());
    let done = Mutex::new((Vec::new(), vec![Got::new(); vectors.len()]));
    let work = || {
        loop {
            let next = todo.lock().unwrap().next();
            let Some((index, vector)) = next else { break };
            let ran = catch_unwind(|| run(vector));
            let mut done = done.lock().unwrap();
            match ran {
                Ok((told, got)) => {
                    done.0.extend(told.err().map(|why| format!("{}: {why}", vector.name())));
                    done.1[index] = got;
                }
                Err(panic) => done.0.push(format!("{}: {}", vector.name(), message(&*panic))),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..48 {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap()
}

/// Whether the client was told what it should, and what the service got.
fn run(vector: &Vector) -> (Result<(), String>, Got) {
    let script = match vector {
        Vector::Answer(answer) => Script { answer: bytes(&answer.service), ends: answer.ends },
        _ => Script::default(),
    };
    let service = Service::start(&script);
    let proxy = Proxy::start(&format!("http://{}", service.address), &["--workers", "1", "--limit", "100"]);
    let told = match vector {
        Vector::Raw(raw) => client::ask(proxy.address.parse().unwrap(), raw),
        Vector::Downgrade(downgrade) => downgrade::ask(proxy.address.parse().unwrap(), downgrade),
        Vector::Answer(answer) => client::ask_for(proxy.address.parse().unwrap(), answer),
    };
    let next = client::ask_next(proxy.address.parse().unwrap());
    // Whatever the proxy would still send has been sent when it has ended.
    proxy.signal("-TERM");
    let (code, said) = proxy.end();
    assert_eq!(code, 0, "{said}");
    (told.and(next), service.end())
}

fn check(expected: &Expected, got: &Got, parsed: &[Parsed]) {
    for foreign in ["node", "python"] {
        let requests: Vec<String> = parsed.iter().flat_map(|parsed| parsed.requests(foreign)).collect();
        if expected.refused_by.as_deref() == Some(foreign) {
            let is_refused = parsed.iter().any(|parsed| parsed.error(foreign).is_some());
            assert!(is_refused && requests.is_empty(), "{foreign} took {requests:?} of {}", show(got));
            continue;
        }
        let all = expected.upstream.iter().map(String::as_str).chain(["GET /next "]);
        let all: Vec<String> = all.map(vector::unfold).collect();
        assert_eq!(sorted(requests), sorted(all), "by {foreign}; the service got {}", show(got));
        // A request that broke off must be the last one on its connection, and must not look like a whole one. Whether
        // some of it reaches the service at all is a matter of time.
        let errors: Vec<&str> = parsed.iter().filter_map(|parsed| parsed.error(foreign)).collect();
        assert!(errors.len() <= usize::from(expected.cut), "by {foreign}: {errors:?} in {}", show(got));
    }
    let heads: Vec<String> = got.iter().flat_map(|stream| heads(stream)).collect();
    for head in &heads {
        check_head(head);
    }
    let has = |line: &str| heads.iter().any(|head| head.split("\r\n").skip(1).any(|other| other == line));
    for line in &expected.has {
        assert!(has(&vector::unfold(line)), "there is no '{line}' in {}", show(got));
    }
    let all: Vec<u8> = got.concat().to_ascii_lowercase();
    for word in &expected.lacks {
        assert!(find(&all, word.as_bytes()).is_none(), "'{word}' is in {}", show(got));
    }
}

/// What holds for the head of every request that reaches a service.
fn check_head(head: &str) {
    let lines: Vec<&str> = head.split("\r\n").collect();
    let count = |name: &str| {
        let of = |line: &&&str| line.split_once(':').is_some_and(|(is, _)| is.eq_ignore_ascii_case(name));
        lines[1..].iter().filter(of).count()
    };
    for line in &lines {
        assert!(!line.contains(['\r', '\n', '\0']), "a bare CR, LF or NUL in {line:?}");
        assert!(!line.starts_with([' ', '\t']), "a folded line {line:?}");
    }
    assert!(lines[0].ends_with(" HTTP/1.1") && lines[0].split(' ').count() == 3, "the line {:?}", lines[0]);
    assert_eq!(count("host"), 1, "hosts in {head}");
    assert!(count("content-length") + count("transfer-encoding") <= 1, "two lengths in {head}");
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("via: 1.1 pushback-")).count(),
        1,
        "via in {head}"
    );
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
        assert_eq!(count(name), 1, "{name} in {head}");
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings", "forwarded", "expect"] {
        assert_eq!(count(name), 0, "{name} in {head}");
    }
    let upgrades = lines.iter().filter(|line| **line == "connection: upgrade").count();
    assert_eq!((count("connection"), count("upgrade")), (upgrades, upgrades), "connection in {head}");
}

/// Connections have no order among each other.
fn sorted(mut requests: Vec<String>) -> Vec<String> {
    requests.sort();
    requests
}

fn show(got: &Got) -> String {
    let stream = |stream: &Vec<u8>| stream[..stream.len().min(1000)].escape_ascii().to_string();
    got.iter().map(stream).collect::<Vec<_>>().join(" | ")
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}
