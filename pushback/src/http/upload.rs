//! The body of a request, as the inner service sees it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BoxError,
    patrol::{Stalled, Watch},
    shared::Shared,
    stopwatch::Stopwatch,
};

pin_project! {
    /// A request's body. It is the caller's own, but that a sender who stalls ends it with [`SenderStalled`]: a handler that
    /// reads holds a place, and ten slow senders must not freeze a limit of ten.
    #[derive(Debug)]
    pub struct RequestBody<Q> {
        #[pin]
        body: Q,
        upload: Option<Box<Upload>>,
    }
}

/// What is kept of a body that was not at its end when the request came.
#[derive(Debug)]
struct Upload {
    shared: Arc<Shared>,
    stopwatch: Option<Stopwatch>,
    /// While the handler waits for the sender.
    watch: Option<Watch>,
}

impl<Q: Body> RequestBody<Q> {
    pub(super) fn new(body: Q, shared: &Arc<Shared>, stopwatch: Option<&Stopwatch>) -> Self {
        let upload = (!body.is_end_stream()).then(|| {
            Box::new(Upload { shared: Arc::clone(shared), stopwatch: stopwatch.cloned(), watch: None })
        });
        RequestBody { body, upload }
    }

    /// A body that nobody watches over.
    pub(super) fn exempt(body: Q) -> Self {
        RequestBody { body, upload: None }
    }

    /// The body as it came.
    pub fn into_inner(self) -> Q {
        self.body
    }
}

impl Upload {
    fn awaits_sender(&mut self, cx: &Context<'_>) -> Result<(), Stalled> {
        let watch = self.watch.get_or_insert_with(|| Watch::peer(&self.shared, None));
        watch.wake_when_stalled(cx)
    }

    fn received(&mut self) {
        self.watch = None;
        if let Some(stopwatch) = &self.stopwatch {
            stopwatch.restart(self.shared.gauge.now());
        }
    }
}

impl<Q> Body for RequestBody<Q>
where
    Q: Body<Error: Into<BoxError>>,
{
    type Data = Q::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Q::Data>, BoxError>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx).map_err(Into::into);
        let Some(upload) = this.upload else { return frame };
        if frame.is_ready() {
            upload.received();
        } else if upload.awaits_sender(cx).is_err() {
            return Poll::Ready(Some(Err(SenderStalled.into())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body was given up: its sender made no progress for longer than [`BackpressureLayer::stall`].
///
/// [`BackpressureLayer::stall`]: super::BackpressureLayer::stall
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderStalled;

impl fmt::Display for SenderStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender of the request's body has stalled")
    }
}

impl Error for SenderStalled {}
