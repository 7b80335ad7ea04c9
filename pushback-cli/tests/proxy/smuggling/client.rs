//! A client over HTTP/1 that sends whatever it is told to.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use super::{
    service::find,
    vector::{Answer, Raw, bytes, unfold},
};

/// Only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks, and says what else than expected came back.
pub(super) fn ask(proxy: SocketAddr, raw: &Raw) -> Result<(), String> {
    let mut client = Client::connect(proxy);
    client.send(&bytes(&raw.request));
    if raw.ends {
        client.stream.shutdown(Shutdown::Write).map_err(|error| error.to_string())?;
    }
    let mut answers = Vec::new();
    while answers.len() < raw.answers.len() {
        match client.answer()? {
            Some(status) => answers.push(status),
            None => break,
        }
    }
    if answers != raw.answers {
        return Err(format!("the answers are {answers:?} and not {:?}", raw.answers));
    }
    if !raw.closes {
        client.send(b"GET /again HTTP/1.1\r\nHost: again\r\nConnection: close\r\n\r\n");
        if client.answer()? != Some(200) {
            return Err("the connection did not stay open".to_owned());
        }
    }
    match client.answer()? {
        None => Ok(()),
        Some(more) => Err(format!("another answer came: {more}")),
    }
}

/// Asks for what the service answers by its script, and says what else than expected came of it.
pub(super) fn ask_for(proxy: SocketAddr, answer: &Answer) -> Result<(), String> {
    let mut client = Client::connect(proxy);
    client.send(&bytes(&answer.request));
    while client.read()? {}
    let end = find(&client.got, b"\r\n\r\n").ok_or("there is no answer")?;
    let (head, body) = client.got.split_at(end + 4);
    let shown = client.got.escape_ascii();
    let text: String = head.iter().copied().map(char::from).collect();
    if text.lines().next() != Some(&*answer.line) {
        return Err(format!("the answer does not begin with '{}': {shown}", answer.line));
    }
    if let Some(line) = answer.gets.iter().find(|line| !text.split("\r\n").any(|is| is == unfold(line))) {
        return Err(format!("there is no '{line}' in {shown}"));
    }
    let all = client.got.to_ascii_lowercase();
    if let Some(word) = answer.never.iter().find(|word| find(&all, word.as_bytes()).is_some()) {
        return Err(format!("'{word}' is in {shown}"));
    }
    match &answer.body {
        Some(expected) if bytes(expected) != body => Err(format!("the body is not {expected:?}: {shown}")),
        _ => Ok(()),
    }
}

/// The next client, after a vector.
pub(super) fn ask_next(proxy: SocketAddr) -> Result<(), String> {
    let mut client = Client::connect(proxy);
    client.send(b"GET /next HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n");
    match (client.answer()?, client.answer()?) {
        (Some(200), None) => Ok(()),
        wrong => Err(format!("the next client got {wrong:?}")),
    }
}

struct Client {
    stream: TcpStream,
    /// What came and was not looked at.
    got: Vec<u8>,
}

impl Client {
    fn connect(proxy: SocketAddr) -> Self {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream, got: Vec::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        // A proxy that has read enough may have closed already; its answer is there all the same.
        let _ = self.stream.write_all(bytes);
    }

    /// The status of the next answer, or nothing if the connection is closed.
    fn answer(&mut self) -> Result<Option<u16>, String> {
        let head_end = loop {
            if let Some(end) = find(&self.got, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.read()? {
                let left = self.got.escape_ascii().to_string();
                return if left.is_empty() { Ok(None) } else { Err(format!("an answer broke off: {left}")) };
            }
        };
        let head: Vec<u8> = self.got.drain(..head_end).collect();
        let head = String::from_utf8(head).map_err(|error| error.to_string())?.to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(head.clone())?;
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.got.len() < length {
            if !self.read()? {
                return Err(format!("the body broke off of {head}"));
            }
        }
        self.got.drain(..length);
        Ok(Some(status))
    }

    /// Reads more; not at the end.
    fn read(&mut self) -> Result<bool, String> {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(count) => {
                self.got.extend_from_slice(&part[..count]);
                Ok(count > 0)
            }
            // What was sent behind the proxy's last word has been thrown away.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(format!("neither an answer nor an end: {error}")),
        }
    }
}
