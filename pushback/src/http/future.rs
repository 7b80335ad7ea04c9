//! A request's way: its body read, then in line, then the inner service readied, then called.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use ::http::{Request, Response, Version};
use bytes::Bytes;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    BoxError, RequestBody, ResponseBody,
    answering::Answering,
    classify::{Asks, GrpcCall, is_senders_fault},
    hold::{Hold, Place},
    hold_time::Taken,
    patrol::Forfeit,
    progress::Progress,
    reading::{Reading, SenderFailed},
    refusal::Refusal,
    sending::Sending,
    shared::{Over, Shared},
    upload::Upload,
};
use crate::{
    gauge::{Acquire, OwnedPermit, Permit, Span},
    outcome::Outcome,
};

pin_project! {
    /// The response, or its refusal. Dropping it gives the place back.
    pub struct ResponseFuture<S: Service<Request<RequestBody<Q>>>, Q> {
        shared: Arc<Shared>,
        // Of the connection on which the answer is read.
        progress: Option<Progress>,
        #[pin]
        state: State<S, Q>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Service<Request<RequestBody<Q>>>, Q> {
        Reading {
            reading: Option<Box<Unasked<S, Q>>>,
        },
        InLine {
            acquire: Acquire<'static>,
            waiting: Option<Box<Waiting<S, Q>>>,
        },
        Readying {
            call: InService,
            unready: Option<Box<Unready<S, Q>>>,
        },
        Running {
            #[pin]
            response: S::Future,
            call: InService,
        },
        Refused {
            refusal: Refusal,
        },
        Unread {
            why: Option<SenderFailed>,
            version: Version,
        },
        Failed {
            error: Option<S::Error>,
        },
    }
}

/// A request whose body is read before the gauge is asked. Boxed, like the two below, so that a future that need not wait stays
/// small.
struct Unasked<S, Q> {
    service: S,
    reading: Reading<Q>,
    asks: Asks,
}

/// A request in line, and whom it asks when its turn has come.
struct Waiting<S, Q> {
    service: S,
    request: Request<RequestBody<Q>>,
    asks: Asks,
}

/// A request with a place, and the service that is not yet ready for it.
struct Unready<S, Q> {
    service: S,
    request: Request<RequestBody<Q>>,
}

/// A request that the service has, and what it holds.
#[derive(Default)]
struct InService {
    claim: Claim,
    grpc: Option<GrpcCall>,
    /// When it came, if somebody wants to know how long it takes.
    came: Option<Instant>,
    /// If the rest of its body was still to come.
    upload: Option<Arc<Upload>>,
}

/// What a running request holds.
#[derive(Default)]
enum Claim {
    /// Nothing: it is exempt, or it has passed it on.
    #[default]
    Nothing,
    Permit(Taken),
    /// The permit, which the handler may keep for longer.
    Place(Place),
}

impl<S: Service<Request<RequestBody<Q>>>, Q> ResponseFuture<S, Q> {
    /// Whether the request holds a place and is all there, so that the service can finish it though
    /// the caller has gone.
    pub fn can_be_finished(&self) -> bool {
        match &self.state {
            State::Readying { call, .. } | State::Running { call, .. } => {
                let is_whole = call.upload.as_ref().is_none_or(|upload| upload.sending() == Sending::Ended);
                is_whole && !matches!(call.claim, Claim::Nothing)
            }
            _ => false,
        }
    }
}

impl<S, Q> ResponseFuture<S, Q>
where
    S: Service<Request<RequestBody<Q>>> + Clone,
    Q: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    #[inline]
    pub(super) fn asking(
        shared: &Arc<Shared>,
        service: &mut S,
        request: Request<Q>,
        asks: Asks,
        progress: Option<&Progress>,
    ) -> Self {
        let state = if shared.reads_ahead(&request, asks) {
            let reading = shared.read_ahead(request);
            let service = service.clone();
            State::Reading { reading: Some(Box::new(Unasked { service, reading, asks })) }
        } else {
            State::asked(shared, service, request.map(RequestBody::new), asks)
        };
        ResponseFuture { shared: Arc::clone(shared), progress: progress.cloned(), state }
    }

    pub(super) fn exempt(shared: &Arc<Shared>, service: &mut S, request: Request<Q>) -> Self {
        let state = State::called(service, InService::default(), request.map(RequestBody::new));
        ResponseFuture { shared: Arc::clone(shared), progress: None, state }
    }
}

