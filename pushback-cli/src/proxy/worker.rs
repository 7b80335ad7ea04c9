//! The threads that serve. Each has a runtime, an upstream pool and connections of its own; the listener and the gauge are all
//! that they share.

use std::{
    io,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use pushback::http::{Connection, Connections, NextConnection};
use tokio::{net::TcpStream, runtime};
use tracing::{debug, warn};

use super::{
    door::{Door, Gate},
    drain::Draining,
    upstream::Upstream,
};

/// How long a client may take for the head of a request, and between two requests.
const HEAD_READ_MAX: Duration = Duration::from_secs(60);
/// The most that the head of a request may be long; above it, 431.
const HEAD_MAX: usize = 64 << 10;
/// How many fields it may have.
const FIELDS_MAX: usize = 100;
/// How many requests one HTTP/2 connection may have open.
const STREAMS_MAX: u32 = 250;
/// After an accept that failed, for want of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    pub(super) fn start(
        count: usize,
        listener: &TcpListener,
        gate: &Arc<Gate>,
        connections: &Connections,
        draining: &Draining,
    ) -> io::Result<Self> {
        let worker = |number| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (listener, gate) = (listener.try_clone()?, Arc::clone(gate));
            let (connections, draining) = (connections.clone(), draining.clone());
            thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn(move || runtime.block_on(work(listener, gate, connections, draining)))
        };
        (1..=count).map(worker).collect::<io::Result<_>>().map(Workers)
    }

    /// Waits until all have ended.
    pub(super) fn join(self) {
        for worker in self.0 {
            if worker.join().is_err() {
                warn!("a worker panicked");
            }
        }
    }
}

async fn work(listener: TcpListener, gate: Arc<Gate>, connections: Connections, draining: Draining) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "a worker cannot listen"),
    };
    let serving = Serving {
        upstream: Arc::new(Upstream::new(&gate)),
        gate,
        server: server(),
        graceful: GracefulShutdown::new(),
    };
    let accepting = async {
        loop {
            let next = connections.next().await; // pauses at the cap
            match listener.accept().await {
                Ok((stream, peer)) => serving.serve(next, stream, peer.ip()),
                Err(error) => {
                    // Out of file descriptors, perhaps, or the client has gone: the proxy goes on.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => (),
        () = draining.wants_the_end() => (),
    }
    // Whoever the system has already connected is served, and not reset.
    while let Some((stream, peer)) = accept_now(&listener).await {
        serving.serve(connections.next().await, stream, peer.ip());
    }
    drop(listener);
    serving.graceful.shutdown().await;
}

/// The next connection, if there is one already.
async fn accept_now(listener: &tokio::net::TcpListener) -> Option<(TcpStream, std::net::SocketAddr)> {
    let accept = listener.accept();
    tokio::select! {
        biased;
        accepted = accept => accepted.ok(),
        () = tokio::task::yield_now() => None,
    }
}

type Server = auto::Builder<TokioExecutor>;

/// Without `pipeline_flush`: with it, hyper buffers an answer without a bound while its client does not read, and closes without
/// having written its last answer if bytes are left that it will not read.
fn server() -> Server {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_READ_MAX)
        .max_buf_size(HEAD_MAX)
        .max_headers(FIELDS_MAX)
        // Small answers go out as one piece, which costs less than telling the system of two.
        .writev(false);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20));
    server
}

/// What a worker serves its connections with.
struct Serving {
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    server: Server,
    graceful: GracefulShutdown,
}

impl Serving {
    fn serve(&self, next: NextConnection, stream: TcpStream, peer: std::net::IpAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            return debug!(%error, "a client is gone before it said anything");
        }
        let io: Connection<TcpStream> = next.hold(stream);
        let door = Door::new(&self.gate, &self.upstream, peer);
        let connection = self.server.serve_connection_with_upgrades(TokioIo::new(io), door).into_owned();
        let connection = self.graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%peer, error, "a connection broke");
            }
        });
    }
}
