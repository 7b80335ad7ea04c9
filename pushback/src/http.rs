//! The server layer, for everything that speaks `http` and `tower`: axum, tonic, hyper.
//!
//! ```
//! use axum::{Router, routing::get};
//! use pushback::{PressureGauge, http::BackpressureLayer};
//!
//! let gauge = PressureGauge::new(10);
//! let app: Router =
//!     Router::new().route("/request", get(|| async { "done" })).route_layer(BackpressureLayer::new(gauge));
//! # let _ = app;
//! ```
//!
//! Where the layer stands decides what it covers:
//!
//! - `Router::route_layer` covers the router's paths, also for methods that no route serves.
//! - `Router::layer` covers unknown paths and the fallback too.
//! - `get(handler).route_layer(layer)` covers only the methods of the route.
//!
//! None of them covers routes and fallbacks that are added after it.
//!
//! A refusal is 429 with `Retry-After`, with problem details (RFC 9457) for callers that accept
//! them. gRPC callers get gRPC's own status. [`Reply`] changes the status. A refusal says neither
//! the limit nor the gauge's name, and says why only to peers whom [`Trust`] trusts. It is a
//! response, so the inner service's error type stays as it is.
//!
//! A request is decided when it is there: in `call`, not in `poll_ready`, where a connection that
//! has sent nothing would already take a place. The state is in the layer's gauge, so a service
//! that is cloned for each connection or request still has one limit.

mod ahead;
mod allowance;
mod answering;
mod body;
mod classify;
mod connections;
mod events;
mod fields;
mod future;
#[cfg(feature = "axum")]
mod handler;
mod head;
mod hold;
mod hold_time;
mod holding;
mod linger;
mod patrol;
mod progress;
mod reading;
mod refusal;
mod reply;
mod retries;
mod room;
mod sending;
mod shared;
#[cfg(unix)]
mod steady;
mod stream;
mod trust;
mod turns;
mod unread;
mod upload;