impl<S, Q> State<S, Q>
where
    S: Service<Request<RequestBody<Q>>> + Clone,
    Q: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    /// What the gauge says.
    #[inline]
    fn asked(shared: &Arc<Shared>, service: &mut S, request: Request<RequestBody<Q>>, asks: Asks) -> Self {
        let gauge = &shared.settings.gauge;
        let answer = match shared.settings.over {
            Over::Refused => Some(gauge.try_acquire_for(asks.arrival).map(Permit::into_owned)),
            Over::InLine => gauge.acquire_at_once(asks.arrival),
        };
        match answer {
            Some(Ok(permit)) => State::admitted(shared, permit, service, request, asks),
            Some(Err(rejected)) => State::Refused { refusal: shared.refuse(rejected, request, asks) },
            None => {
                let acquire = gauge.acquire_for(asks.arrival).into_owned();
                let service = service.clone();
                State::InLine { acquire, waiting: Some(Box::new(Waiting { service, request, asks })) }
            }
        }
    }

    #[inline]
    fn admitted(
        shared: &Arc<Shared>,
        permit: OwnedPermit,
        service: &mut S,
        mut request: Request<RequestBody<Q>>,
        asks: Asks,
    ) -> Self {
        asks.note_admitted(&permit);
        let places = permit.places_that_move();
        let mut permit = Taken::new(permit, shared.hold_time());
        // Until there is a response's head, being dropped means that the caller went away. In the middle of an upload that says
        // nothing about the service.
        let is_coming = request.body().is_coming();
        permit.record(if is_coming { Outcome::Ignore } else { Outcome::Cancelled });
        let claim = if shared.settings.hold == Hold::Task {
            let place = Place::new(permit);
            request.extensions_mut().insert(place.clone());
            Claim::Place(place)
        } else {
            Claim::Permit(permit)
        };
        let came = shared.settings.gauge.wants_times().then(|| shared.settings.gauge.now());
        let upload = is_coming.then(|| Upload::new(&shared.patrol, came, places));
        let grpc = GrpcCall::of(&request);
        let request = match &upload {
            Some(upload) => request.map(|body| body.watched(upload)),
            None => request,
        };
        State::called(service, InService { claim, grpc, came, upload }, request)
    }

    /// Calls the service if it is ready, which nearly all services always are, before anything is moved to where it
    /// would wait. If not, it is asked again by the task that waits, whose waker it then gets; and this very instance goes
    /// along, with what it may have reserved, so that nothing is left behind in a service that nobody calls.
    #[inline]
    fn called(service: &mut S, mut call: InService, request: Request<RequestBody<Q>>) -> Self {
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Running { response: service.call(request), call },
            Poll::Ready(Err(error)) => {
                call.claim.take().record(Outcome::Ignore);
                State::Failed { error: Some(error) }
            }
            Poll::Pending => {
                let another = service.clone();
                let service = std::mem::replace(service, another);
                State::Readying { call, unready: Some(Box::new(Unready { service, request })) }
            }
        }
    }
}

