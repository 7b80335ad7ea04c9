//! A call, from the door to the end of its answer; and what becomes of it when its client goes away.
//!
//! Most services do not notice that, or notice and work on (docs/decisions/on_leave.md). So a call that a service has is finished as if
//! its client were there, and its place is free when the work is over and not when the caller is gone: or clients that ask and leave
//! would fill the service above its limit. Where a route says `on_leave = "cancel"`, for services that stop when they are told, the
//! call is dropped instead, which resets its stream or closes its connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Response,
    body::{Body, Frame, Incoming, SizeHint},
    header::CONTENT_TYPE,
};
use pushback::http::{ResponseBody, ResponseFuture};
use tokio::runtime::Handle;

use super::{forward::Forward, route::Route};
use crate::proxy::{attended::Keep, service::answer::Answer, settings::OnLeave};

/// How much of an answer is still read when nobody wants it. A service that sends more than that is writing, and so hears of the
/// end of its connection.
const READ_ON_MAX: u64 = 1 << 20;
/// For how long the next part of a stream is waited for that nobody wants.
const STREAM_MAX: Duration = Duration::from_secs(10);

/// For how long an answer is read on at most, and how much of it.
#[derive(Debug, Clone, Copy)]
struct ReadsOn {
    time: Duration,
    bytes: u64,
}

/// What the layer answers.
pub(super) type Answered = Response<ResponseBody<Answer>>;
type Layered = ResponseFuture<Forward, Incoming>;

/// A call that nobody has answered yet.
pub(super) struct Call {
    layered: Option<Pin<Box<Layered>>>,
    /// If it is finished when its client has gone: for how long its answer is read then.
    finishes: Option<(Duration, Keep)>,
}

impl Call {
    pub(super) fn new(layered: Layered, route: &Route, keep: &Keep) -> Self {
        let finishes = (route.on_leave == OnLeave::Finish).then(|| (route.timeout, keep.clone()));
        Call { layered: Some(Box::pin(layered)), finishes }
    }

    /// Drops it where it is, for it has panicked.
    pub(super) fn give_up(&mut self) {
        self.layered = None;
    }

    /// The answer's body, which sees to the rest of the call.
    pub(super) fn outgoing(&self, answered: Answered) -> Response<Outgoing> {
        let finishes = self.finishes.as_ref().filter(|_| answered.body().holds_place());
        let reads_on = finishes.map(|(time, keep)| (reads_on(&answered, *time), keep.clone()));
        answered.map(|body| Outgoing { body: Some(body), reads_on })
    }
}

impl Future for Call {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let layered = self.layered.as_mut().expect("a finished call was polled again");
        let Poll::Ready(answered) = layered.as_mut().poll(cx) else { return Poll::Pending };
        self.layered = None;
        let answered: Result<Answered, Infallible> = answered;
        let Ok(answered) = answered;
        Poll::Ready(answered)
    }
}

/// The client has gone before there was an answer. How long the service may take for that is bounded as ever.
impl Drop for Call {
    fn drop(&mut self) {
        let Some((layered, (time, keep))) = self.layered.take().zip(self.finishes.take()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        if !layered.can_be_finished() || std::thread::panicking() {
            return;
        }
        runtime.spawn(async move {
            let _left = Left::new(keep);
            let answered: Result<Answered, Infallible> = layered.await;
            let Ok(answered) = answered;
            let reads_on = reads_on(&answered, time);
            read_on(answered.into_body(), reads_on).await;
        });
    }
}

/// An answer's body on its way to the client.
pub(in crate::proxy) struct Outgoing {
    /// Until it has come to its end.
    body: Option<ResponseBody<Answer>>,
    /// If it is finished when its client has gone.
    reads_on: Option<(ReadsOn, Keep)>,
}

/// An answer of the proxy's own.
impl From<ResponseBody<Answer>> for Outgoing {
    fn from(body: ResponseBody<Answer>) -> Self {
        Outgoing { body: Some(body), reads_on: None }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = <ResponseBody<Answer> as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let part = Pin::new(&mut *body).poll_frame(cx);
        if matches!(part, Poll::Ready(None | Some(Err(_)))) || body.is_end_stream() {
            self.body = None;
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The client has gone in the middle of its answer.
impl Drop for Outgoing {
    fn drop(&mut self) {
        let Some((body, (reads_on, keep))) = self.body.take().zip(self.reads_on.take()) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        if body.holds_place() && !std::thread::panicking() {
            runtime.spawn(async move {
                let _left = Left::new(keep);
                read_on(body, reads_on).await;
            });
        }
    }
}

/// How much of an answer is still read when nobody wants it. Streams of events or of gRPC have no end of their own, so they are read to their
/// next part, when their service is writing, and not for long.
fn reads_on(answered: &Answered, time: Duration) -> ReadsOn {
    let content_type = answered.headers().get(CONTENT_TYPE).map_or(&[][..], |value| value.as_bytes());
    let is = |name: &str| {
        content_type.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name.as_bytes()))
    };
    if is("text/event-stream") || is("application/grpc") {
        ReadsOn { time: time.min(STREAM_MAX), bytes: 0 }
    } else {
        ReadsOn { time, bytes: READ_ON_MAX }
    }
}

/// Reads what nobody wants, for the service to come to the end of its work.
async fn read_on(mut body: ResponseBody<Answer>, most: ReadsOn) {
    let mut read = 0;
    let reading = async {
        while body.holds_place() && read <= most.bytes {
            let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else {
                return;
            };
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
    };
    let _ = tokio::time::timeout(most.time, reading).await;
}

const LEFT: &str = "pushback_abandoned_in_flight";

/// So that the metric is there before there is one.
pub(in crate::proxy) fn count_left_from_now_on() {
    metrics::describe_gauge!(LEFT, "Requests in flight whose clients have gone.");
    metrics::gauge!(LEFT).increment(0);
}

/// Counts as a call that is finished for nobody, and holds up the end of the proxy, until it is dropped.
struct Left(#[expect(dead_code, reason = "it is held")] Keep);

impl Left {
    fn new(keep: Keep) -> Self {
        metrics::gauge!(LEFT).increment(1);
        Left(keep)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        metrics::gauge!(LEFT).decrement(1);
    }
}
