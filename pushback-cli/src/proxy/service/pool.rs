//! Connections to a service over HTTP/1, one call at a time on each.
//!
//! hyper-util's pool is for clients of many hosts, and each call pays for that: it looks its host up, races the wait for a connection
//! against a new one, and gives the connection back by a task.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep_until,
};
use tokio_util::io::InspectReader;

use super::{
    connect::{Address, Connected},
    failure::Failure,
    repeat::Repeat,
};
use crate::{
    files::{Spare, Taken},
    proxy::{message::upload::Upload, now::now, settings::Lives},
};

/// How many fields an answer may have: hyper's 100, if nothing is said, are not enough for services that set many cookies.
const FIELDS_MAX: usize = 256;

/// A worker's connections on which nothing runs. As many are open as calls ran at once lately, which the gauge bounds.
pub(super) struct Pool {
    address: Address,
    lives: Lives,
    shelf: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    /// The one that was used last is at the back, and is used next, so that those which are not needed grow old.
    idle: VecDeque<Idle>,
    /// Whether somebody sees to it that they are closed in time.
    is_swept: bool,
}

struct Idle {
    connection: Connection,
    /// For how long it is good.
    until: Instant,
}

struct Connection {
    sender: SendRequest<Upload>,
    began: Instant,
    /// Whether anything has come on it, since whoever uses it said that nothing has.
    has_heard: Arc<AtomicBool>,
}

impl Pool {
    pub(super) fn to(address: Address, lives: Lives) -> Arc<Self> {
        let pool = Arc::new(Pool { address, lives, shelf: Mutex::default() });
        let spare: Weak<dyn Spare> = Arc::downgrade(&(Arc::clone(&pool) as Arc<dyn Spare>));
        pool.address.files.ask_if_needed(spare);
        pool
    }

    /// Sends it, and waits for the head of the answer. A service may close a kept connection at any moment: so what was not sent at all
    /// on one is sent on another, and what was sent goes out once more, on a fresh one, if not a byte came back and it does no harm
    /// to have it done twice (RFC 9110, 9.2.2). Nothing else is tried again.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut is_repeated = false;
        loop {
            let kept = if is_repeated { None } else { self.take() };
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(kept) => {
                    if !kept.sender.is_ready() {
                        // It was given back with the last byte of an answer, which its task may not have noticed.
                        tokio::task::yield_now().await;
                    }
                    // Or it still sends what an earlier client uploads, though the answer was there: nobody waits for that.
                    if !kept.sender.is_ready() {
                        continue;
                    }
                    kept
                }
                // Boxed, for it is rare and large, and each call would carry room for it.
                None => Box::pin(self.connect()).await?,
            };
            let repeat = (is_kept && request.method().is_idempotent()).then(|| Repeat::of(&mut request));
            connection.has_heard.store(false, Ordering::Relaxed);
            let mut error = match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Lease { connection, pool: Arc::clone(self) })),
                Err(error) => error,
            };
            if let Some(unsent) = error.take_message().filter(|_| is_kept) {
                request = unsent;
                continue;
            }
            let repeat = repeat.filter(|_| !connection.has_heard.load(Ordering::Relaxed));
            drop(connection);
            match again(repeat).await {
                Some(repeated) => (request, is_repeated) = (repeated, true),
                None => return Err(Failure::Exchange(error.into_error())),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let (connected, file) = self.address.connect().await.map_err(Failure::Connect)?;
        match connected {
            Connected::Plain(stream) => speak(stream, file).await,
            Connected::Tls(stream) => speak(stream, file).await,
        }
    }

    fn take(&self) -> Option<Connection> {
        let mut shelf = self.shelf();
        loop {
            let youngest = shelf.idle.pop_back()?;
            if youngest.until > now() {
                return Some(youngest.connection);
            }
        }
    }

    fn give_back(self: &Arc<Self>, connection: Connection) {
        let now = now();
        let until = (now + self.lives.keep_alive).min(connection.began + self.lives.age);
        if connection.sender.is_closed() || until <= now {
            return;
        }
        let mut shelf = self.shelf();
        shelf.idle.push_back(Idle { connection, until });
        if !shelf.is_swept {
            shelf.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    /// Closes those that are good no more; says when to do that again, if any are left.
    fn close_old(&self) -> Option<Instant> {
        let now = now();
        let mut shelf = self.shelf();
        shelf.idle.retain(|idle| idle.until > now && !idle.connection.sender.is_closed());
        let next = shelf.idle.iter().map(|idle| idle.until).min();
        shelf.is_swept = next.is_some();
        next
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept for later makes room for what is needed now, by whichever worker, to whichever service.
impl Spare for Pool {
    fn give_back_one(&self) -> bool {
        let oldest = self.shelf().idle.pop_front();
        oldest.is_some()
    }
}

/// Closes connections in time though nobody calls any more. One task does that for all of a pool, so that calls set no timers.
async fn sweep(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) {
        sleep_until(next.into()).await;
    }
}

async fn again(repeat: Option<Repeat>) -> Option<Request<Upload>> {
    repeat?.request().await
}

async fn speak<Io>(stream: Io, file: Taken) -> Result<Connection, Failure>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let has_heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&has_heard);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        let _with_the_stream = &file; // which may outlive HTTP, when it becomes something else
        if !bytes.is_empty() {
            hears.store(true, Ordering::Relaxed);
        }
    });
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
    Ok(Connection { sender, began: now(), has_heard })
}

/// A connection whose answer is still being read. It is good for another call when that has come to its end, and is closed else.
pub(super) struct Lease {
    connection: Connection,
    pool: Arc<Pool>,
}

impl Lease {
    /// The answer was read to its end.
    pub(super) fn end(self) {
        self.pool.give_back(self.connection);
    }
}
