//! The server layer, for everything that speaks `http` and `tower`: axum, tonic, hyper.
//!
//! ```
//! use axum::{Router, routing::get};
//! use pushback::{PressureGauge, http::BackpressureLayer};
//!
//! let gauge = PressureGauge::new(10);
//! let app: Router = Router::new().route("/request", get(|| async { "done" })).layer(BackpressureLayer::new(gauge));
//! # let _ = app;
//! ```
//!
//! `Router::layer` covers unknown paths and methods too, which are then refused like the rest; `route_layer` covers only what
//! the routes serve.
//!
//! A refusal is 429 with `Retry-After`, problem details (RFC 9457) for callers that accept them, and in gRPC's own words for gRPC
//! callers; [`Reply`] changes the status. It says why, and neither the limit nor the gauge's name.
//!
//! A request is decided when it is there: in `call`, not in `poll_ready`, where a connection that has sent nothing would
//! already take a place. The refusal is a response, and the inner service's error type stays as it is. The state is in
//! the layer's gauge, so a service that is cloned for each connection or request still has one limit.

mod body;
mod future;
mod pace;
mod refusal;
mod reply;

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use ::http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

pub use body::ResponseBody;
pub use future::ResponseFuture;
pub use reply::Reply;

use self::reply::Replier;
use crate::gauge::PressureGauge;

/// Puts a gauge in front of a service.
///
/// The place is held until the last byte of the response's body has been handed over, or the body is dropped.
#[derive(Debug, Clone)]
pub struct BackpressureLayer {
    gauge: PressureGauge,
    over: Over,
    replier: Arc<Replier>,
}

/// A service behind a gauge; [`BackpressureLayer`] makes it.
#[derive(Debug, Clone)]
pub struct Backpressure<S> {
    inner: S,
    gauge: PressureGauge,
    over: Over,
    replier: Arc<Replier>,
}

/// What happens to a request above the limit.
#[derive(Debug, Clone, Copy)]
enum Over {
    Refused,
    InLine,
}

impl BackpressureLayer {
    /// Requests above the limit are refused at once, with 429 if [`reply`](Self::reply) does not say otherwise.
    pub fn new(gauge: PressureGauge) -> Self {
        BackpressureLayer { gauge, over: Over::Refused, replier: Arc::new(Replier::new(Reply::new())) }
    }

    /// Requests above the limit wait in the gauge's line, and are refused when it is full or they waited too long.
    pub fn waiting(gauge: PressureGauge) -> Self {
        BackpressureLayer { over: Over::InLine, ..BackpressureLayer::new(gauge) }
    }

    /// What refused requests are told.
    pub fn reply(mut self, reply: Reply) -> Self {
        self.replier = Arc::new(Replier::new(reply));
        self
    }
}

impl<S> Layer<S> for BackpressureLayer {
    type Service = Backpressure<S>;

    fn layer(&self, inner: S) -> Backpressure<S> {
        Backpressure { inner, gauge: self.gauge.clone(), over: self.over, replier: Arc::clone(&self.replier) }
    }
}

impl<S, Q, B> Service<Request<Q>> for Backpressure<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q>;

    /// Always ready: whether there is a place is asked when there is a request, and the inner service is made ready
    /// behind the permit, so that nobody waits in a hidden line before the gauge.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        match self.over {
            Over::Refused => match self.gauge.try_acquire() {
                Ok(permit) => ResponseFuture::admitted(permit.into_owned(), self.inner.clone(), request),
                Err(rejected) => {
                    ResponseFuture::refused(self.replier.refuse(&self.gauge, rejected, request.headers()))
                }
            },
            Over::InLine => {
                let acquire = self.gauge.acquire().into_owned();
                ResponseFuture::in_line(acquire, Arc::clone(&self.replier), self.inner.clone(), request)
            }
        }
    }
}
