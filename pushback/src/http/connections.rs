//! A cap on open connections: a refused request still costs one.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    patrol::{Patrol, Side, Watch},
    progress::Progress,
};
use crate::{
    gauge::{OwnedPermit, PressureGauge},
    line::Line,
    rejected::Reason,
    settings::BuildError,
    snapshot::Snapshot,
};

/// A cap on open connections: the next one is not accepted until one of them has ended.
///
/// A refused request is cheap, but the connection that it came on is not: it has buffers, a task
/// and a file descriptor. At the cap, accepting pauses, and new clients wait in the system's
/// backlog. That is invisible to them and knows no priority, so it is the last resort behind the
/// gauge. Choose a cap well above the limit, and below what the process may have open.
///
/// All connections count, idle ones too. So one on which nothing moves is closed: after 10 s if
/// nothing has ever come, else after 5 minutes ([`idle`](Self::idle)), unless
/// [`busy_while`](Connection::busy_while) says that somebody works for its client. A client that
/// sends a byte now and then keeps its connection. hyper's `header_read_timeout` bounds that, in an
/// accept loop of your own.
///
/// Probes must reach the service at the cap as well: serve health checks on a listener of their
/// own, without a cap.
///
/// With hyper, in an accept loop of your own:
///
/// ```
/// use pushback::http::Connections;
/// use tokio::net::TcpListener;
///
/// # async fn serve(_: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) {}
/// async fn accept(listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
///     let connections = Connections::at_most(10_000)?;
///     loop {
///         let next = connections.next().await; // pauses at the cap
///         match listener.accept().await {
///             Ok((stream, _peer)) => drop(tokio::spawn(serve(next.hold(stream)))),
///             // Out of file descriptors, perhaps, or the client has gone: the server goes on.
///             Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
///         }
///     }
/// }
/// # let _ = accept;
/// ```
#[cfg_attr(
    feature = "axum",
    doc = r#"
With axum (feature `axum`):

```no_run
use axum::{Router, routing::get};
use pushback::http::Connections;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Router::new().route("/", get(async || "done"));
    let health = Router::new().route("/healthz", get(async || "alive"));
    let capped = Connections::at_most(10_000)?.listen(TcpListener::bind("0.0.0.0:8080").await?);
    let open = TcpListener::bind("0.0.0.0:8081").await?;
    tokio::try_join!(axum::serve(capped, service).into_future(), axum::serve(open, health).into_future())?;
    Ok(())
}
```

`ConnectInfo<SocketAddr>` is there behind `listen(..).tap_io(|_| ())` (axum's `ListenerExt`)."#
)]
#[derive(Debug, Clone)]
pub struct Connections {
    gauge: PressureGauge,
    patrol: Arc<Patrol>,
}

/// How long a client may take for its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// Longer than heartbeats and keep-alives of most clients.
const IDLE: Duration = Duration::from_secs(300);
const IDLE_MIN: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_secs(24 * 3600);

impl Connections {
    /// A cap of 1 to [`u32::MAX`] connections. Clones are the same cap.
    ///
    /// # Errors
    ///
    /// If it is 0: nothing would ever be accepted.
    pub fn at_most(cap: u32) -> Result<Self, BuildError> {
        if cap == 0 {
            return Err(BuildError::new("at_most", cap.to_string(), "1 to 4294967295 connections"));
        }
        // Acceptors are few, and wait as long as it takes.
        let line = Line::fifo(u32::MAX).wait_at_most(Duration::MAX);
        let gauge = PressureGauge::builder().name("connections").limit(cap).line(line).build()?;
        Ok(Connections { patrol: Patrol::new(&gauge, IDLE, 0), gauge })
    }

    /// How long nothing may move on a connection, 1 s to 24 h. Default: 5 minutes.
    ///
    /// # Errors
    ///
    /// If it is out of range.
    pub fn idle(self, bound: Duration) -> Result<Self, BuildError> {
        if !(IDLE_MIN..=IDLE_MAX).contains(&bound) {
            return Err(BuildError::new("idle", format!("{bound:?}"), "1 s to 24 h"));
        }
        Ok(Connections { patrol: Patrol::new(&self.gauge, bound, 0), gauge: self.gauge })
    }

