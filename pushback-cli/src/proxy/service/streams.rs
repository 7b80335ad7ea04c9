//! A connection to a service over HTTP/2, with a stream for each call.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

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
    connect::{Address, Connected},
    failure::{error_of, error_of_connect},
};
use crate::proxy::message::{error::Error, upload::Upload};

/// How often a connection with calls on it is asked whether anybody is still there, and how long that may take: or a service
/// that went without a word would take all calls along until TCP gives up.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How much of an answer may be on its way that its reader has not taken. The connection has room for that of all streams together, or a few who
/// do not read would keep all others on it from their answers.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// How large the head of an answer may be, in bytes: as much as hyper takes over HTTP/1, and not its 16 KiB.
const HEAD_MAX: u32 = 400 << 10;

/// A worker's one connection. How many streams it may have is the service's word; calls above that wait.
pub(super) struct Streams {
    address: Address,
    /// How many attempts to connect have ended.
    ended: AtomicU64,
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
        Streams { address, ended: AtomicU64::new(0), last: Mutex::new(Last::Nothing) }
    }

    /// Sends it, and waits for the head of the answer. What was not sent at all, because the connection was just
    /// closed, is sent on another one; nothing else is tried twice.
    pub(super) async fn send(&self, mut request: Request<Upload>) -> Result<Response<Incoming>, Error> {
        loop {
            let (mut sender, is_kept, number) = self.sender().await?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => {
                        request = unsent;
                        let mut last = self.last.lock().await;
                        // Unless there is another one already.
                        if self.ended.load(Ordering::Relaxed) == number {
                            *last = Last::Nothing;
                        }
                    }
                    _ => return Err(error_of(&error.into_error())),
                },
            }
        }
    }

    /// The connection, whether it was there already, and the number of the attempt that it came of. Whoever waits while another call
    /// tries to connect fails with that one, and does not try anew.
    async fn sender(&self) -> Result<(SendRequest<Upload>, bool, u64), Error> {
        let before = self.ended.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        let ended = self.ended.load(Ordering::Relaxed);
        match &*last {
            Last::Open(sender) if !sender.is_closed() => return Ok((sender.clone(), true, ended)),
            Last::Failed(error) if ended != before => return Err(*error),
            _ => (),
        }
        let opened = self.open().await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        match opened {
            Ok(sender) => {
                *last = Last::Open(sender.clone());
                Ok((sender, false, ended + 1))
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
    builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_header_list_size(HEAD_MAX);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| error_of(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the service broke");
        }
    });
    Ok(sender)
}
