//! An admitted request on its way to the service.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
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
    service::answer::Answer,
};

/// The service, as the layer sees it for one request.
#[derive(Clone)]
pub(super) struct Forward {
    route: Arc<Route>,
    claims: Arc<Claims>,
    client: Arc<Client>,
    worker: usize,
}

impl Forward {
    pub(super) fn new(route: &Arc<Route>, claims: &Arc<Claims>, client: &Arc<Client>, worker: usize) -> Self {
        let (route, claims) = (Arc::clone(route), Arc::clone(claims));
        Forward { route, claims, client: Arc::clone(client), worker }
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
        // Longer than the layer gives those senders whom it sees.
        let sender_max = self.route.stall * 2;
        let mut response = match upstream.send(self.worker, request, self.route.timeout, sender_max).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(error = error.text(), "the service gave no answer");
                return Answer::of(error);
            }
        };
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
        let exchange = self.clone().exchange(request);
        Box::pin(async { Ok(exchange.await) })
    }
}

/// The exchange with the service.
type Forwarding = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;
