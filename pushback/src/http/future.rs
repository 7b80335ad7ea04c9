//! A request's way: in line, then the inner service readied, then called.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use ::http::{Request, Response, Version};
use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    RequestBody, ResponseBody,
    body::Held,
    hold::{Hold, Place},
    patrol::Watch,
    refusal::{Form, Refusal},
    shared::Shared,
    stopwatch::Stopwatch,
};
use crate::{
    gauge::{Acquire, OwnedPermit},
    outcome::Outcome,
    rejected::Rejected,
    telemetry,
};

pin_project! {
    /// The response, or its refusal. Dropping it gives the place back.
    pub struct ResponseFuture<S: Service<Request<RequestBody<Q>>>, Q> {
        shared: Arc<Shared>,
        #[pin]
        state: State<S, Q>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request<RequestBody<Q>>>, Q> {
        InLine {
            acquire: Acquire<'static>,
            waiting: Option<Box<Waiting<S, Q>>>,
        },
        Readying {
            claim: Claim,
            unready: Option<Box<Unready<S, Q>>>,
        },
        Running {
            #[pin]
            response: S::Future,
            claim: Claim,
            asked: Asked,
        },
        Refused {
            refusal: Refusal,
        },
        Failed {
            error: Option<S::Error>,
        },
    }
}

/// A request in line, and whom it asks when its turn has come. Boxed, so that a future that need not wait stays small.
struct Waiting<S, Q> {
    service: S,
    request: Request<Q>,
    is_trusted: bool,
}

/// A request with a place, and the service that is not yet ready for it.
struct Unready<S, Q> {
    service: S,
    request: Request<RequestBody<Q>>,
    asked: Asked,
}

/// What must be known of a request when its response comes.
struct Asked {
    is_grpc: bool,
    /// If somebody wants to know how long it takes.
    stopwatch: Option<Stopwatch>,
}

/// What a running request holds.
enum Claim {
    /// Nothing: it is exempt, or it has passed it on.
    Nothing,
    Permit(OwnedPermit),
    /// The permit, which the handler may keep for longer.
    Place(Place),
}

impl<S, Q> ResponseFuture<S, Q>
where
    S: Service<Request<RequestBody<Q>>> + Clone,
    Q: Body + Send + 'static,
{
    pub(super) fn in_line(
        shared: &Arc<Shared>,
        acquire: Acquire<'static>,
        service: S,
        request: Request<Q>,
        is_trusted: bool,
    ) -> Self {
        let waiting = Some(Box::new(Waiting { service, request, is_trusted }));
        ResponseFuture { shared: Arc::clone(shared), state: State::InLine { acquire, waiting } }
    }

    #[inline]
    pub(super) fn admitted(
        shared: &Arc<Shared>,
        permit: OwnedPermit,
        service: &mut S,
        request: Request<Q>,
    ) -> Self {
        ResponseFuture {
            shared: Arc::clone(shared),
            state: State::admitted(shared, permit, service, request),
        }
    }

    pub(super) fn exempt(shared: &Arc<Shared>, service: &mut S, request: Request<Q>) -> Self {
        let asked = Asked { is_grpc: false, stopwatch: None };
        let request = request.map(RequestBody::exempt);
        ResponseFuture {
            shared: Arc::clone(shared),
            state: State::called(service, Claim::Nothing, request, asked),
        }
    }

    pub(super) fn refused(
        shared: &Arc<Shared>,
        rejected: Rejected,
        request: Request<Q>,
        is_trusted: bool,
    ) -> Self {
        let refusal = shared.refuse(rejected, request, is_trusted);
        ResponseFuture { shared: Arc::clone(shared), state: State::Refused { refusal } }
    }
}

impl<S, Q> State<S, Q>
where
    S: Service<Request<RequestBody<Q>>> + Clone,
    Q: Body + Send + 'static,
{
    #[inline]
    fn admitted(
        shared: &Arc<Shared>,
        mut permit: OwnedPermit,
        service: &mut S,
        mut request: Request<Q>,
    ) -> Self {
        // Until there is a response's head, being dropped means that the caller went away.
        permit.record(Outcome::Cancelled);
        let claim = if shared.hold == Hold::Task {
            let place = Place::new(permit);
            request.extensions_mut().insert(place.clone());
            Claim::Place(place)
        } else {
            Claim::Permit(permit)
        };
        let is_grpc =
            request.version() == Version::HTTP_2 && Form::asked_for(request.headers()) == Form::Grpc;
        let stopwatch =
            IS_TIMED.then(|| Stopwatch::start(shared.gauge.now(), !request.body().is_end_stream()));
        let request = request.map(|body| RequestBody::new(body, shared, stopwatch.as_ref()));
        State::called(service, claim, request, Asked { is_grpc, stopwatch })
    }

    /// Calls the service if it is ready, which nearly all services always are, before anything is moved to where it
    /// would wait. If not, it is asked again by the task that waits, whose waker it then gets; and this very instance goes
    /// along, with what it may have reserved, so that nothing is left behind in a service that nobody calls.
    #[inline]
    fn called(service: &mut S, claim: Claim, request: Request<RequestBody<Q>>, asked: Asked) -> Self {
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Running { response: service.call(request), claim, asked },
            Poll::Ready(Err(error)) => {
                claim.record(Outcome::Ignore);
                State::Failed { error: Some(error) }
            }
            Poll::Pending => {
                let another = service.clone();
                let service = std::mem::replace(service, another);
                State::Readying { claim, unready: Some(Box::new(Unready { service, request, asked })) }
            }
        }
    }
}

