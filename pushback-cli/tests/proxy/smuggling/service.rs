//! A service that records all it gets, and answers every request it sees an end of, as it is told to.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

#[cfg(target_os = "linux")]
use socket2::SockRef;

pub(super) struct Service {
    pub(super) address: SocketAddr,
    accepting: JoinHandle<Vec<JoinHandle<Vec<u8>>>>,
    is_over: Arc<AtomicBool>,
}

/// What the first client's request is answered.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) answer: Vec<u8>,
    /// Nothing comes behind it.
    pub(super) ends: bool,
}

impl Default for Script {
    fn default() -> Self {
        Script { answer: USUAL.to_vec(), ends: false }
    }
}

const USUAL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Service {
    pub(super) fn start(script: &Script) -> Self {
        let script = script.clone();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let accepting = thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming().map(Result::unwrap) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let script = script.clone();
                connections.push(thread::spawn(move || serve(stream, &script)));
            }
            connections
        });
        Service { address, accepting, is_over }
    }

    /// What came on each connection, once the proxy has ended and closed them all.
    pub(super) fn end(self) -> Vec<Vec<u8>> {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address).unwrap()); // wakes the listener
        let connections = self.accepting.join().unwrap();
        let all = connections.into_iter().map(|connection| connection.join().unwrap());
        all.filter(|got| !got.is_empty()).collect()
    }
}

fn serve(mut stream: TcpStream, script: &Script) -> Vec<u8> {
    let (mut got, mut answered) = (Vec::new(), 0);
    let mut part = [0; 64 << 10];
    // A connection that is reset has ended, too.
    while let Ok(count @ 1..) = stream.read(&mut part) {
        got.extend_from_slice(&part[..count]);
        while let Some((head, end)) =
            request(&got[answered..]).and_then(|Request { head, end }| Some((head, end?)))
        {
            answered += end;
            let is_next = head.starts_with("GET /next ");
            if script.ends && !is_next {
                // An end that comes in the same segment is seen together with what came before it, whenever the reader looks.
                #[cfg(target_os = "linux")]
                SockRef::from(&stream).set_tcp_cork(true).unwrap();
            }
            // Nobody may be there any more to read it.
            let _ = stream.write_all(if is_next { USUAL } else { &script.answer });
            if script.ends && !is_next {
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
    got
}

/// The heads of all requests in a stream, the one that breaks off in its body, too.
pub(super) fn heads(mut stream: &[u8]) -> Vec<String> {
    let mut heads = Vec::new();
    while let Some(request) = request(stream) {
        heads.push(request.head);
        let Some(end) = request.end else { break };
        stream = &stream[end..];
    }
    heads
}

struct Request {
    head: String,
    /// Where its body ends, if that has come.
    end: Option<usize>,
}

/// The first request of a stream, read carelessly: the strict readers come later.
fn request(stream: &[u8]) -> Option<Request> {
    let body_at = find(stream, b"\r\n\r\n")? + 4;
    let head: String = stream[..body_at - 4].iter().copied().map(char::from).collect();
    let value = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (is, value) = line.split_once(':')?;
            is.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let body = &stream[body_at..];
    let length = if value("transfer-encoding").is_some() {
        chunked(body)
    } else {
        let length = value("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        (body.len() >= length).then_some(length)
    };
    Some(Request { end: length.map(|length| body_at + length), head })
}

/// How long a chunked body is, if it has ended.
fn chunked(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&body[at..], b"\r\n")?;
        let size = std::str::from_utf8(&body[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2;
        if size == 0 {
            break;
        }
        at = Some(at + size + 2).filter(|at| *at <= body.len())?;
    }
    loop {
        let line = find(&body[at..], b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some(at);
        }
    }
}

pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
