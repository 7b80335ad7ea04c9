//! What stands before the services by the settings that are in force: routes, gauges, TLS. It is made anew when they change: what did not
//! change is taken over with all that it has learned, and calls that run keep what they began with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::Request;
use pushback::{
    Arrival, PressureGauge,
    http::{BackpressureLayer, Classify, Reply, Trust as Trusting},
};
use tokio_rustls::TlsAcceptor;

use super::{
    call::count_left_from_now_on,
    draining::Draining,
    gauges::{Before, Stood, found, gauge_of},
    retired::{self, Retired},
    route::{Route, is_ambiguous},
    server,
    upgraded::Upgraded,
};
use crate::{
    files::Share,
    proxy::{
        attended::Server,
        message::{claims::Claims, error::Error, own::Own},
        service::upstream::Upstream,
        settings::{Identity, RouteSettings, ServiceSettings, Settings},
        tls,
    },
    settings::LimitChoice,
};

/// The site that is in force, and what stays when it changes.
pub(in crate::proxy) struct Sites {
    current: ArcSwap<Site>,
    pub(super) own: Arc<Own>,
    pub(in crate::proxy) draining: Draining,
    /// What connections to services may take.
    files: Share,
}

/// What stands before the services by one form of the settings.
pub(in crate::proxy) struct Site {
    pub(in crate::proxy) settings: Settings,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) server: Server,
    pub(super) claims: Arc<Claims>,
    /// Whether paths matter, so that each must have one reading.
    has_paths: bool,
    /// In the order of the settings.
    pub(in crate::proxy) gauges: Vec<PressureGauge>,
    pub(in crate::proxy) routes: Vec<Arc<Route>>,
    /// What the settings before had.
    retired: Retired,
}

impl Sites {
    /// Limits that find themselves go on from where they stood, if that is known.
    pub(in crate::proxy) fn new(settings: Settings, stood: &Stood, files: Share) -> Result<Self, String> {
        count_left_from_now_on();
        let site = Site::new(settings, None, stood, &files)?;
        Ok(Sites {
            current: ArcSwap::from_pointee(site),
            own: Arc::new(Own::new()),
            draining: Draining::new(),
            files,
        })
    }

    /// The site now: cheap, and for a moment.
    pub(in crate::proxy) fn now(&self) -> arc_swap::Guard<Arc<Site>> {
        self.current.load()
    }

    /// Has other settings from the next request on. If they cannot be, says why, and all stays as it is.
    pub(in crate::proxy) fn change(&self, settings: Settings) -> Result<(), String> {
        let site = Site::new(settings, Some(&self.now()), &Stood::new(), &self.files)?;
        self.current.store(Arc::new(site));
        Ok(())
    }

    /// How many calls were admitted and refused by the gauges that are in use.
    pub(in crate::proxy) fn totals(&self) -> (u64, u64) {
        let snapshots = self.now().used_gauges().map(PressureGauge::snapshot).collect::<Vec<_>>();
        let refused = snapshots.iter().map(|snapshot| snapshot.refused.total());
        (snapshots.iter().map(|snapshot| snapshot.admitted).sum(), refused.sum())
    }

    /// How many connections have become something else.
    pub(in crate::proxy) fn upgraded(&self) -> u64 {
        self.now().used_upgraded().map(Upgraded::open).sum()
    }

    /// How many calls run.
    pub(in crate::proxy) fn in_flight(&self) -> u64 {
        self.now().used_gauges().map(retired::in_flight).sum()
    }

    pub(in crate::proxy) fn publish_metrics(&self) {
        let site = self.now();
        site.used_gauges().for_each(PressureGauge::publish_metrics);
        site.used_upgraded().for_each(Upgraded::publish_metrics);
    }
}

impl Site {
    fn new(settings: Settings, before: Option<&Site>, stood: &Stood, files: &Share) -> Result<Self, String> {
        let tls = settings
            .tls
            .as_ref()
            .map(|Identity { certificate, key }| tls::server(certificate, key))
            .transpose()?
            .map(TlsAcceptor::from);
        // All that can fail first, so that what is taken over is not changed in vain.
        let mut upstreams: Vec<Arc<Upstream>> = Vec::new();
        for RouteSettings { service, .. } in &settings.routes {
            if upstreams.iter().all(|upstream| upstream.settings != *service) {
                let kept = before.and_then(|before| before.upstream(service));
                let upstream = match kept {
                    Some(kept) => kept,
                    None => Arc::new(Upstream::new(service, settings.workers, files)?),
                };
                upstreams.push(upstream);
            }
        }
        let gauges_before = before.map(Site::gauges_before).unwrap_or_default();
        let gauges = settings.gauges.iter().map(|gauge| gauge_of(gauge, &gauges_before, stood));
        let gauges = gauges.collect::<Result<Vec<_>, _>>()?;
        let routes = settings.routes.iter().map(|route| {
            let gauge = settings.gauges.iter().position(|gauge| gauge.name == route.gauge);
            let gauge = gauge.map(|index| &gauges[index]).ok_or("a route names a gauge that is not there")?;
            let upstream = upstreams.iter().find(|upstream| upstream.settings == route.service);
            let upstream = upstream.ok_or("a route names a service that is not there")?;
            Ok::<_, String>(Arc::new(Route {
                name: route.name.clone(),
                gauge: route.gauge.clone(),
                requests: before
                    .and_then(|before| before.route(&route.name))
                    .map_or_else(Arc::default, |before| Arc::clone(&before.requests)),
                asked: route.asked.clone(),
                upstream: Arc::clone(upstream),
                timeout: route.timeout,
                stall: route.stall,
                on_leave: route.on_leave,
                upgrades: route.upgrades.clone(),
                upgraded: Upgraded::new(
                    &route.name,
                    route.upgraded_limit.unwrap_or(settings.clients.connections),
                    route.upgraded_idle,
                    before.and_then(|before| before.upgraded(&route.name)),
                )
                .map_err(|error| error.to_string())?,
                fields_max: settings.clients.fields_max(),
                trusting: layer(route, gauge, &settings, true)?,
                layer: layer(route, gauge, &settings, false)?,
            }))
        });
        let routes = routes.collect::<Result<_, _>>()?;
        let retired = before.map(|before| before.retire(&settings)).unwrap_or_default();
        let server = server::server(&settings.clients);
        let claims = Arc::new(Claims::of(&settings.trust));
        let has_paths = settings.routes.iter().any(|route| route.asked.path.is_some());
        Ok(Site { tls, server, claims, has_paths, gauges, routes, retired, settings })
    }