impl<S, Q, B> Future for ResponseFuture<S, Q>
where
    S: Service<Request<RequestBody<Q>>, Response = Response<B>> + Clone,
    Q: Body + Send + 'static,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::InLine { acquire, waiting } => {
                    let answer = ready!(Pin::new(acquire).poll(cx));
                    let Waiting { mut service, request, is_trusted } = *waiting.take().expect(POLLED_AGAIN);
                    match answer {
                        Ok(permit) => State::admitted(this.shared, permit, &mut service, request),
                        Err(rejected) => {
                            State::Refused { refusal: this.shared.refuse(rejected, request, is_trusted) }
                        }
                    }
                }
                StateProjection::Readying { claim, unready } => {
                    let service = &mut unready.as_mut().expect(POLLED_AGAIN).service;
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        claim.take().record(Outcome::Ignore);
                        return Poll::Ready(Err(error));
                    }
                    let Unready { mut service, request, asked } = *unready.take().expect(POLLED_AGAIN);
                    State::Running { response: service.call(request), claim: claim.take(), asked }
                }
                StateProjection::Running { response, claim, asked } => {
                    let unwinding = IgnoredIfUnwinding(claim);
                    let response = response.poll(cx);
                    drop(unwinding);
                    return Poll::Ready(match ready!(response) {
                        Ok(response) => Ok(answered(this.shared, claim.take(), response, asked)),
                        Err(error) => {
                            claim.take().record(Outcome::Ignore);
                            Err(error)
                        }
                    });
                }
                StateProjection::Refused { refusal } => return Poll::Ready(Ok(refusal.response())),
                StateProjection::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(POLLED_AGAIN)));
                }
            };
            this.state.set(next);
        }
    }
}

/// Telling the time costs several admissions, so it is done where somebody wants to know.
const IS_TIMED: bool = cfg!(feature = "metrics");

const POLLED_AGAIN: &str = "a finished ResponseFuture was polled again";

/// The response's head is there. Whether the place is held any longer depends on the rule, and on whether there is a body.
#[inline]
fn answered<B: Body>(
    shared: &Arc<Shared>,
    claim: Claim,
    response: Response<B>,
    asked: &Asked,
) -> Response<ResponseBody<B>> {
    let is_grpc = asked.is_grpc;
    if let Some(stopwatch) = &asked.stopwatch {
        telemetry::served(shared.gauge.name(), stopwatch.stop(shared.gauge.now()));
    }
    let held = match claim {
        Claim::Nothing => None,
        Claim::Place(place) => {
            // The trailers are not waited for: they may come long after the handler has let go.
            place.record(shared.classify.outcome_of(&response, is_grpc).unwrap_or(Outcome::Success));
            None
        }
        Claim::Permit(mut permit) => {
            let outcome = shared.classify.outcome_of(&response, is_grpc);
            let is_over = shared.hold == Hold::Head || response.body().is_end_stream();
            // Where the trailers tell, a body that ends without them was broken off.
            let unsaid = if is_over { Outcome::Success } else { Outcome::Cancelled };
            permit.record(outcome.unwrap_or(unsaid));
            (!is_over)
                .then(|| Held { watch: Watch::peer(shared, Some(permit)), trailers_tell: outcome.is_none() })
        }
    };
    response.map(|body| ResponseBody::service(body, held))
}

impl Claim {
    fn take(&mut self) -> Claim {
        std::mem::replace(self, Claim::Nothing)
    }

    /// Says how it went, and lets go.
    fn record(self, outcome: Outcome) {
        match self {
            Claim::Nothing => (),
            Claim::Permit(mut permit) => permit.record(outcome),
            Claim::Place(place) => place.record(outcome),
        }
    }
}

/// A service that panics says nothing about the load. The permit lives on in the future, which whoever catches the
/// panic drops later, when nothing tells it from a caller that went away.
struct IgnoredIfUnwinding<'a>(&'a mut Claim);

impl Drop for IgnoredIfUnwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.take().record(Outcome::Ignore);
        }
    }
}
