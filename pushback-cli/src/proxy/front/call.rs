//! A call, from the door to the head of its answer; and what becomes of it when its client goes away.
//!
//! The service is told, as far as its protocol can: by a reset stream, or a closed connection. A service that does not hear that,
//! as most with a thread for each request, works on. So the place stays taken for as long as a call typically takes, or
//! clients that ask and leave would fill the service above its limit.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use hyper::{Response, body::Incoming};
use pushback::http::{ResponseBody, ResponseFuture};
use tokio::runtime::Handle;

use super::forward::{Forward, Progress};
use crate::proxy::{
    now::now,
    service::{answer::Answer, upstream::Upstream},
};

/// What the layer answers.
pub(super) type Answered = Response<ResponseBody<Answer>>;
type Layered = ResponseFuture<Forward, Incoming>;

/// A call that nobody has answered yet.
pub(super) struct Call {
    layered: Option<Pin<Box<Layered>>>,
    progress: Arc<Progress>,
    upstream: Arc<Upstream>,
    came: Instant,
}

impl Call {
    pub(super) fn new(layered: Layered, progress: Arc<Progress>, upstream: Arc<Upstream>) -> Self {
        Call { layered: Some(Box::pin(layered)), progress, upstream, came: now() }
    }
}

impl Call {
    /// Drops it where it is, for it has panicked.
    pub(super) fn give_up(&mut self) {
        self.layered = None;
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

impl Drop for Call {
    fn drop(&mut self) {
        let Some(layered) = self.layered.take() else { return };
        let left = self.upstream.service_time.left_after(now().saturating_duration_since(self.came));
        let is_in_service = self.progress.is_forwarded();
        let Ok(runtime) = Handle::try_current() else { return };
        if !is_in_service || left.is_zero() || std::thread::panicking() {
            return;
        }
        self.progress.client_has_gone();
        runtime.spawn(async move {
            // It lets go of the service now, and of its place when this ends.
            let _ = tokio::time::timeout(left, layered).await;
        });
    }
}
