//! A page that shows gauges live: limit, in flight and in line, what is admitted and refused and why, how long it takes, and why the
//! limit stands where it does.
//!
//! ```
//! use axum::{Router, routing::get};
//! use pushback::{PressureGauge, dashboard::Dashboard, http::BackpressureLayer};
//!
//! let gauge = PressureGauge::builder().name("orders").limit(10).build()?;
//! let app: Router = Router::new()
//!     .route("/orders", get(async || "done").route_layer(BackpressureLayer::new(gauge.clone())))
//!     .nest_service("/pressure", Dashboard::new([gauge]).router());
//! # let _ = app;
//! # Ok::<(), pushback::BuildError>(())
//! ```
//!
//! The page is of one origin: no font, script or picture comes from elsewhere, and its Content-Security-Policy says so. It changes
//! nothing. Who may see it is the application's business: it shows names of gauges, counts, and the method and path (without query) of
//! the last requests that were refused.
//!
//! While nobody looks, it costs a request a load or two of a word. While somebody does, requests through the HTTP layer are timed. Calls that do not
//! come through that layer are in the counts, but have no times and no priorities here.

mod feed;
mod frame;

use std::{convert::Infallible, fmt, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::RawQuery,
    http::{
        HeaderName, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, RETRY_AFTER,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream;

use self::feed::Feed;
use crate::gauge::PressureGauge;

const PAGE: &str = include_str!("dashboard/page.html");
const STYLE: &str = include_str!("dashboard/page.css");
/// Its parts share one scope, in this order.
const SCRIPT: &str = concat!(
    include_str!("dashboard/words.js"),
    include_str!("dashboard/plot.js"),
    include_str!("dashboard/gauge.js"),
    include_str!("dashboard/tables.js"),
    include_str!("dashboard/change.js"),
    include_str!("dashboard/stream.js"),
);

/// Nothing from elsewhere, nothing that is written into the page, and nobody may put it into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// No other origin may embed what has it.
const SAME_ORIGIN: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

type Gauges = dyn Fn() -> Vec<PressureGauge> + Send + Sync;
type Routes = dyn Fn() -> Vec<RouteCount> + Send + Sync;

/// A page that shows gauges live.
pub struct Dashboard {
    gauges: Arc<Gauges>,
    routes: Arc<Routes>,
    changes_at: String,
    panel: Panel,
}

/// What an application puts into the page.
#[derive(Debug, Clone, Copy, Default)]
struct Panel {
    html: &'static str,
    style: &'static str,
    script: &'static str,
}

/// How many requests took one way through a service.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct RouteCount {
    /// What people call it: `GET /orders`.
    pub name: String,
    /// The name of the gauge that it passes.
    pub gauge: String,
    /// How many requests there ever were.
    pub requests: u64,
}

impl RouteCount {
    /// So many requests took the route of this name, which passes the gauge of that name.
    pub fn new(name: &str, gauge: &str, requests: u64) -> Self {
        RouteCount { name: name.to_owned(), gauge: gauge.to_owned(), requests }
    }
}

impl Dashboard {
    /// A page of these gauges, in this order.
    pub fn new(gauges: impl IntoIterator<Item = PressureGauge>) -> Self {
        let gauges: Vec<_> = gauges.into_iter().collect();
        Dashboard::of(move || gauges.clone())
    }

    /// A page of gauges that come and go: `gauges` is asked a few times a second while somebody looks.
    pub fn of(gauges: impl Fn() -> Vec<PressureGauge> + Send + Sync + 'static) -> Self {
        Dashboard {
            gauges: Arc::new(gauges),
            routes: Arc::new(Vec::new),
            changes_at: String::new(),
            panel: Panel::default(),
        }
    }

    /// Shows what share of the requests took which route, too; `routes` is asked as often.
    pub fn routes(mut self, routes: impl Fn() -> Vec<RouteCount> + Send + Sync + 'static) -> Self {
        self.routes = Arc::new(routes);
        self
    }

    /// Lets people change limits and dry runs on the page, once they have confirmed it and given a token. The page sends
    /// `PATCH PATH/NAME` with `Authorization: Bearer TOKEN` and what is to change: `{"limit": 7}`, `{"paused": true}`, `{"dry_run": true}`, and for a limit that
    /// moves `{"limit": 7, "pinned": true}` and `{"pinned": false}` ([`PressureGauge::pin`]). What answers there, and who may, is the
    /// application's business. The path is relative to the page's folder: `api/gauges`.
    pub fn changes_at(mut self, path: impl Into<String>) -> Self {
        self.changes_at = path.into();
        self
    }

    /// For the demo: puts a piece of HTML above the gauges, with a style sheet, and a script that goes on behind the page's own.
    #[doc(hidden)]
    pub fn panel(mut self, html: &'static str, style: &'static str, script: &'static str) -> Self {
        self.panel = Panel { html, style, script };
        self
    }

    /// The routes: `/`, the page, and `/events`, what it shows, as server-sent events with four JSON objects a second. Put it at any path
    /// by [`Router::nest_service`], or at the root by [`Router::merge`]. By [`Router::nest`], it is at `/pressure` and not at `/pressure/`.
    ///
    /// At most 32 may look at once; others get 503.
    ///
    /// A stream of events ends when the last gauge has been closed and is idle, so that a graceful shutdown need not wait for whoever looks:
    /// drain the gauges first ([`PressureGauge::drain`]), or a page that is open anywhere holds the shutdown up.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let Dashboard { gauges, routes, changes_at, panel } = self;
        let page =
            Bytes::from(PAGE.replace("{changes_at}", &attribute(&changes_at)).replace("{panel}", panel.html));
        let style = Bytes::from(format!("{STYLE}\n{}", panel.style));
        let script = Bytes::from(format!("{SCRIPT}\n{}", panel.script));
        // They are asked for by the query, and not by paths of their own, so that the page works at any path, whether or not that
        // ends with a slash.
        let file = async move |RawQuery(query): RawQuery| match query.as_deref() {
            Some("style") => file("text/css; charset=utf-8", style),
            Some("script") => file("text/javascript; charset=utf-8", script),
            _ => file("text/html; charset=utf-8", page),
        };
        let feed = Feed::new(gauges, routes);
        Router::new().route("/", get(file)).route("/events", get(async move || events(&feed)))
    }
}

fn file(content_type: &'static str, text: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (SAME_ORIGIN, "same-origin"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // It belongs to this version of the program.
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

/// Text as it is written into a quoted attribute of HTML.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;")
}

fn events(feed: &Arc<Feed>) -> Response {
    let Some(frames) = feed.subscribe() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "10")], "as many look as may\n")
            .into_response();
    };
    let frames = stream::unfold(Some(frames), async |frames| {
        let mut frames = frames?;
        frames.changed().await.ok()?;
        let frame = frames.borrow_and_update().clone();
        Some((Ok::<_, Infallible>(frame.event), (!frame.is_last).then_some(frames)))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (SAME_ORIGIN, "same-origin"),
        // Or nginx collects events before it hands them on.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

impl fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dashboard").field("changes_at", &self.changes_at).finish_non_exhaustive()
    }
}
