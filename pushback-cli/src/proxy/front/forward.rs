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
    attended::Keep,
    message::{
        check,
        claims::Claims,
        client::Client,
        error::Error,
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
    /// For a connection that becomes something else.
    keep: Keep,
    worker: usize,
}

impl Forward {
    pub(super) fn new(
        route: &Arc<Route>,
        claims: &Arc<Claims>,
        client: &Arc<Client>,
        keep: &Keep,
        worker: usize,
    ) -> Self {
        let (route, claims, client) = (Arc::clone(route), Arc::clone(claims), Arc::clone(client));
        Forward { route, claims, client, keep: keep.clone(), worker }
    }

    async fn exchange(self, mut request: Request<Asking>) -> Result<Response<Answer>, Error> {
        let upstream = &self.route.upstream;
        let origin = &upstream.settings.origin;
        let upgrade = Upgrade::asked_for(&mut request, &self.route.upgrades);
        let upgrading = upgrade.as_ref().map(|_| self.route.upgraded.begin(&self.keep)).transpose()?;
        *request.version_mut() = if origin.is_h2() { Version::HTTP_2 } else { Version::HTTP_11 };
        let host = check::host(&request);
        let protocols = upgrade.as_ref().map(|upgrade| &upgrade.protocols);
        let trailers = fields::rewrite(
            &mut request,
            &self.client,
            &self.claims,
            self.route.fields_max,
            origin.authority(),
            protocols,
        );
        let asked = std::mem::take(request.uri_mut());
        *request.uri_mut() = origin.locate(asked, host);
        let request = request.map(|body| Upload::new(body, trailers));
        // Longer than the layer gives those senders whom it sees.
        let sender_max = self.route.stall * 2;
        let answered = upstream.send(self.worker, request, self.route.timeout, sender_max).await;
        let mut response = answered.inspect_err(|error| upstream.failed(*error))?;
        let agreed = Upgrade::agreed(upgrade.as_ref(), &mut response)?;
        let trailers = fields::clean(&mut response, agreed.is_some());
        response.body_mut().sift(trailers);
        if let Some(((service, upgrade), upgrading)) = agreed.zip(upgrade).zip(upgrading) {
            upgrading.join(upgrade, service);
        }
        Ok(response)
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
        Box::pin(async {
            Ok(exchange.await.unwrap_or_else(|error| {
                tracing::debug!(error = error.text(), "the service gave no answer");
                Answer::of(error)
            }))
        })
    }
}

/// The exchange with the service.
type Forwarding = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;