impl<S, Q, B> Future for ResponseFuture<S, Q>
where
    S: Service<Request<RequestBody<Q>>, Response = Response<B>> + Clone,
    Q: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let next = match this.state.as_mut().project() {
                StateProjection::Reading { reading } => {
                    let read = ready!(reading.as_mut().expect(POLLED_AGAIN).reading.poll(cx));
                    let Unasked { mut service, reading, asks } = *reading.take().expect(POLLED_AGAIN);
                    match read {
                        Ok(request) => State::asked(this.shared, &mut service, request, asks),
                        Err(why) => State::Unread { why: Some(why), version: reading.version() },
                    }
                }
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
                StateProjection::Readying { call, unready } => {
                    let unwinding = IgnoredIfUnwinding(&mut call.claim);
                    let service = &mut unready.as_mut().expect(POLLED_AGAIN).service;
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        drop(unwinding);
                        call.claim.take().record(Outcome::Ignore);
                        return Poll::Ready(Err(error));
                    }
                    let Unready { mut service, request } = *unready.take().expect(POLLED_AGAIN);
                    let response = service.call(request);
                    drop(unwinding);
                    State::Running { response, call: std::mem::take(call) }
                }
                StateProjection::Running { response, call } => {
                    let unwinding = IgnoredIfUnwinding(&mut call.claim);
                    let response = response.poll(cx);
                    drop(unwinding);
                    return Poll::Ready(match ready!(response) {
                        Ok(response) => Ok(answered(this.shared, call, response, this.progress.take())),
                        Err(error) => {
                            call.claim.take().record(Outcome::Ignore);
                            Err(error)
                        }
                    });
                }
                StateProjection::Unread { why, version } => {
                    return Poll::Ready(Ok(why.take().expect(POLLED_AGAIN).response(*version)));
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
    call: &mut InService,
    response: Response<B>,
    progress: Option<Progress>,
) -> Response<ResponseBody<B>> {
    let sending = call.upload.as_ref().map_or(Sending::Ended, |upload| upload.sending());
    // The service's time begins when it has the whole request, so that a slow sender is not taken for a slow service.
    let upload = call.upload.as_ref().map_or(Duration::ZERO, |upload| upload.took());
    if let Some(upload) = &call.upload {
        upload.answered();
    }
    if let Some(came) = call.came {
        shared.settings.gauge.served(came, upload);
    }
    let outcome = if is_senders_fault(&response, sending) {
        Some(Outcome::Ignore)
    } else {
        shared.settings.classify.outcome_of(&response, call.grpc)
    };
    match call.claim.take() {
        Claim::Permit(mut permit)
            if shared.settings.hold == Hold::Body && !response.body().is_end_stream() =>
        {
            // Where the trailers will tell, a body that is dropped before them was of no more use to its caller.
            permit.record(outcome.unwrap_or(Outcome::Cancelled));
            let trailers_tell = call.grpc.filter(|_| outcome.is_none());
            let (head, body) = response.into_parts();
            let holds = |is_small: bool| {
                let permit = if is_small && trailers_tell.is_none() {
                    Answering::short(permit, upload)
                } else {
                    Answering::new(permit, upload, shared.settings.answered, &head.headers)
                };
                Forfeit { permit: Some(permit), progress, ..Forfeit::default() }
            };
            let body = ResponseBody::holding(body, &shared.patrol, holds, trailers_tell);
            Response::from_parts(head, body)
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

/// A caller who goes away in the middle of his request says nothing about the service; once it has all of it, he does.
impl Drop for InService {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.as_ref().filter(|upload| upload.sending() == Sending::Ended) {
            self.claim.take().gave_up(upload.took());
        }
    }
}

impl Claim {
    fn take(&mut self) -> Claim {
        std::mem::take(self)
    }

    /// The head of the answer is there; says how it went, and lets go.
    fn answered(self, not_ours: Duration, outcome: Outcome) {
        match self {
            Claim::Nothing => (),
            Claim::Permit(mut permit) => {
                permit.record(outcome);
                permit.take_to_tell(Span { not_ours, ..Span::default() }).tell();
            }
            Claim::Place(place) => place.answered(not_ours, outcome),
        }
    }

    /// The caller waits no more.
    fn gave_up(self, not_ours: Duration) {
        match self {
            Claim::Nothing => (),
            Claim::Permit(mut permit) => {
                permit.record(Outcome::Cancelled);
                permit.take_to_tell(Span { not_ours, ..Span::default() }).tell();
            }
            Claim::Place(place) => place.answered(not_ours, Outcome::Cancelled),
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