    /// Waits until another connection may be accepted.
    pub async fn next(&self) -> NextConnection {
        loop {
            match self.gauge.acquire().await {
                Ok(permit) => return NextConnection { permit, patrol: Arc::clone(&self.patrol) },
                // Nobody closes this gauge or changes its limit, so there is no other reason.
                Err(rejected) => debug_assert_eq!(rejected.reason, Reason::WaitedTooLong),
            }
        }
    }

    /// How many connections are open (`in_flight`), how many there may be (`limit`), and more.
    ///
    /// A place with which somebody waits for the next connection counts as open.
    pub fn snapshot(&self) -> Snapshot {
        self.gauge.snapshot()
    }

    /// A listener for `axum::serve` that accepts no more than the cap.
    #[cfg(feature = "axum")]
    pub fn listen<L: axum::serve::Listener>(&self, listener: L) -> CappedListener<L> {
        CappedListener { connections: self.clone(), listener }
    }
}

/// A connection that may be accepted. Dropping it lets another one be accepted instead.
#[must_use = "a place that is dropped at once caps nothing"]
pub struct NextConnection {
    permit: OwnedPermit,
    patrol: Arc<Patrol>,
}

impl NextConnection {
    /// The connection that was accepted, which counts until it is dropped.
    pub fn hold<Io>(self, io: Io) -> Connection<Io> {
        let first_byte = FIRST_BYTE.min(self.patrol.bound());
        Connection {
            io,
            progress: Progress::default(),
            watch: Watch::at_most(&self.patrol, first_byte),
            _permit: self.permit,
        }
    }
}

impl fmt::Debug for NextConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextConnection").finish_non_exhaustive()
    }
}

/// A connection that counts under a cap of [`Connections`] until it is dropped.
#[derive(Debug)]
pub struct Connection<Io> {
    io: Io,
    progress: Progress,
    watch: Watch,
    _permit: OwnedPermit,
}

