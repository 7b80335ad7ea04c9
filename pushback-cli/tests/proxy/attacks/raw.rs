//! A client over HTTP/1 that sends what it is told to, at whatever pace, and leaves as it likes.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
};

use super::within;
use crate::support::{Answer, request};

/// Only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Raw {
    stream: BufReader<TcpStream>,
}

impl Raw {
    pub(super) async fn connect(address: &str) -> Self {
        Raw::of(TcpStream::connect(address).await.expect("somebody listens"))
    }

    /// With a receive buffer that holds little, so that what the client does not read stays with the proxy, and so that what it does read
    /// is soon known there: the packets of this machine to itself are large, and a larger buffer would tell of room in steps of more than
    /// a hundred kilobytes.
    pub(super) async fn connect_narrow(address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        Raw::of(socket.connect(address.parse().unwrap()).await.expect("somebody listens"))
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Raw { stream: BufReader::new(stream) }
    }

    /// A connection on which this was sent, or as much of it as was wanted.
    pub(super) async fn send(address: &str, bytes: &[u8]) -> Self {
        let mut raw = Raw::connect(address).await;
        let _ = raw.write(bytes).await;
        raw
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    pub(super) async fn get(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        self.write(request(host, path).as_bytes()).await?;
        self.answer().await
    }

    /// Reads to the empty line behind a head.
    pub(super) async fn head(&mut self) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(PATIENCE, "the head of an answer", self.stream.read_u8()).await?);
        }
        let head = String::from_utf8(head).expect("it is ASCII").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, head, body: String::new() })
    }

    /// Reads an answer whose length its head says.
    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.head().await?;
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = String::from_utf8(self.read(length).await?).expect("it is a text");
        Ok(answer)
    }

    /// So many bytes.
    pub(super) async fn read(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        within(PATIENCE, "the rest of an answer", self.stream.read_exact(&mut read)).await?;
        Ok(read)
    }

    /// Waits until the other side has closed, cleanly or not.
    pub(super) async fn end(&mut self) {
        while self.stream.read_u8().await.is_ok() {}
    }

    /// Says that nothing more will come.
    pub(super) async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Leaves without a word: what was not sent is not, and the other side hears of a reset.
    pub(super) fn reset(self) {
        let _ = self.stream.get_ref().set_zero_linger();
    }
}