use std::{
    error::Error,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ::http::{Request, Response, Version};
use bytes::Bytes;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use answering::Answered;
pub use body::ResponseBody;
pub use classify::Classify;
#[cfg(feature = "axum")]
pub use connections::CappedListener;
pub use connections::{Connection, Connections, NextConnection};
pub use future::ResponseFuture;
pub use head::{RequestHead, ResponseHead};
pub use hold::{Hold, Place};
pub use progress::Progress;
pub use reply::Reply;
#[cfg(unix)]
pub use steady::see_slow_readers;
pub use stream::ReaderStalled;
pub use trust::Trust;
pub use upload::{RequestBody, SenderStalled};

use self::{
    classify::Class,
    shared::{Over, Settings, Shared},
};
use crate::{gauge::PressureGauge, settings::BuildError};

/// The error of a body, whatever it is: what hyper, axum and tonic take.
type BoxError = Box<dyn Error + Send + Sync>;

/// Puts a gauge in front of a service.
///
/// Its clones, and all services that it makes, share one limit.
#[derive(Debug, Clone)]
pub struct BackpressureLayer {
    shared: Arc<Shared>,
}

/// A service behind a gauge, made by [`BackpressureLayer`].
#[derive(Debug, Clone)]
pub struct Backpressure<S> {
    inner: S,
    shared: Arc<Shared>,
    progress: Option<Progress>,
}

impl<S> Backpressure<S> {
    /// The same service for one connection, which sees its reader's progress at the socket.
    ///
    /// Over HTTP/1, readers are then judged by what the socket takes and not by what the server
    /// asks for. So a slow but steady reader is not taken for one that has
    /// [stalled](BackpressureLayer::stall). Over HTTP/2, where one reader of many may stall, it
    /// changes nothing. Call [`see_slow_readers`] for the socket too.
    ///
    /// In an accept loop of your own, [`Connections`] has the progress: `connection.progress()`.
    pub fn over(self, progress: Progress) -> Self {
        Backpressure { progress: Some(progress), ..self }
    }
}

impl BackpressureLayer {
    /// Requests above the limit are refused at once, with 429 unless [`reply`](Self::reply) says
    /// otherwise.
    pub fn new(gauge: PressureGauge) -> Self {
        BackpressureLayer::with(Settings::new(gauge, Over::Refused))
    }

    /// Requests above the limit wait in the gauge's line, and are refused when it is full or they waited too long.
    pub fn waiting(gauge: PressureGauge) -> Self {
        BackpressureLayer::with(Settings::new(gauge, Over::InLine))
    }

    /// What refused requests are told.
    pub fn reply(self, reply: Reply) -> Self {
        BackpressureLayer::with(Settings { reply, ..self.shared.settings.clone() })
    }

    /// How long a request holds its place. Default: to the last byte of its answer.
    pub fn hold(self, hold: Hold) -> Self {
        BackpressureLayer::with(Settings { hold, ..self.shared.settings.clone() })
    }

    /// When a caller has what it waits for. Default: the first part of the answer's body.
    ///
    /// ```
    /// use pushback::{PressureGauge, http::{Answered, BackpressureLayer}};
    ///
    /// // A model whose first event only says that it has begun.
    /// let layer = BackpressureLayer::new(PressureGauge::auto()).answered(Answered::FirstEvent(2));
    /// # let _ = layer;
    /// ```
    pub fn answered(self, answered: Answered) -> Self {
        BackpressureLayer::with(Settings { answered, ..self.shared.settings.clone() })
    }

    /// Which requests are exempt, what others cost, how important they are, and what an answer says
    /// about the load.
    pub fn classify(self, classify: Classify) -> Self {
        BackpressureLayer::with(Settings { classify, ..self.shared.settings.clone() })
    }

    /// How long a peer may make no progress while the service waits for it, 1 ms to 24 h. Default:
    /// 10 s.
    ///
    /// Ten slow readers must not freeze a limit of ten. Whoever makes no progress for so long, or a
    /// quarter longer, has the body ended with [`ReaderStalled`] or [`SenderStalled`], and its
    /// place goes to somebody else.
    ///
    /// - The reader of an answer makes progress when it takes the next part of the body, of at most
    ///   64 KiB, however slowly.
    /// - The sender of an upload makes progress when its next part comes. It must keep to the
    ///   [`least_rate`](Self::least_rate) too.
    ///
    /// It is no stall if the service has nothing to say for a while, as with server-sent events, or
    /// if a sender is silent after the service has answered, as in a gRPC call with streams both
    /// ways.
    ///
    /// Servers and systems buffer what they send, and do not say how much of it was read. By
    /// default, systems take megabytes for a connection, and say that there is room for more when a
    /// third of that was read. Until then, a steady reader makes no progress that anybody sees.
    /// [`see_slow_readers`] makes a socket's progress visible each 32 KiB.
    ///
    /// # Errors
    ///
    /// If it is out of range. There is no "never": peers that hold places for ever would freeze a
    /// service.
    pub fn stall(self, bound: Duration) -> Result<Self, BuildError> {
        if !(STALL_MIN..=STALL_MAX).contains(&bound) {
            return Err(BuildError::new("stall", format!("{bound:?}"), "1 ms to 24 h"));
        }
        Ok(BackpressureLayer::with(Settings { stall: bound, ..self.shared.settings.clone() }))
    }

    /// How many bytes a second the sender of an upload must send while the service waits for it, 0
    /// to [`u32::MAX`]. Default: 4 KiB.
    ///
    /// It is measured over the time of [`stall`](Self::stall): whoever pauses or slows down uses
    /// that time up, and what is sent beyond the least rate fills it again. When it is used up, the
    /// body ends with [`SenderStalled`]. With 0, any byte counts as progress.
    pub fn least_rate(self, bytes_a_second: u32) -> Self {
        BackpressureLayer::with(Settings { least_rate: bytes_a_second, ..self.shared.settings.clone() })
    }

    /// How many bytes of a request's body are read before the gauge is asked, 0 to 16 MiB. Default:
    /// 64 KiB.
    ///
    /// - A body of up to so many bytes is all there before the request takes a place, so clients
    ///   that send drop by drop take none.
    /// - The rest of a longer body is read by the service, at the [`least_rate`](Self::least_rate)
    ///   at least.
    /// - For a gRPC call, the first message is enough. It is waited for a second at most, for in a
    ///   stream the service may speak first.
    /// - A request that would be refused anyway is refused before its body is read.
    ///
    /// All requests of a process together may have 64 MiB read ahead. When that is used up, whoever
    /// has waited longest for the rest of a body is answered with 408, and makes room for the
    /// others.
    ///
    /// Say 0 where a service answers requests other than gRPC part by part.
    ///
    /// # Errors
    ///
    /// If it is out of range.
    pub fn body_buffer(self, bytes: usize) -> Result<Self, BuildError> {
        if bytes > BODY_BUFFER_MAX {
            return Err(BuildError::new("body_buffer", bytes.to_string(), "0 to 16777216 bytes"));
        }
        Ok(BackpressureLayer::with(Settings { body_buffer: bytes, ..self.shared.settings.clone() }))
    }

    /// Says that the service does not speak gRPC, so a request that calls itself gRPC is read ahead
    /// like any other.
    ///
    /// Otherwise anybody may take a place with the five bytes of an empty gRPC message.
    pub fn no_grpc(self) -> Self {
        BackpressureLayer::with(Settings { speaks_grpc: false, ..self.shared.settings.clone() })
    }

    fn with(settings: Settings) -> Self {
        BackpressureLayer { shared: Arc::new(Shared::new(settings)) }
    }
}

const STALL_MIN: Duration = Duration::from_millis(1);
const STALL_MAX: Duration = Duration::from_secs(24 * 3600);
const BODY_BUFFER_MAX: usize = 16 << 20;

impl<S> Layer<S> for BackpressureLayer {
    type Service = Backpressure<S>;

    fn layer(&self, inner: S) -> Backpressure<S> {
        Backpressure { inner, shared: Arc::clone(&self.shared), progress: None }
    }
}

impl<S, Q, B> Service<Request<Q>> for Backpressure<S>
where
    S: Service<Request<RequestBody<Q>>, Response = Response<B>> + Clone,
    Q: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Q>;

    /// Always ready: whether there is a place is asked when there is a request, and the inner service is made ready
    /// behind the permit, so that nobody waits in a hidden line before the gauge.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Q>) -> Self::Future {
        let shared = &self.shared;
        match shared.settings.classify.class(&mut request, &shared.settings.gauge) {
            Class::Exempt => ResponseFuture::exempt(shared, &mut self.inner, request),
            Class::Asks(asks) => {
                let progress = self.progress.as_ref().filter(|_| request.version() < Version::HTTP_2);
                ResponseFuture::asking(shared, &mut self.inner, request, asks, progress)
            }
        }
    }
}
