//! Services that do byte by byte what a test says.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

/// What a service does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Answers,
    /// Closes the connection, after these bytes.
    Closes(&'static [u8]),
    /// Nothing, and goes on.
    Hangs,
    /// Only over HTTP/2, and the connection goes on.
    Refuses,
    /// The same, and the connection takes no more: GOAWAY, with this request above its last one.
    LeavesOut,
    /// Answers when the test says so; only over HTTP/2, and the connection takes no more then: GOAWAY, with this request for its last one.
    AnswersLast,
}

/// A service that does so with the requests that come, the first of them first and whatever connection they come on; and answers those
/// behind them.
pub(super) struct Scripted {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    /// Hears of each connection that the other side has closed.
    pub(super) closed: mpsc::Receiver<()>,
    /// By which it is told to answer.
    pub(super) answer: mpsc::Sender<()>,
}

/// What a connection goes by.
struct Script {
    does: Vec<Does>,
    requests: Arc<AtomicUsize>,
    told: Mutex<mpsc::Receiver<()>>,
}

impl Script {
    fn next(&self) -> Does {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        self.does.get(number).copied().unwrap_or(Does::Answers)
    }
}

type Serve = fn(TcpStream, &Script) -> std::io::Result<()>;

impl Scripted {
    pub(super) fn http1(script: &[Does]) -> Self {
        Scripted::start(script, http1)
    }

    pub(super) fn http2(script: &[Does]) -> Self {
        Scripted::start(script, http2)
    }

    fn start(script: &[Does], serve: Serve) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let ((tell, closed), (answer, told)) = (mpsc::channel(), mpsc::channel());
        let script =
            Script { does: script.to_vec(), requests: Arc::clone(&requests), told: Mutex::new(told) };
        let (script, count) = (Arc::new(script), Arc::clone(&connections));
        thread::spawn(move || {
            for connection in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, tell) = (Arc::clone(&script), tell.clone());
                thread::spawn(move || {
                    let _ = serve(connection.unwrap(), &script);
                    let _ = tell.send(());
                });
            }
        });
        Scripted { port, connections, requests, closed, answer }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Requests without a body, or with one whose length is said.
fn http1(mut connection: TcpStream, script: &Script) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        connection.read_exact(&mut body)?;
        match script.next() {
            Does::Closes(bytes) => return connection.write_all(bytes),
            Does::Hangs => (),
            _ => connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?,
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const NO_ERROR: [u8; 4] = [0; 4];
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
/// MAX_CONCURRENT_STREAMS is 1.
const ONE_STREAM: [u8; 6] = [0, 3, 0, 0, 0, 1];
/// By the static table of HPACK: `:status: 200`.
const STATUS_200: [u8; 1] = [0x88];

/// Requests of any kind, one at once, each judged when its last byte is there.
fn http2(mut connection: TcpStream, script: &Script) -> std::io::Result<()> {
    connection.read_exact(&mut [0; 24])?; // the preface
    let mut connection = Frames(connection);
    connection.write(SETTINGS, 0, 0, &ONE_STREAM)?;
    let mut highest = 0_u32;
    loop {
        let (kind, flags, stream) = connection.read()?;
        match kind {
            SETTINGS if flags & ACK == 0 => connection.write(SETTINGS, ACK, 0, &[])?,
            HEADERS | DATA if flags & END_STREAM != 0 => match script.next() {
                Does::Answers => {
                    highest = highest.max(stream);
                    connection.write(HEADERS, END_STREAM | END_HEADERS, stream, &STATUS_200)?;
                }
                Does::Closes(_) => return Ok(()),
                Does::Hangs => (),
                Does::Refuses => connection.write(RST_STREAM, 0, stream, &REFUSED_STREAM)?,
                Does::LeavesOut => {
                    let last = highest.to_be_bytes();
                    connection.write(GOAWAY, 0, 0, &[last, NO_ERROR].concat())?;
                }
                Does::AnswersLast => {
                    let _ = script.told.lock().unwrap().recv();
                    connection.write(GOAWAY, 0, 0, &[stream.to_be_bytes(), NO_ERROR].concat())?;
                    connection.write(HEADERS, END_STREAM | END_HEADERS, stream, &STATUS_200)?;
                }
            },
            _ => (),
        }
    }
}

struct Frames(TcpStream);

impl Frames {
    /// Its kind, flags and stream.
    fn read(&mut self) -> std::io::Result<(u8, u8, u32)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.0.read_exact(&mut vec![0; length as usize])?;
        Ok((kind, flags, u32::from_be_bytes(stream)))
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&[a, b, c, kind, flags][..], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head[..], payload].concat())
    }
}
