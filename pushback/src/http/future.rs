//! A request's way: in line, then the inner service readied, then called.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{ResponseBody, refusal::Refusal, reply::Replier};
use crate::{
    gauge::{Acquire, OwnedPermit},
    outcome::Outcome,
};

pin_project! {
    /// The response, or its refusal. Dropping it gives the place back.
    pub struct ResponseFuture<S: Service<Request<Q>>, Q> {
        #[pin]
        state: State<S, Q>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request<Q>>, Q> {
        InLine {
            acquire: Acquire<'static>,
            replier: Arc<Replier>,
            call: Option<Call<S, Q>>,
        },
        Readying {
            permit: Option<OwnedPermit>,
            call: Option<Call<S, Q>>,
        },
        Running {
            #[pin]
            response: S::Future,
            permit: Option<OwnedPermit>,
        },
        Refused {
            refusal: Refusal,
        },
    }
}

/// What will be called once there is a place.
struct Call<S, Q> {
    service: S,
    request: Request<Q>,
}

impl<S: Service<Request<Q>>, Q> ResponseFuture<S, Q> {
    pub(super) fn in_line(
        acquire: Acquire<'static>,
        replier: Arc<Replier>,
        service: S,
        request: Request<Q>,
    ) -> Self {
        ResponseFuture { state: State::InLine { acquire, replier, call: Some(Call { service, request }) } }
    }

    pub(super) fn admitted(mut permit: OwnedPermit, service: S, request: Request<Q>) -> Self {
        // Until there is a response's head, being dropped means that the caller went away.
        permit.record(Outcome::Cancelled);
        ResponseFuture {
            state: State::Readying { permit: Some(permit), call: Some(Call { service, request }) },
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        ResponseFuture { state: State::Refused { refusal } }
    }
}

impl<S, Q, B> Future for ResponseFuture<S, Q>
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match self.as_mut().project().state.project() {
                StateProjection::InLine { acquire, replier, call } => {
                    match (ready!(Pin::new(&mut *acquire).poll(cx)), call.take()) {
                        (Ok(mut permit), call) => {
                            permit.record(Outcome::Cancelled);
                            State::Readying { permit: Some(permit), call }
                        }
                        (Err(rejected), Some(call)) => {
                            let headers = call.request.headers();
                            State::Refused { refusal: replier.refuse(acquire.gauge(), rejected, headers) }
                        }
                        (Err(_), None) => unreachable!("the call waits beside its place in line"),
                    }
                }
                StateProjection::Readying { permit, call } => {
                    if let Some(call) = call {
                        if let Err(error) = ready!(call.service.poll_ready(cx)) {
                            end(permit, Outcome::Ignore);
                            return Poll::Ready(Err(error));
                        }
                    }
                    let Call { mut service, request } = call.take().expect("polled again after its end");
                    State::Running { response: service.call(request), permit: permit.take() }
                }
                StateProjection::Running { response, permit } => {
                    let unwinding = IgnoredIfUnwinding(permit);
                    let response = response.poll(cx);
                    drop(unwinding);
                    return Poll::Ready(match ready!(response) {
                        Ok(response) => {
                            let mut permit = permit.take().expect("polled again after its end");
                            permit.record(Outcome::Success);
                            Ok(response.map(|body| ResponseBody::service(body, permit)))
                        }
                        Err(error) => {
                            end(permit, Outcome::Ignore);
                            Err(error)
                        }
                    });
                }
                StateProjection::Refused { refusal } => return Poll::Ready(Ok(refusal.response())),
            };
            self.as_mut().project().state.set(next);
        }
    }
}

/// A service that panics says nothing about the load. The permit lives on in the future, which whoever catches the
/// panic drops later, when nothing tells it from a caller that went away.
struct IgnoredIfUnwinding<'a>(&'a mut Option<OwnedPermit>);

impl Drop for IgnoredIfUnwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end(self.0, Outcome::Ignore);
        }
    }
}

fn end(permit: &mut Option<OwnedPermit>, outcome: Outcome) {
    if let Some(mut permit) = permit.take() {
        permit.record(outcome);
    }
}
