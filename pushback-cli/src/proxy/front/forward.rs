//! An admitted request on its way to the service.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{Request, Response, Version};
use tower_service::Service;

use super::route::Route;
use crate::proxy::{
    message::{
        claims::Claims,
        client::Client,
        fields,
        upgrade::Upgrade,
        upload::{Asking, Upload},
    },
    now::now,
    service::answer::Answer,
};

/// How far a call is, which the layer's future does not say.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU8);

const FORWARDED: u8 = 1;
const CLIENT_GONE: u8 = 2;

impl Progress {
    /// The service has it now.
    fn forwarded(&self) {
        self.0.store(FORWARDED, Ordering::Relaxed);
    }

    pub(super) fn is_forwarded(&self) -> bool {
        self.0.load(Ordering::Relaxed) == FORWARDED
    }

    /// Nobody waits for its answer any more.
    pub(super) fn client_has_gone(&self) {
        self.0.store(CLIENT_GONE, Ordering::Relaxed);
    }

    fn is_client_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CLIENT_GONE
    }
}

/// The service, as the layer sees it for one request.
#[derive(Clone)]
pub(super) struct Forward {
    route: Arc<Route>,
    claims: Arc<Claims>,
    client: Arc<Client>,
    worker: usize,
    progress: Arc<Progress>,
}

impl Forward {
    pub(super) fn new(
        route: &Arc<Route>,
        claims: &Arc<Claims>,
        client: &Arc<Client>,
        worker: usize,
        progress: &Arc<Progress>,
    ) -> Self {
        let (route, claims) = (Arc::clone(route), Arc::clone(claims));
        let (client, progress) = (Arc::clone(client), Arc::clone(progress));
        Forward { route, claims, client, worker, progress }
    }

    async fn exchange(self, mut request: Request<Asking>) -> Response<Answer> {
        let upstream = &self.route.upstream;
        let origin = &upstream.settings.origin;
        let upgrade = Upgrade::asked_for(&mut request);
        *request.version_mut() = if origin.is_h2() { Version::HTTP_2 } else { Version::HTTP_11 };
        let host = fields::host(&request);
        let protocol = upgrade.as_ref().map(|upgrade| &upgrade.protocol);
        fields::rewrite(&mut request, &self.client, &self.claims, origin.authority(), protocol);
        let asked = std::mem::take(request.uri_mut());
        *request.uri_mut() = origin.locate(asked, host);
        let request = request.map(|body| Upload::new(body, Arc::clone(&self.claims)));
        let began = now();
        let mut response = match upstream.send(self.worker, request, self.route.timeout).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(error = error.text(), "the service gave no answer");
                return Answer::of(error);
            }
        };
        upstream.service_time.learn(now().saturating_duration_since(began));
        let is_upgraded = Upgrade::go_through(upgrade, &mut response);
        fields::clean(&mut response, is_upgraded);
        response
    }
}

impl Service<Request<Asking>> for Forward {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Forwarding;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Asking>) -> Forwarding {
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
