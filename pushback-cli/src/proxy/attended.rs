//! Connections of clients, served by hyper and attended to: one whose client asks nothing, or takes no answer, is closed in time,
//! on every listener and for every version of HTTP.
//!
//! hyper bounds the head of a request over HTTP/1, once it knows that it is HTTP/1. The rest is here: until then, over HTTP/2, and
//! for answers that nobody takes. What counts is whose turn it is, and not whether bytes come: a ping, or a byte now and then,
//! says nothing.

mod initiative;
mod seldom;

use std::{error::Error, pin::pin, sync::Arc, time::Duration};

use hyper::{
    Request, Response,
    body::{Body, Incoming},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, sleep_until},
};

pub(super) use self::initiative::Initiative;
use self::{
    initiative::{Turn, Turning},
    seldom::Seldom,
};
use super::now::now;

/// How a connection is served, whatever the version.
pub(super) type Server = auto::Builder<TokioExecutor>;
type BoxError = Box<dyn Error + Send + Sync>;

/// How long a client that was told that its connection ends may take for that, unless an answer is still on its way.
const NOTICE: Duration = Duration::from_secs(1);

/// How long it may be the client's turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// From the start of its connection to its first request.
    pub(super) head: Duration,
    /// From then on: to the next request, or to where it takes the next part of an answer. Over HTTP/1, hyper has a bound of its own
    /// to the next request.
    pub(super) idle: Duration,
}

/// Those of a listener's connections that are still served.
pub(super) struct Attendant {
    end: watch::Sender<()>,
}

impl Attendant {
    pub(super) fn new() -> Self {
        Attendant { end: watch::Sender::new(()) }
    }

    /// A connection that begins now.
    pub(super) fn begin(&self, bounds: Bounds) -> Attended {
        Attended { initiative: Arc::new(Initiative::new()), bounds, end: self.end.subscribe() }
    }

    /// Tells all clients that their connections end: those that wait for nothing go now.
    pub(super) fn tell_all(&self) {
        self.end.send_replace(());
    }

    /// The same, and waits until all have ended.
    pub(super) async fn end_all(self) {
        self.tell_all();
        self.end.closed().await;
    }
}

/// Holds up whoever waits for the end of all connections, for as long as something is left to do for one of them.
#[derive(Clone)]
pub(super) struct Keep {
    _end: Arc<watch::Receiver<()>>,
    initiative: Arc<Initiative>,
}

impl Keep {
    /// It is our turn on the connection for as long as this is kept: it has become something else, which has an end of its own.
    pub(super) fn keep_busy(&self) -> Busy {
        Busy(Turn::ours(&self.initiative))
    }
}

pub(super) struct Busy(#[expect(dead_code, reason = "it is held")] Turn);

/// A connection until its end, or until it has become something else.
pub(super) struct Attended {
    initiative: Arc<Initiative>,
    bounds: Bounds,
    /// Also holds up whoever waits for the end of all.
    end: watch::Receiver<()>,
}

impl Attended {
    /// Whose turn it is on this connection.
    pub(super) fn initiative(&self) -> Arc<Initiative> {
        Arc::clone(&self.initiative)
    }

    /// For what may be left to do when it is gone.
    pub(super) fn keep(&self) -> Keep {
        Keep { _end: Arc::new(self.end.clone()), initiative: Arc::clone(&self.initiative) }
    }

    /// Serves it to its end. An error says why it broke, unless that was a time-out.
    pub(super) async fn serve<Io, S, B>(mut self, server: Server, io: Io, service: S) -> Result<(), BoxError>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Attended { initiative, bounds, end } = &mut self;
        let service = Turning::new(service, initiative);
        let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(io), service));
        let told = pin!(async {
            tokio::select! {
                _ = end.changed() => Told::ByUs,
                () = outlast(initiative, *bounds) => Told::ByItsBounds,
            }
        });
        let told = tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            told = Seldom::new(told) => told,
        };
        connection.as_mut().graceful_shutdown();
        let patience = pin!(async {
            match told {
                // Whoever ends all has a bound of its own, within which nobody is to lose an answer.
                Told::ByUs => outlast(initiative, *bounds).await,
                Told::ByItsBounds => {
                    sleep(NOTICE).await;
                    outlast(initiative, Bounds { head: NOTICE, idle: NOTICE }).await;
                }
            }
        });
        tokio::select! {
            biased;
            ended = connection => ended,
            () = Seldom::new(patience) => Ok(()), // and here it is closed
        }
    }
}

/// Why a connection ends.
enum Told {
    /// All end.
    ByUs,
    ByItsBounds,
}

/// Waits until it has been the client's turn for too long.
///
/// Requests do not reset a timer, which would cost each of them: it is set anew when it has fired, from what has happened since.
async fn outlast(initiative: &Initiative, bounds: Bounds) {
    loop {
        let now = now();
        let due = match initiative.client_s_since() {
            None => now + bounds.idle, // not before
            Some(since) => since + if initiative.has_been_asked() { bounds.idle } else { bounds.head },
        };
        if due <= now {
            return;
        }
        sleep_until(due.into()).await;
    }
}
