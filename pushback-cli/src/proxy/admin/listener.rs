//! A listener for few clients, with TLS or without.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use pushback::http::Connections;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// How many may be connected: probes, scrapers, people.
const CONNECTIONS: u32 = 200;
/// How much one of them may ask for at once over HTTP/2.
const STREAMS: u32 = 8;
/// How long a client may take for TLS, and for the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// After an accept that failed, for want of files perhaps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves in the background, and says where.
pub(super) async fn serve(
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    pages: Router,
) -> Result<SocketAddr, Failure> {
    let cannot_listen = |error| Failure::run(format!("cannot listen on {address} for the admin: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let connections = Connections::at_most(CONNECTIONS).map_err(Failure::run)?;
    let tls = tls.map(TlsAcceptor::from);
    tokio::spawn(async move {
        loop {
            let next = connections.next().await;
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (io, pages, tls) = (next.hold(stream), pages.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => one(io, pages).await,
                    Some(tls) => {
                        if let Ok(Ok(io)) = timeout(HEAD_MAX, tls.accept(io)).await {
                            one(io, pages).await;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

async fn one<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static>(io: Io, pages: Router) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_MAX);
    server.http2().max_concurrent_streams(STREAMS);
    // A client that broke off is nobody's concern.
    let _ = server.serve_connection(TokioIo::new(io), TowerToHyperService::new(pages)).await;
}