impl<Io> Connection<Io> {
    /// What its socket takes, for [`Backpressure::over`](super::Backpressure::over).
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Keeps the connection while `is_busy` is true, though nothing moves on it.
    ///
    /// For example, while its client waits for a call that is worked on. `is_busy` is asked from
    /// time to time, under a lock. It must neither wait nor use this connection.
    pub fn busy_while(self, is_busy: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.watch.unless(Arc::new(is_busy));
        self
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &Io {
        &self.io
    }

    /// The connection itself.
    pub fn get_mut(&mut self) -> &mut Io {
        &mut self.io
    }
}

impl<Io> Connection<Io> {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.progress.took(*bytes);
        }
    }

    /// Something moved, or it did not: then whoever polls is woken when that has lasted too long.
    fn look<T>(&self, side: Side, moved: Poll<io::Result<T>>, cx: &Context<'_>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let _ = self.watch.awaits_peer(); // once it was idle for too long it stays so, and what has moved counts all the same
            return moved;
        }
        self.look_for_idleness(side, moved, cx)
    }

    /// The same for what moves nothing when it is done.
    fn look_for_idleness<T>(
        &self,
        side: Side,
        done: Poll<io::Result<T>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<T>> {
        if done.is_pending() && self.watch.wake_when_stalled_from(side, cx).is_err() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        done
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.look(Side::Reads, read, cx)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note(&written);
        self.look(Side::Writes, written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.note(&written);
        self.look(Side::Writes, written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.look_for_idleness(Side::Writes, flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.look_for_idleness(Side::Writes, shut, cx)
    }
}

/// A listener behind a cap, made by [`Connections::listen`].
///
/// Handlers that want the peer's address need one more step, `tap_io`, by which axum finds it:
///
/// ```
/// use std::net::SocketAddr;
/// use axum::{Router, extract::ConnectInfo, routing::get, serve::ListenerExt};
/// use pushback::http::Connections;
/// use tokio::net::TcpListener;
///
/// async fn serve(listener: TcpListener) -> Result<(), Box<dyn std::error::Error>> {
///     let app = Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
///     let capped = Connections::at_most(10_000)?.listen(listener).tap_io(|_| ());
///     axum::serve(capped, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
///     Ok(())
/// }
/// # let _ = serve;
/// ```
#[cfg(feature = "axum")]
#[derive(Debug)]
pub struct CappedListener<L> {
    connections: Connections,
    listener: L,
}

#[cfg(feature = "axum")]
impl<L: axum::serve::Listener> axum::serve::Listener for CappedListener<L> {
    type Io = Connection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let next = self.connections.next().await;
        let (io, address) = self.listener.accept().await;
        (next.hold(io), address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::clock::ManualClock;

    async fn connection(clock: &ManualClock) -> (Connection<DuplexStream>, DuplexStream) {
        let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
        let connections = Connections { patrol: Patrol::new(&gauge, IDLE, 0), gauge };
        let (ours, client) = duplex(100);
        (connections.next().await.hold(ours), client)
    }

    /// Reads while the time goes on; what came, and after how long.
    async fn read(
        connection: &mut Connection<DuplexStream>,
        clock: &ManualClock,
    ) -> (io::Result<u8>, Duration) {
        let mut waited = Duration::ZERO;
        let later = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_millis(500));
                waited += Duration::from_millis(500);
                assert!(waited < IDLE * 2, "it is kept for ever");
            }
        };
        let answer =
            tokio::select! { biased; answer = connection.read_u8() => answer, () = later => unreachable!() };
        (answer, waited)
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_comes_ends_after_ten_seconds_and_later_after_five_minutes() {
        let clock = ManualClock::new();
        let (mut silent, _client) = connection(&clock).await;
        let (answer, waited) = read(&mut silent, &clock).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((10..=11).contains(&waited.as_secs()), "{waited:?}");

        let (mut slow, mut client) = connection(&clock).await;
        client.write_all(b"ab").await.unwrap();
        assert_eq!(read(&mut slow, &clock).await.0.unwrap(), b'a');
        assert_eq!(read(&mut slow, &clock).await.0.unwrap(), b'b');
        clock.advance(Duration::from_secs(200));
        slow.write_all(b"c").await.unwrap();
        let (answer, waited) = read(&mut slow, &clock).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((300..=302).contains(&waited.as_secs()), "what was written counts too: {waited:?}");
    }

    #[tokio::test]
    async fn a_connection_for_whose_client_somebody_works_is_not_idle_until_that_is_over() {
        let clock = ManualClock::new();
        let (silent, _client) = connection(&clock).await;
        let works = Arc::new(AtomicBool::new(true));
        let is_busy = Arc::clone(&works);
        let mut silent = silent.busy_while(move || is_busy.load(Ordering::Relaxed));
        for _ in 0..IDLE.as_secs() * 3 {
            let read =
                tokio::select! { biased; read = silent.read_u8() => Some(read), () = async {} => None };
            assert!(read.is_none(), "it is closed: {read:?}");
            clock.advance(Duration::from_secs(1));
        }
        works.store(false, Ordering::Relaxed);
        let (answer, waited) = read(&mut silent, &clock).await;
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((299..=302).contains(&waited.as_secs()), "{waited:?}");
    }

    /// Behind `tokio::io::split`, one task writes and another reads.
    #[tokio::test]
    async fn who_reads_and_who_writes_are_both_woken_when_a_connection_is_idle() {
        let clock = ManualClock::new();
        let (both, _client) = connection(&clock).await;
        let (mut reads, mut writes) = tokio::io::split(both);
        let reader = tokio::spawn(async move { reads.read_u8().await.map(drop) });
        let writer = tokio::spawn(async move { writes.write_all(&[0; 200]).await });
        let idle = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(Duration::from_millis(500));
            }
        };
        let ended = async { (reader.await.unwrap(), writer.await.unwrap()) };
        let (read, written) = tokio::select! { ended = ended => ended, () = idle => unreachable!() };
        let timed_out = |answer: io::Result<()>| answer.unwrap_err().kind() == io::ErrorKind::TimedOut;
        assert!(timed_out(read) && timed_out(written));
    }

    #[test]
    fn an_idle_bound_out_of_range_is_an_error() {
        let error = Connections::at_most(1).unwrap().idle(Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "idle is 0ns; allowed: 1 s to 24 h");
    }
}
