//! A client over HTTP/2, whose uploads come as it is told to send them, and break off.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{Either, Empty};
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::mpsc, task::JoinHandle};

/// A body that comes in parts. When the sender of its parts is dropped, it breaks off, which resets its stream.
pub(super) struct Parts(mpsc::UnboundedReceiver<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let broken_off = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.poll_recv(cx).map(|part| Some(part.map(Frame::data).ok_or_else(broken_off)))
    }
}

type Sent = Either<Empty<Bytes>, Parts>;

/// A connection; clones are the same one.
#[derive(Clone)]
pub(super) struct Streams {
    client: http2::SendRequest<Sent>,
    address: String,
}

impl Streams {
    /// Also what ends with the connection.
    pub(super) async fn connect(address: &str) -> (Self, JoinHandle<()>) {
        Streams::connect_as(address, |_| ()).await
    }

    /// The same, with other habits.
    pub(super) async fn connect_as(
        address: &str,
        prepare: impl FnOnce(&mut http2::Builder<TokioExecutor>),
    ) -> (Self, JoinHandle<()>) {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let mut client = http2::Builder::new(TokioExecutor::new());
        prepare(&mut client);
        let (client, connection) = client.handshake(TokioIo::new(stream)).await.unwrap();
        let ended = tokio::spawn(async move {
            let _ = connection.await;
        });
        (Streams { client, address: address.to_owned() }, ended)
    }

    /// Waits for the head of the answer; dropped, it resets the stream.
    pub(super) async fn get(&self, path: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(self.url(path)).body(Either::Left(Empty::new())).unwrap();
        self.ask(request).await
    }

    /// The same for a request with a body, whose parts are still to be sent.
    pub(super) fn post(
        &self,
        length: usize,
    ) -> (mpsc::UnboundedSender<Bytes>, impl Future<Output = hyper::Result<Response<Incoming>>> + use<>) {
        let (parts, body) = mpsc::unbounded_channel();
        let request = Request::post(self.url("/")).header("content-length", length);
        let request = request.body(Either::Right(Parts(body))).unwrap();
        let streams = self.clone();
        (parts, async move { streams.ask(request).await })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn ask(&self, request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        let mut client = self.client.clone();
        client.ready().await?;
        client.send_request(request).await
    }
}
