//! The door: who comes in, with which question, and what the gauge says.

use std::{
    convert::Infallible,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request, Response, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::Service,
};
use pushback::http::{BackpressureLayer, ResponseBody};
use tower_layer::Layer;
use tower_service::Service as _;

use super::{
    access::Line,
    answer::{Answer, Error, PROXY_STATUS, REFUSED},
    call::{Answered, Call, Progress},
    drain::Draining,
    fields::{self, Own},
    forward::Forward,
    typical::Typical,
    upstream::{Origin, Upstream},
};

/// What stands in front of the service, for all connections.
pub(super) struct Gate {
    pub(super) layer: BackpressureLayer,
    pub(super) origin: Origin,
    /// How long the service has for the head of an answer.
    pub(super) answer_max: Duration,
    pub(super) typical: Typical,
    pub(super) own: Own,
    has_access_log: bool,
    draining: Draining,
}

impl Gate {
    pub(super) fn new(
        layer: BackpressureLayer,
        origin: Origin,
        answer_max: Duration,
        has_access_log: bool,
        draining: Draining,
    ) -> Self {
        Gate {
            layer,
            origin,
            answer_max,
            typical: Typical::default(),
            own: Own::new(),
            has_access_log,
            draining,
        }
    }
}

/// Serves one connection.
pub(super) struct Door {
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    /// The client's address, as a field has it.
    peer: HeaderValue,
}

impl Door {
    pub(super) fn new(gate: &Arc<Gate>, upstream: &Arc<Upstream>, peer: IpAddr) -> Self {
        let peer = HeaderValue::try_from(peer.to_canonical().to_string());
        // An address has only characters that a field may have.
        let peer = peer.unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Door { gate: Arc::clone(gate), upstream: Arc::clone(upstream), peer }
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Answered;
    type Error = Infallible;
    type Future = Passing;

    fn call(&self, request: Request<Incoming>) -> Passing {
        let is_h1 = request.version() < Version::HTTP_2;
        let line = self.gate.has_access_log.then(|| Box::new(Line::of(&request, &self.peer)));
        let state = match fields::check(&request, &self.gate.own) {
            Ok(()) => {
                let progress = Arc::new(Progress::default());
                let forward = Forward::new(&self.gate, &self.upstream, &self.peer, &progress);
                let layered = self.gate.layer.layer(forward).call(request);
                State::Asked(Call::new(layered, progress, Arc::clone(&self.gate)))
            }
            Err(error) => State::Malformed(error),
        };
        // After a malformed request, nobody knows where the next one begins.
        let closes = is_h1 && (self.gate.draining.has_begun() || matches!(state, State::Malformed(_)));
        Passing { state, closes, line }
    }
}

/// A request on its way to its answer.
pub(super) struct Passing {
    state: State,
    /// The answer is the last one on its connection.
    closes: bool,
    line: Option<Box<Line>>,
}

enum State {
    Asked(Call),
    Malformed(Error),
}

impl Future for Passing {
    type Output = Result<Answered, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answered = match &mut self.state {
            State::Asked(call) => {
                let Poll::Ready(answered) = Pin::new(call).poll(cx) else { return Poll::Pending };
                answered
            }
            State::Malformed(error) => own(error.response()),
        };
        if answered.body().refused().is_some() {
            answered.headers_mut().insert(PROXY_STATUS, REFUSED);
        }
        if self.closes {
            answered.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(line) = &self.line {
            line.write(&answered);
        }
        Poll::Ready(Ok(answered))
    }
}

fn own(response: Response<Answer>) -> Answered {
    response.map(ResponseBody::from)
}
