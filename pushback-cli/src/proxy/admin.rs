//! The admin listener: whether the proxy is well, whether it wants requests, and its metrics; its gauges as a live page; and changes
//! of them, for whoever has the token.

mod api;
mod guard;
mod listener;
mod seats;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    routing::get,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use pushback::dashboard::{Dashboard, RouteCount};

use self::guard::Guard;
use super::{
    front::site::Sites,
    log,
    settings::{Admin, Identity, Said, Token},
    tls,
};
use crate::{failure::Failure, files};

/// The buckets of times, in seconds: those of OpenTelemetry for HTTP servers, with two finer ones.
const BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// How often what was recorded is counted, whether or not anybody asks.
const UPKEEP: Duration = Duration::from_secs(5);

pub(super) fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()
}

/// Where it is served, if it is.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) admin: Option<SocketAddr>,
    pub(super) probes: Option<SocketAddr>,
}

/// Serves in the background, so many at once on each listener, and says where.
pub(super) fn serve(
    settings: &Admin,
    said: Said<'_>,
    sites: &Arc<Sites>,
    metrics: PrometheusHandle,
    visitors: usize,
) -> Result<Served, Failure> {
    settings.check().map_err(|problem| Failure::wrong(format!("admin: {problem}")))?;
    let token = settings.token.as_deref().map(|file| {
        let name = said.name("--admin-token", "admin.token");
        Token::read(file).map_err(|problem| Failure::wrong(format!("{name} is {file:?}; {problem}")))
    });
    let token = token.transpose()?;
    let tls =
        settings.tls.as_ref().map(|Identity { certificate, key }| tls::server(certificate, key)).transpose();
    let tls = tls.map_err(|problem| Failure::wrong(format!("admin.tls: {problem}")))?;
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let probes = probes(sites, metrics);
    let mut served = Served::default();
    if let Some(address) = settings.probes {
        let setting = said.name("--probes HOST:PORT", "admin.probes");
        served.probes = Some(listener::serve("probes", address, &setting, None, visitors, probes.clone())?);
    }
    if let Some(address) = settings.listen {
        let page = dashboard(sites);
        let page = if token.is_some() { page.changes_at("api/gauges") } else { page };
        let guard = Arc::new(Guard::new(address, token));
        let pages = probes.merge(api::router(sites, &guard)).merge(page.router());
        let pages = pages.layer(middleware::from_fn_with_state(guard, guard::from_here));
        let setting = said.name("--admin HOST:PORT", "admin.listen");
        served.admin = Some(listener::serve("admin", address, &setting, tls, visitors, pages)?);
    }
    Ok(served)
}

/// The live page.
fn dashboard(sites: &Arc<Sites>) -> Dashboard {
    let gauges = Arc::clone(sites);
    let routes = Arc::clone(sites);
    Dashboard::of(move || gauges.now().gauges.clone()).routes(move || {
        let site = routes.now();
        let counts = site
            .routes
            .iter()
            .map(|route| RouteCount::new(&route.name, &route.gauge, route.requests.load(Ordering::Relaxed)));
        counts.collect()
    })
}

/// What changes nothing.
fn probes(sites: &Arc<Sites>, metrics: PrometheusHandle) -> Router {
    let draining = sites.draining.clone();
    let ready = async move || {
        if draining.has_begun() {
            (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        } else {
            (StatusCode::OK, "ready\n")
        }
    };
    let sites = Arc::clone(sites);
    let metrics = async move || {
        sites.publish_metrics();
        log::publish_metrics();
        files::publish_metrics();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
    };
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}
