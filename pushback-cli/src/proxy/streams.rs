//! A connection to a service over HTTP/2, with a stream for each call.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Mutex,
};

use super::{
    answer::Error,
    call::Upload,
    connect::{Address, Connected},
    upstream::{error_of, error_of_connect},
};

/// A worker's one connection. How many streams it may have is the service's word; calls above that wait.
pub(super) struct Streams {
    address: Address,
    /// How many times it was tried to connect.
    attempts: AtomicU64,
    last: Mutex<Last>,
}

/// What came of the last attempt.
enum Last {
    Nothing,
    Open(SendRequest<Upload>),
    Failed(Error),
}

impl Streams {
    pub(super) fn to(address: Address) -> Self {
        Streams { address, attempts: AtomicU64::new(0), last: Mutex::new(Last::Nothing) }
    }

    /// Sends it, and waits for the head of the answer. What was not sent at all, because the connection was just
    /// closed, is sent on another one; nothing else is tried twice.
    pub(super) async fn send(&self, mut request: Request<Upload>) -> Result<Response<Incoming>, Error> {
        loop {
            let (mut sender, is_kept) = self.sender().await?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => {
                        request = unsent;
                        *self.last.lock().await = Last::Nothing;
                    }
                    _ => return Err(error_of(&error.into_error())),
                },
            }
        }
    }

    /// The connection, and whether it was there already. Whoever waits while another call tries to connect fails with that one, and
    /// does not try anew.
    async fn sender(&self) -> Result<(SendRequest<Upload>, bool), Error> {
        let before = self.attempts.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        match &*last {
            Last::Open(sender) if !sender.is_closed() => return Ok((sender.clone(), true)),
            Last::Failed(error) if self.attempts.load(Ordering::Relaxed) != before => return Err(*error),
            _ => (),
        }
        self.attempts.fetch_add(1, Ordering::Relaxed);
        match self.open().await {
            Ok(sender) => {
                *last = Last::Open(sender.clone());
                Ok((sender, false))
            }
            Err(error) => {
                *last = Last::Failed(error);
                Err(error)
            }
        }
    }

    async fn open(&self) -> Result<SendRequest<Upload>, Error> {
        match self.address.connect().await.map_err(|error| error_of_connect(&error))? {
            Connected::Plain(stream) => speak(stream).await,
            Connected::Tls(stream) => speak(stream).await,
        }
    }
}

async fn speak<Io>(stream: Io) -> Result<SendRequest<Upload>, Error>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let handshake = builder.timer(TokioTimer::new()).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| error_of(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the service broke");
        }
    });
    Ok(sender)
}
