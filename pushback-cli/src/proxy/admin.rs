//! The admin listener: whether the proxy is well, whether it wants requests, and its metrics. It changes nothing, and listens on
//! loopback alone.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HOST},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use pushback::PressureGauge;
use tokio::net::TcpListener;

use super::drain::Draining;
use crate::failure::Failure;

/// The buckets of times, in seconds: those of OpenTelemetry for HTTP servers, with two finer ones.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// How often what was recorded is counted, whether or not anybody asks.
const UPKEEP: Duration = Duration::from_secs(5);

pub(super) fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()
}

/// Serves in the background, and says where.
pub(super) async fn serve(
    address: SocketAddr,
    gauge: PressureGauge,
    draining: Draining,
    metrics: PrometheusHandle,
) -> Result<SocketAddr, Failure> {
    let cannot_listen = |error| Failure::run(format!("cannot listen on {address} for the admin: {error}"));
    let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    tokio::spawn(axum::serve(listener, router(gauge, draining, metrics)).into_future());
    Ok(address)
}

fn router(gauge: PressureGauge, draining: Draining, metrics: PrometheusHandle) -> Router {
    let ready = async move || {
        if draining.has_begun() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        } else {
            (StatusCode::OK, "ready\n")
        }
    };
    let metrics = async move || {
        gauge.publish_metrics();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
    };
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn(from_this_machine))
}

/// A page elsewhere can have its own name point to loopback, and read what a browser on this machine may read. Its requests
/// have its name for a Host.
async fn from_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let is_ours = matches!(name, "localhost" | "127.0.0.1" | "[::1]");
    if is_ours {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, "not this host\n").into_response()
    }
}
