//! A listener for few clients, with TLS or without.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    service::TowerToHyperService,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::seats::Seats;
use crate::{
    failure::Failure,
    listen::{Listener, cannot_listen, listen},
    proxy::attended::{Attendant, Attended, Bounds, Server},
};

/// How much one of them may ask for at once over HTTP/2.
const STREAMS: u32 = 8;
/// How long a client may take for TLS, for the head of a request, and for the rest of it; and for the next one, or for what it was
/// answered.
const BOUNDS: Bounds = Bounds { head: Duration::from_secs(10), idle: Duration::from_secs(60) };

/// Serves in the background, under this name and for so many at once, and says where. `setting` has the address.
pub(super) fn serve(
    name: &'static str,
    address: SocketAddr,
    setting: &str,
    tls: Option<Arc<ServerConfig>>,
    visitors: usize,
    pages: Router,
) -> Result<SocketAddr, Failure> {
    let cannot_listen = |error| cannot_listen(address, setting, &error);
    let listener = listen(address).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let listener = Listener::new(listener, name).map_err(cannot_listen)?;
    let tls = tls.map(TlsAcceptor::from);
    let pages = pages.layer(middleware::from_fn(in_time));
    let (attendant, mut seats) = (Attendant::new(), Seats::new(visitors));
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await;
            let seat = seats.next().await;
            let attended = attendant.begin(BOUNDS);
            let initiative = attended.initiative();
            let pages = pages.clone().layer(Extension(ConnectInfo(peer)));
            let tls = tls.clone();
            let task = tokio::spawn(async move {
                let _seat = seat;
                match tls {
                    None => one(attended, stream, pages).await,
                    Some(tls) => {
                        if let Ok(Ok(stream)) = timeout(BOUNDS.head, tls.accept(stream)).await {
                            one(attended, stream, pages).await;
                        }
                    }
                }
            });
            seats.take(initiative, task.abort_handle());
        }
    });
    Ok(address)
}

/// The pages are there at once, so whatever takes longer waits for its client.
async fn in_time(request: Request, next: Next) -> Response {
    timeout(BOUNDS.head, next.run(request))
        .await
        .unwrap_or_else(|_| (StatusCode::REQUEST_TIMEOUT, "the request was not complete\n").into_response())
}

async fn one<Io>(attended: Attended, io: Io, pages: Router)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut server = Server::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(BOUNDS.head);
    server.http2().max_concurrent_streams(STREAMS);
    // A client that broke off is nobody's concern.
    let _ = attended.serve(server, io, TowerToHyperService::new(pages)).await;
}
