//! An admitted request on its way to the service.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{Request, Response, Version, header::HeaderValue};
use tower_service::Service;

use super::{
    answer::Answer,
    call::{Progress, Upload},
    door::Gate,
    fields,
    typical::now,
    upgrade::Upgrade,
    upstream::Upstream,
};

/// The service, as the layer sees it for one request.
#[derive(Clone)]
pub(super) struct Forward {
    gate: Arc<Gate>,
    upstream: Arc<Upstream>,
    peer: HeaderValue,
    progress: Arc<Progress>,
}

impl Forward {
    pub(super) fn new(
        gate: &Arc<Gate>,
        upstream: &Arc<Upstream>,
        peer: &HeaderValue,
        progress: &Arc<Progress>,
    ) -> Self {
        Forward {
            gate: Arc::clone(gate),
            upstream: Arc::clone(upstream),
            peer: peer.clone(),
            progress: Arc::clone(progress),
        }
    }

    async fn exchange(self, mut request: Request<Upload>) -> Response<Answer> {
        let upgrade = Upgrade::asked_for(&mut request);
        *request.version_mut() = if self.gate.origin.is_h2() { Version::HTTP_2 } else { Version::HTTP_11 };
        fields::rewrite(
            &mut request,
            &self.gate.own,
            &self.peer,
            self.gate.origin.authority(),
            upgrade.as_ref(),
        );
        let asked = std::mem::take(request.uri_mut());
        *request.uri_mut() = self.gate.origin.locate(asked);
        let began = now();
        let mut response = match self.upstream.send(request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(error = error.text(), "the service gave no answer");
                return error.response();
            }
        };
        self.gate.typical.learn(now().saturating_duration_since(began));
        let is_upgraded = Upgrade::go_through(upgrade, &mut response);
        fields::clean(&mut response, is_upgraded);
        response
    }
}

impl Service<Request<Upload>> for Forward {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Forwarding;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Upload>) -> Forwarding {
        self.progress.forwarded();
        let exchange = Box::pin(self.clone().exchange(request));
        Forwarding { exchange: Some(exchange), progress: Arc::clone(&self.progress) }
    }
}

/// The exchange with the service, which ends at once when the client has gone.
pub(super) struct Forwarding {
    exchange: Option<Pin<Box<dyn Future<Output = Response<Answer>> + Send>>>,
    progress: Arc<Progress>,
}

impl Future for Forwarding {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.progress.is_client_gone() {
            // Dropping it tells the service; nobody wants an answer, and whoever keeps this keeps its place.
            self.exchange = None;
        }
        match &mut self.exchange {
            Some(exchange) => exchange.as_mut().poll(cx).map(Ok),
            None => Poll::Pending,
        }
    }
}
