//! A request's way: in line, then the inner service readied, then called.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use ::http::{Method, Request, Response};
use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    BoxError, RequestBody, ResponseBody,
    classify::{Asks, is_grpc},
    hold::{Hold, Place},
    hold_time::Taken,
    refusal::Refusal,
    shared::Shared,
    upload::Upload,
};
use crate::{
    gauge::{Acquire, OwnedPermit},
    outcome::Outcome,
    rejected::Rejected,
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
    asks: Asks,
}

/// A request with a place, and the service that is not yet ready for it.
struct Unready<S, Q> {
    service: S,
    request: Request<RequestBody<Q>>,
    asked: Asked,
}

/// What must be known of a request when its response comes.
#[derive(Default)]
struct Asked {
    may_be_grpc: bool,
    /// When it came, if somebody wants to know how long it takes.
    came: Option<Instant>,
    /// If it had a body.
    upload: Option<Arc<Upload>>,
}

/// What a running request holds.
enum Claim {
    /// Nothing: it is exempt, or it has passed it on.
    Nothing,
    Permit(Taken),
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
        asks: Asks,
    ) -> Self {
        let waiting = Some(Box::new(Waiting { service, request, asks }));
        ResponseFuture { shared: Arc::clone(shared), state: State::InLine { acquire, waiting } }
    }

    #[inline]
    pub(super) fn admitted(
        shared: &Arc<Shared>,
        permit: OwnedPermit,
        service: &mut S,
        request: Request<Q>,
        asks: Asks,
    ) -> Self {
        ResponseFuture {
            shared: Arc::clone(shared),
            state: State::admitted(shared, permit, service, request, asks),
        }
    }

    pub(super) fn exempt(shared: &Arc<Shared>, service: &mut S, request: Request<Q>) -> Self {
        let request = request.map(|body| RequestBody::new(body, None));
        let state = State::called(service, Claim::Nothing, request, Asked::default());
        ResponseFuture { shared: Arc::clone(shared), state }
    }

    pub(super) fn refused(shared: &Arc<Shared>, rejected: Rejected, request: Request<Q>, asks: Asks) -> Self {
        let refusal = shared.refuse(rejected, request, asks);
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
        permit: OwnedPermit,
        service: &mut S,
        mut request: Request<Q>,
        asks: Asks,
    ) -> Self {
        asks.note_admitted(&permit);
        let mut permit = Taken::new(permit, shared.hold_time());
        // Until there is a response's head, being dropped means that the caller went away. In the middle of an upload that says
        // nothing about the service.
        let has_body = !request.body().is_end_stream();
        permit.record(if has_body { Outcome::Ignore } else { Outcome::Cancelled });
        let claim = if shared.hold == Hold::Task {
            let place = Place::new(permit);
            request.extensions_mut().insert(place.clone());
            Claim::Place(place)
        } else {
            Claim::Permit(permit)
        };
        let came = shared.gauge.wants_times().then(|| shared.gauge.now());
        let upload = has_body.then(|| Upload::new(shared, came));
        let may_be_grpc = *request.method() == Method::POST && is_grpc(request.headers());
        let request = request.map(|body| RequestBody::new(body, upload.as_ref()));
        State::called(service, claim, request, Asked { may_be_grpc, came, upload })
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
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::InLine { acquire, waiting } => {
                    let answer = ready!(Pin::new(acquire).poll(cx));
                    let Waiting { mut service, request, asks } = *waiting.take().expect(POLLED_AGAIN);
                    match answer {
                        Ok(permit) => State::admitted(this.shared, permit, &mut service, request, asks),
                        Err(rejected) => {
                            State::Refused { refusal: this.shared.refuse(rejected, request, asks) }
                        }
                    }
                }
                StateProjection::Readying { claim, unready } => {
                    let unwinding = IgnoredIfUnwinding(claim);
                    let service = &mut unready.as_mut().expect(POLLED_AGAIN).service;
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        drop(unwinding);
                        claim.take().record(Outcome::Ignore);
                        return Poll::Ready(Err(error));
                    }
                    let Unready { mut service, request, asked } = *unready.take().expect(POLLED_AGAIN);
                    let response = service.call(request);
                    drop(unwinding);
                    State::Running { response, claim: claim.take(), asked }
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

const POLLED_AGAIN: &str = "a finished ResponseFuture was polled again";

/// The response's head is there. Whether the place is held any longer depends on the rule, and on whether there is a body.
fn answered<B: Body + Send + 'static>(
    shared: &Arc<Shared>,
    claim: Claim,
    response: Response<B>,
    asked: &Asked,
) -> Response<ResponseBody<B>> {
    let has_stalled = asked.upload.as_ref().is_some_and(|upload| upload.answered());
    // The service's time begins when it has the whole request, so that a slow sender is not taken for a slow service.
    let upload = asked.upload.as_ref().map_or(Duration::ZERO, |upload| upload.took());
    if let Some(came) = asked.came {
        shared.gauge.served(came, upload);
    }
    let outcome = if has_stalled {
        Some(Outcome::Ignore)
    } else {
        shared.classify.outcome_of(&response, asked.may_be_grpc)
    };
    match claim {
        Claim::Permit(mut permit) if shared.hold == Hold::Body && !response.body().is_end_stream() => {
            // Where the trailers will tell, a body that is dropped before them was of no more use to its caller.
            permit.record(outcome.unwrap_or(Outcome::Cancelled));
            permit.answered(upload, outcome.is_some());
            response.map(|body| ResponseBody::holding(body, &shared.patrol, permit, outcome.is_none()))
        }
        // The trailers are not waited for: they may come long after the place is given back. Without a body there are none,
        // and the service said nothing.
        claim => {
            let unsaid = if response.body().is_end_stream() { Outcome::Ignore } else { Outcome::Success };
            claim.answered(upload, outcome.unwrap_or(unsaid));
            response.map(ResponseBody::free)
        }
    }
}

impl Claim {
    fn take(&mut self) -> Claim {
        std::mem::replace(self, Claim::Nothing)
    }

    /// The head of the answer is there; says how it went, and lets go.
    fn answered(self, not_ours: Duration, outcome: Outcome) {
        match self {
            Claim::Nothing => (),
            Claim::Permit(mut permit) => {
                permit.record(outcome);
                permit.answered(not_ours, true);
            }
            Claim::Place(place) => place.answered(not_ours, outcome),
        }
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

impl<S: Service<Request<RequestBody<Q>>>, Q> fmt::Debug for ResponseFuture<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
