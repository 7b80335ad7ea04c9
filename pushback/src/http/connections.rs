//! A cap on open connections: a refused request still costs one.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    gauge::{BuildError, OwnedPermit, PressureGauge},
    line::Line,
    rejected::Reason,
    snapshot::Snapshot,
};

/// At most so many connections at once; the next one is not accepted until one of them has ended.
///
/// A refused request is cheap, and the connection that it came on is not: it has buffers, a task and a file descriptor. At the
/// cap, accepting pauses, and who comes now waits in the system's backlog. That is invisible to clients and knows no
/// priority, so it is the last resort behind the gauge: choose a cap well above the limit, and below what the process may have
/// open.
///
/// All connections count, idle ones too: close those by the server's own timeouts (hyper's `header_read_timeout`), or whoever opens
/// enough of them keeps everybody else out. Probes must reach the service at the cap as well: serve health checks
/// on a listener of their own, without a cap.
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
///         let (stream, _peer) = listener.accept().await?;
///         tokio::spawn(serve(next.hold(stream)));
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
}

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
        let line = Line::fifo(u32::MAX).wait_at_most(std::time::Duration::MAX);
        let gauge = PressureGauge::builder().name("connections").limit(cap).line(line).build()?;
        Ok(Connections { gauge })
    }

    /// Waits until another connection may be accepted.
    pub async fn next(&self) -> NextConnection {
        loop {
            match self.gauge.acquire().await {
                Ok(permit) => return NextConnection { permit },
                // Nobody closes this gauge or changes its limit, so there is no other reason.
                Err(rejected) => debug_assert_eq!(rejected.reason, Reason::WaitedTooLong),
            }
        }
    }

    /// How many are open (`in_flight`) of how many there may be (`limit`), and more. A place with which somebody waits for the next
    /// connection counts as open.
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
}

impl NextConnection {
    /// The connection that was accepted, which counts until it is dropped.
    pub fn hold<Io>(self, io: Io) -> Connection<Io> {
        Connection { io, _permit: self.permit }
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
    _permit: OwnedPermit,
}

impl<Io> Connection<Io> {
    /// The connection itself.
    pub fn get_ref(&self) -> &Io {
        &self.io
    }

    /// The connection itself.
    pub fn get_mut(&mut self) -> &mut Io {
        &mut self.io
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Connection<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Connection<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A listener behind a cap; [`Connections::listen`] makes it.
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
