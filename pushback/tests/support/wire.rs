//! What tests need that speak HTTP/1 over a real connection, byte by byte.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Bytes};
use http_body::{Body, Frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Serves as axum's users do, on a port of its own.
pub(crate) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// A connection on which this was sent, and from which nothing is read yet.
pub(crate) async fn send(address: &str, request: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// A connection that asks once and is not read yet.
pub(crate) async fn ask(address: &str) -> TcpStream {
    send(address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")).await
}

/// The next line of an answer.
pub(crate) async fn line(connection: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(PATIENCE, connection.read_u8()).await.expect("no answer").unwrap());
    }
    String::from_utf8(line).unwrap()
}

/// The head of an answer, to its empty line.
pub(crate) async fn head(connection: &mut TcpStream) -> String {
    let mut head = line(connection).await;
    while !head.ends_with("\r\n\r\n") {
        head += &line(connection).await;
    }
    head
}

/// Waits until something has become true that no event tells: other tasks go on meanwhile.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it never came to that");
}

/// A body without an end, in parts as a file has them. A body of one part would be the server's at once, and no longer the
/// service's.
pub(crate) struct Flood;

impl Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 64 << 10])))))
    }
}
