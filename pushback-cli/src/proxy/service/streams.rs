//! A connection to a service over HTTP/2, with a stream for each call.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
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
    time::sleep_until,
};

use super::{
    connect::{Address, Connected},
    failure::{error_of, error_of_connect},
    repeat::{Repeat, Unanswered},
};
use crate::{
    files::Taken,
    proxy::{
        message::{error::Error, upload::Upload},
        now::now,
        settings::Lives,
    },
};

/// How often a connection with calls on it is asked whether anybody is still there, and how long that may take: or a service
/// that went without a word would take all calls along until TCP gives up.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How much of an answer may be on its way that its reader has not taken. The connection has room for that of all streams together, or a few who
/// do not read would keep all others on it from their answers.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 30;

/// How large the head of an answer may be, in bytes: as much as hyper takes over HTTP/1, and not its 16 KiB.
const HEAD_MAX: u32 = 400 << 10;

/// A worker's one connection.
///
/// How many streams it may have is the service's word, by which it says how much at once it wants: calls above that wait for one, in
/// the time that they have for their answer. Another connection would pass that word by, and the gauge sees that they wait.
pub(super) struct Streams {
    address: Address,
    lives: Lives,
    /// How many attempts to connect have ended.
    ended: AtomicU64,
    last: Mutex<Last>,
}

/// What came of the last attempt.
enum Last {
    Nothing,
    Open(Open),
    Failed(Error),
}

#[derive(Clone)]
struct Open {
    sender: SendRequest<Upload>,
    /// Of the attempt that it came of.
    number: u64,
    traffic: Arc<Traffic>,
}

/// What runs on a connection.
struct Traffic {
    began: Instant,
    running: AtomicUsize,
    /// When a stream ended last, in nanoseconds from the start.
    last_end: AtomicU64,
}

/// A call on a connection, to the end of its answer.
pub(super) struct Stream(Arc<Traffic>);

impl Stream {
    fn on(traffic: &Arc<Traffic>) -> Self {
        traffic.running.fetch_add(1, Ordering::Relaxed);
        Stream(Arc::clone(traffic))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let after = now().saturating_duration_since(self.0.began).as_nanos();
        self.0.last_end.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Release);
    }
}

impl Traffic {
    /// Until when a connection is to be kept, as far as is known by now.
    fn due(&self, lives: Lives) -> Instant {
        // Acquire: whoever sees that the last stream has ended sees when.
        let idle_from = match self.running.load(Ordering::Acquire) {
            0 => self.began + Duration::from_nanos(self.last_end.load(Ordering::Relaxed)),
            _ => now(),
        };
        (idle_from + lives.keep_alive).min(self.began + lives.age)
    }
}

impl Streams {
    pub(super) fn to(address: Address, lives: Lives) -> Arc<Self> {
        Arc::new(Streams { address, lives, ended: AtomicU64::new(0), last: Mutex::new(Last::Nothing) })
    }

    /// Sends it, and waits for the head of the answer.
    ///
    /// What was not sent at all, because the connection was just closed, is sent on another one. What the service did not come to goes
    /// out once more, and so does what was on a kept connection that broke, if it does no harm to have it done twice (RFC 9110,
    /// 9.2.2); of a body, nothing must have been taken. Nothing else is tried again.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Stream), Error> {
        let mut is_repeated = false;
        loop {
            let (Open { mut sender, number, traffic }, is_kept) = self.open().await?;
            let stream = Stream::on(&traffic);
            let is_idempotent = request.method().is_idempotent();
            let repeat = (!is_repeated).then(|| Repeat::of(&mut request));
            let mut error = match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, stream)),
                Err(error) => error,
            };
            if let Some(unsent) = error.take_message().filter(|_| is_kept) {
                self.leave(number).await;
                request = unsent;
                continue;
            }
            let error = error.into_error();
            let why = Unanswered::by(&error);
            let may_repeat = match why {
                Unanswered::Refused | Unanswered::LeftOut => true,
                Unanswered::Broken => is_kept && is_idempotent,
                Unanswered::Otherwise => false,
            };
            drop((sender, stream));
            let repeated = match repeat.filter(|_| may_repeat) {
                Some(repeat) => repeat.request().await,
                None => None,
            };
            let Some(repeated) = repeated else { return Err(error_of(&error)) };
            if why != Unanswered::Refused {
                self.leave(number).await;
            }
            (request, is_repeated) = (repeated, true);
        }
    }

    /// No more calls go out on the connection of this number.
    async fn leave(&self, number: u64) {
        let mut last = self.last.lock().await;
        if matches!(&*last, Last::Open(open) if open.number == number) {
            *last = Last::Nothing;
        }
    }

    /// The connection, and whether it was there already. Whoever waits while another call tries to connect fails with that one, and does
    /// not try anew.
    async fn open(self: &Arc<Self>) -> Result<(Open, bool), Error> {
        let before = self.ended.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        let ended = self.ended.load(Ordering::Relaxed);
        match &*last {
            Last::Open(open) if !open.sender.is_closed() && now() < open.traffic.began + self.lives.age => {
                return Ok((open.clone(), true));
            }
            Last::Failed(error) if ended != before => return Err(*error),
            _ => (),
        }
        // Boxed, for it is rare and large, and each call would carry room for it.
        let opened = Box::pin(self.connect()).await;
        self.ended.fetch_add(1, Ordering::Relaxed);
        match opened {
            Ok(sender) => {
                let traffic =
                    Traffic { began: now(), running: AtomicUsize::new(0), last_end: AtomicU64::new(0) };
                let open = Open { sender, number: ended + 1, traffic: Arc::new(traffic) };
                *last = Last::Open(open.clone());
                tokio::spawn(retire(Arc::downgrade(self), ended + 1, Arc::downgrade(&open.traffic)));
                Ok((open, false))
            }
            Err(error) => {
                *last = Last::Failed(error);
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Upload>, Error> {
        let (connected, file) = self.address.connect().await.map_err(|error| error_of_connect(&error))?;
        match connected {
            Connected::Plain(stream) => speak(stream, file).await,
            Connected::Tls(stream) => speak(stream, file).await,
        }
    }
}

/// Closes a connection in time though nobody calls any more; what runs on it runs to its end. Calls set no timer: it is set anew when
/// it has fired, from what has happened since.
async fn retire(streams: Weak<Streams>, number: u64, traffic: Weak<Traffic>) {
    loop {
        let due = {
            let Some((streams, traffic)) = streams.upgrade().zip(traffic.upgrade()) else { return };
            let due = traffic.due(streams.lives);
            if due <= now() {
                return streams.leave(number).await;
            }
            due
        };
        sleep_until(due.into()).await;
    }
}

async fn speak<Io>(stream: Io, file: Taken) -> Result<SendRequest<Upload>, Error>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
    builder.initial_stream_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_header_list_size(HEAD_MAX);
    // Nothing is sent until the service has said how many streams it allows: those above that would be refused.
    builder.initial_max_send_streams(0);
    let handshake = builder.handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| error_of(&error))?;
    tokio::spawn(async move {
        let _file = file;
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the service broke");
        }
    });
    Ok(sender)
}
