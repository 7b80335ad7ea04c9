//! The door: who comes in, with which question, and what the gauge says.

use std::{
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use hyper::{
    Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::Service,
};
use pushback::http::{Progress, ResponseBody};
use tower_layer::Layer;
use tower_service::Service as _;

use super::{
    access::Line,
    call::{Call, Outgoing},
    forward::Forward,
    site::{Site, Sites},
};
use crate::proxy::{
    attended::Keep,
    message::{
        check,
        client::Client,
        error::{Error, PROXY_STATUS, REFUSED},
    },
    service::answer::Answer,
};

/// Serves one connection.
pub(super) struct Door {
    sites: Arc<Sites>,
    client: Arc<Client>,
    /// What the connection's socket takes.
    progress: Progress,
    /// For calls that are finished when it is gone.
    keep: Keep,
    /// Whose connections to the services are used.
    worker: usize,
}

impl Door {
    pub(super) fn new(
        sites: &Arc<Sites>,
        client: Client,
        progress: Progress,
        keep: Keep,
        worker: usize,
    ) -> Self {
        Door { sites: Arc::clone(sites), client: Arc::new(client), progress, keep, worker }
    }

    pub(super) fn sites(&self) -> &Arc<Sites> {
        &self.sites
    }

    fn ask(&self, site: &Site, mut request: Request<Incoming>, is_known_hop: bool) -> Result<Call, Error> {
        check::check(&request, &self.sites.own, site.settings.clients.fields_max())?;
        if !is_known_hop {
            site.claims.take_off(request.headers_mut());
        }
        let route = site.route_of(&request)?;
        route.requests.fetch_add(1, Ordering::Relaxed);
        let forward = Forward::new(route, &site.claims, &self.client, &self.keep, self.worker);
        let layer = if is_known_hop { &route.trusting } else { &route.layer };
        let layered = layer.layer(forward).over(self.progress.clone()).call(request);
        Ok(Call::new(layered, route, &self.keep))
    }
}

impl Service<Request<Incoming>> for Door {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Passing;

    fn call(&self, request: Request<Incoming>) -> Passing {
        let is_h1 = request.version() < Version::HTTP_2;
        let site = self.sites.now();
        let trust = &site.settings.trust;
        let line = site.settings.has_access_log.then(|| Box::new(Line::of(&request, &self.client, trust)));
        let is_known_hop = trust.knows(self.client.address);
        let state = match contained(|| self.ask(&site, request, is_known_hop)).and_then(|asked| asked) {
            Ok(call) => State::Asked(call),
            Err(error) => State::Answered(error),
        };
        let is_draining = self.sites.draining.has_begun();
        Passing { state, is_h1, is_last: is_draining, line }
    }
}

/// A panic is an error of this one call.
fn contained<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    // What the call had is dropped, and whatever it shares recovers by itself.
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Error::Panicked)
}

/// A request on its way to its answer.
pub(super) struct Passing {
    state: State,
    is_h1: bool,
    /// The answer is the last one on its connection.
    is_last: bool,
    line: Option<Box<Line>>,
}

enum State {
    Asked(Call),
    Answered(Error),
}

impl Future for Passing {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match &mut self.state {
            State::Asked(call) => match contained(|| Pin::new(&mut *call).poll(cx)) {
                Ok(Poll::Ready(answered)) => match answered.body().unread() {
                    Some(error) => Err(Error::of_sender(error)),
                    None => Ok(answered),
                },
                Ok(Poll::Pending) => return Poll::Pending,
                Err(error) => {
                    let _ = contained(|| call.give_up());
                    Err(error)
                }
            },
            State::Answered(error) => Err(*error),
        };
        let is_last = self.is_last || answered.as_ref().is_err_and(|error| !error.leaves_connection());
        let mut answered = answered.unwrap_or_else(|error| Answer::of(error).map(ResponseBody::from));
        if answered.body().refused().is_some() {
            answered.headers_mut().insert(PROXY_STATUS, REFUSED);
        }
        // A connection that becomes something else says that in the same field, or its client does not believe it.
        if self.is_h1 && is_last && answered.status() != StatusCode::SWITCHING_PROTOCOLS {
            answered.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(line) = self.line.take() {
            line.write(&answered);
        }
        Poll::Ready(Ok(match &self.state {
            State::Asked(call) => call.outgoing(answered),
            State::Answered(_) => answered.map(Outgoing::from),
        }))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(line) = &self.line {
            line.left();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_call_that_panicked() {
        assert_eq!(contained(|| 7), Ok(7));
        assert_eq!(contained(|| -> u32 { panic!("as this test wants") }), Err(Error::Panicked));
    }
}