    /// Where limits that find themselves stand by what they have found, by the names of their gauges; nothing, where that is nothing new.
    pub(in crate::proxy) fn found(&self) -> Vec<(&'static str, Option<u32>)> {
        let gauges = self.settings.gauges.iter().zip(&self.gauges);
        let finding = gauges.filter(|(settings, _)| settings.limit == LimitChoice::AUTO);
        finding.map(|(_, gauge)| (gauge.name(), found(gauge))).collect()
    }

    /// The first route that is for this request.
    pub(super) fn route_of<B>(&self, request: &Request<B>) -> Result<&Arc<Route>, Error> {
        if self.has_paths && is_ambiguous(request.uri().path()) {
            return Err(Error::Malformed("The path has '.' or '..' for a segment, or a backslash"));
        }
        self.routes.iter().find(|route| route.asked.is(request)).ok_or(Error::NoRoute)
    }

    /// The route of this name, whose counts go on.
    fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name).map(|route| &**route)
    }

    /// Connections of the route of this name, if there was one.
    fn upgraded(&self, route: &str) -> Option<&Upgraded> {
        self.route(route).map(|route| &route.upgraded).or_else(|| self.retired.upgraded(route))
    }

    /// What it has that a site of these settings has not, and calls may still use.
    fn retire(&self, settings: &Settings) -> Retired {
        let mut retired = self.retired.clone();
        for (was, gauge) in self.settings.gauges.iter().zip(&self.gauges) {
            if !settings.gauges.iter().any(|now| was.is_kept_by(now)) {
                // What comes back later is what the file says.
                gauge.unpin();
                retired.add_gauge(was, gauge, self.routes.iter().filter(|route| route.gauge == was.name));
            }
        }
        for route in &self.routes {
            if settings.routes.iter().all(|now| now.name != route.name) {
                retired.add_upgraded(route);
            }
        }
        retired.forget_gauges(|was| settings.gauges.iter().any(|now| was.is_kept_by(now)));
        settings.routes.iter().for_each(|route| retired.forget_upgraded(&route.name));
        retired.forget_unused();
        retired
    }

    /// What the gauges of other settings may be made of.
    fn gauges_before(&self) -> Before<'_> {
        let in_force = self.settings.gauges.iter().zip(&self.gauges).collect();
        Before { in_force, retired: self.retired.gauges_as_they_were().collect() }
    }

    /// Those in force first, which have the better right to their names in metrics.
    fn used_gauges(&self) -> impl Iterator<Item = &PressureGauge> {
        self.gauges.iter().chain(self.retired.gauges())
    }

    fn used_upgraded(&self) -> impl Iterator<Item = &Upgraded> {
        self.routes.iter().map(|route| &route.upgraded).chain(self.retired.all_upgraded())
    }

    fn upstream(&self, settings: &ServiceSettings) -> Option<Arc<Upstream>> {
        let upstream = self.routes.iter().map(|route| &route.upstream);
        upstream.into_iter().find(|upstream| upstream.settings == *settings).map(Arc::clone)
    }
}

/// The library's layer, as this route uses it for known hops or for strangers.
fn layer(
    route: &RouteSettings,
    gauge: &PressureGauge,
    settings: &Settings,
    is_for_known: bool,
) -> Result<BackpressureLayer, String> {
    let mut trusting = Trusting::new(move |_| is_for_known);
    if let Some(name) = &settings.trust.deadline_header {
        trusting = trusting.deadline_header(name).map_err(|error| error.to_string())?;
    }
    let classify = Classify::new().exempt(&route.exempt).map_err(|error| error.to_string())?.trust(trusting);
    let priority = route.priority;
    let classify = classify
        .arrival(move |_| Arrival::new().priority(priority))
        .retries_rank_lower(route.retries_rank_lower);
    let has_line = settings.gauges.iter().any(|gauge| gauge.name == route.gauge && gauge.line > 0);
    let layer = if has_line { BackpressureLayer::waiting } else { BackpressureLayer::new }(gauge.clone());
    let layer =
        layer.hold(route.hold).answered(route.answered).classify(classify).least_rate(route.least_rate);
    let body_buffer = usize::try_from(settings.clients.body_buffer).unwrap_or(usize::MAX);
    let layer = layer.body_buffer(body_buffer).map_err(|error| error.to_string())?;
    // gRPC goes over HTTP/2 alone, so to other services a request that calls itself so is none.
    let layer = if route.service.origin.is_h2() { layer } else { layer.no_grpc() };
    let layer = match route.refuse_with {
        None => layer,
        Some(status) => layer.reply(Reply::new().status(status).map_err(|error| error.to_string())?),
    };
    layer.stall(route.stall).map_err(|error| error.to_string())
}
