//! The threads that serve. Each has a runtime, an upstream pool and connections of its own; the listener and the gauge are all
//! that they share.

use std::{
    io,
    net::{self, IpAddr},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use pushback::http::{Connections, NextConnection, see_slow_readers};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime,
    time::timeout,
};
use tracing::{debug, warn};

use super::{access, door::Door, site::Sites};
use crate::{
    listen::Listener,
    proxy::{
        attended::{Attendant, Attended, Bounds, Server},
        message::client::Client,
    },
};

/// How long a client may take to agree on TLS; below the time that a drain waits.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

pub(in crate::proxy) struct Workers(Vec<JoinHandle<()>>);

impl Workers {
    pub(in crate::proxy) fn start(
        count: usize,
        listener: &net::TcpListener,
        sites: &Arc<Sites>,
        connections: &Connections,
    ) -> io::Result<Self> {
        let worker = |number| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (listener, sites, connections) =
                (listener.try_clone()?, Arc::clone(sites), connections.clone());
            thread::Builder::new()
                .name(format!("worker {number}"))
                .spawn(move || runtime.block_on(work(number, listener, sites, connections)))
        };
        (0..count).map(worker).collect::<io::Result<_>>().map(Workers)
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

async fn work(worker: usize, listener: net::TcpListener, sites: Arc<Sites>, connections: Connections) {
    let listener = match Listener::new(listener, "clients") {
        Ok(listener) => listener,
        Err(error) => return warn!(%error, "a worker cannot listen"),
    };
    let serving = Serving { worker, sites, attendant: Attendant::new() };
    let accepting = async {
        loop {
            let next = connections.next().await; // pauses at the cap
            let (stream, peer) = listener.accept().await;
            serving.serve(next, stream, peer.ip());
        }
    };
    tokio::select! {
        () = accepting => (),
        () = serving.sites.draining.wants_the_end() => (),
    }
    // Those who wait for nothing make room: at the cap, nobody else would get in.
    serving.attendant.tell_all();
    // Whoever the system has already connected is served, and not reset.
    while let Some((stream, peer)) = listener.accept_now().await {
        serving.serve(connections.next().await, stream, peer.ip());
    }
    drop(listener);
    serving.attendant.end_all().await;
}

/// What a worker serves its connections with.
struct Serving {
    worker: usize,
    sites: Arc<Sites>,
    attendant: Attendant,
}

impl Serving {
    fn serve(&self, next: NextConnection, stream: TcpStream, peer: IpAddr) {
        // A reader's progress must be seen, however slow he is.
        if let Err(error) = stream.set_nodelay(true).and_then(|()| see_slow_readers(&stream)) {
            return debug!(%error, "a client left before it sent anything");
        }
        let site = self.sites.now();
        let client = Client::new(peer, site.tls.is_some(), Arc::clone(&self.sites.own));
        let server = site.server.clone();
        let clients = &site.settings.clients;
        let attended = self.attendant.begin(Bounds { head: clients.head, idle: clients.idle });
        // A call that is worked on may take longer than a connection may be idle.
        let initiative = attended.initiative();
        let io = next.hold(stream).busy_while(move || initiative.client_s_since().is_none());
        let door = Door::new(&self.sites, client, io.progress(), attended.keep(), self.worker);
        match site.tls.clone() {
            None => drop(tokio::spawn(told(attended, server, io, door, peer))),
            Some(tls) => {
                let patience = clients.head.min(HANDSHAKE_MAX);
                let draining = self.sites.draining.clone();
                tokio::spawn(async move {
                    let accepted = tokio::select! {
                        accepted = timeout(patience, tls.accept(io)) => accepted,
                        () = draining.wants_the_end() => return, // nothing was asked yet
                    };
                    match accepted {
                        Ok(Ok(io)) => told(attended, server, io, door, peer).await,
                        Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
                        Err(_) => debug!(%peer, "a TLS handshake took too long"),
                    }
                });
            }
        }
    }
}

/// Serves it, and says why it broke, if it did.
async fn told<Io>(attended: Attended, server: Server, io: Io, door: Door, peer: IpAddr)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let sites = Arc::clone(door.sites());
    if let Err(error) = attended.serve(server, io, door).await {
        debug!(%peer, %error, "a connection broke");
        if sites.now().settings.has_access_log {
            access::unread(peer, &*error);
        }
    }
}
