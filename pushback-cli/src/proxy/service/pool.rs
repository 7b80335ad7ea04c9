//! Connections to a service over HTTP/1, one call at a time on each.
//!
//! hyper-util's pool is for clients of many hosts, and each call pays for that: it looks its host up, races the wait for a connection
//! against a new one, and gives the connection back by a task.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    connect::{Address, Connected},
    failure::Failure,
};
use crate::proxy::{message::upload::Upload, now::now};

/// How long connections on which nothing runs are kept: shorter than most services keep theirs, so that requests meet few that are
/// just being closed.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// How many fields an answer may have: hyper's 100, if nothing is said, are not enough for services that set many cookies.
const FIELDS_MAX: usize = 256;

/// A worker's connections on which nothing runs. As many are open as calls ran at once lately, which the gauge bounds.
pub(super) struct Pool {
    address: Address,
    /// The one that was used last is at the back, and is used next, so that those which are not needed grow old.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

impl Pool {
    pub(super) fn to(address: Address) -> Arc<Self> {
        Arc::new(Pool { address, idle: Mutex::default() })
    }

    /// Sends it, and waits for the head of the answer. What was not sent at all, because a kept connection was just
    /// closed, is sent on another one; nothing else is tried twice.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        loop {
            let kept = self.take();
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => {
                    if !sender.is_ready() {
                        // It was given back with the last byte of an answer, which its task may not have noticed.
                        tokio::task::yield_now().await;
                    }
                    // Or it still sends what an earlier client uploads, though the answer was there: nobody waits for that.
                    if !sender.is_ready() {
                        continue;
                    }
                    sender
                }
                None => self.connect().await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lease { sender, pool: Arc::clone(self) })),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(Failure::Exchange(error.into_error())),
                },
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Upload>, Failure> {
        match self.address.connect().await.map_err(Failure::Connect)? {
            Connected::Plain(stream) => speak(stream).await,
            Connected::Tls(stream) => speak(stream).await,
        }
    }

    fn take(&self) -> Option<SendRequest<Upload>> {
        let mut idle = self.idle();
        let youngest = idle.pop_back()?;
        if now().saturating_duration_since(youngest.since) < IDLE_MAX {
            return Some(youngest.sender);
        }
        idle.clear(); // the others are older
        None
    }

    fn give_back(&self, sender: SendRequest<Upload>) {
        if sender.is_closed() {
            return;
        }
        let since = now();
        let mut idle = self.idle();
        if idle.front().is_some_and(|oldest| since.saturating_duration_since(oldest.since) >= IDLE_MAX) {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, since });
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn speak<Io>(stream: Io) -> Result<SendRequest<Upload>, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Small requests go out as one piece.
    let mut builder = http1::Builder::new();
    builder.writev(false).max_headers(FIELDS_MAX);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(Failure::Exchange)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to the service broke");
        }
    });
    Ok(sender)
}

/// A connection whose answer is still being read. It is good for another call when that has come to its end, and is closed else.
pub(super) struct Lease {
    sender: SendRequest<Upload>,
    pool: Arc<Pool>,
}

impl Lease {
    /// The answer was read to its end.
    pub(super) fn end(self) {
        self.pool.give_back(self.sender);
    }
}
