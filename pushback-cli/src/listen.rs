//! Listening, the same way everywhere: many may wait to be accepted, and accepting never ends by itself.

use std::{
    io::{self, ErrorKind},
    net::{self, SocketAddr},
    time::Duration,
};

use metrics::{counter, describe_counter};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::yield_now,
    time::sleep,
};
use tracing::{debug, warn};

use crate::{failure::Failure, files, rarely::Rarely};

const ERRORS: &str = "pushback_accept_errors_total";
/// How many the system may connect before they are accepted: as many as it allows, for it takes the least of this and its own bound.
const BACKLOG: u32 = i32::MAX.unsigned_abs();
/// Until it is tried again, when there was no file for the next connection, or no memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Listens. Whoever accepts is to make a [`Listener`] of it, in the runtime in which that is.
pub(crate) fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As the standard library does it: after a restart, the system still remembers connections.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Why nobody listens there, and which setting has the address.
pub(crate) fn cannot_listen(address: SocketAddr, setting: &str, error: &io::Error) -> Failure {
    Failure::run(format!("cannot listen on {address}: {error}; choose another address with {setting}"))
}

/// Accepts connections, whatever goes wrong.
pub(crate) struct Listener {
    inner: TcpListener,
    /// What its metric calls it.
    name: &'static str,
    /// That accepts fail.
    failing: Rarely,
}

impl Listener {
    pub(crate) fn new(listener: net::TcpListener, name: &'static str) -> io::Result<Self> {
        let listener = Listener { inner: TcpListener::from_std(listener)?, name, failing: Rarely::default() };
        describe_counter!(
            ERRORS,
            "Connections that could not be accepted, by kind. They are accepted later, unless the client has gone."
        );
        for why in [Why::Files, Why::Gone, Why::Other] {
            listener.count(why, 0);
        }
        Ok(listener)
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => self.fail(&error).await,
            }
        }
    }

    /// The next connection, if the system has one already.
    pub(crate) async fn accept_now(&self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = self.inner.accept() => accepted,
                () = yield_now() => return None,
            };
            match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => self.fail(&error).await,
            }
        }
    }

    /// Counts an accept that failed, and waits until the next one makes sense.
    async fn fail(&self, error: &io::Error) {
        let why = Why::of(error);
        self.count(why, 1);
        if why == Why::Gone {
            return debug!(listener = self.name, %error, "a client left before it was accepted");
        }
        if let Some(times) = self.failing.happens() {
            warn!(listener = self.name, %error, times, "cannot accept connections; clients wait in the backlog");
        }
        sleep(PAUSE).await;
    }

    fn count(&self, why: Why, more: u64) {
        counter!(ERRORS, "listener" => self.name, "kind" => why.as_str()).increment(more);
    }
}

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        Listener::accept(self).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Why an accept failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The process or the system has no file left.
    Files,
    /// The client did not wait.
    Gone,
    /// No memory, or what the network says of a connection that is just made.
    Other,
}

impl Why {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset => Why::Gone,
            _ if files::are_exhausted(error) => Why::Files,
            _ => Why::Other,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Why::Files => "files",
            Why::Gone => "gone",
            Why::Other => "other",
        }
    }
}
