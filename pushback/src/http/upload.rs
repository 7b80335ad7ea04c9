//! The body of a request, as the inner service sees it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BoxError,
    patrol::{Held, Stalled, Watch},
    shared::Shared,
};

pin_project! {
    /// A request's body. It is the caller's own, but that a sender who stalls ends it with [`SenderStalled`]: a handler that
    /// reads holds a place, and ten slow senders must not freeze a limit of ten. Once the service has answered, it may take as
    /// long as it likes.
    #[derive(Debug)]
    pub struct RequestBody<Q> {
        #[pin]
        body: Q,
        sender: Option<Box<Sender>>,
    }
}

/// Who still sends.
#[derive(Debug)]
struct Sender {
    upload: Arc<Upload>,
    /// While the handler waits for it.
    watch: Option<Watch>,
}

/// What is to be known of a request's body when its response comes.
pub(super) struct Upload {
    shared: Arc<Shared>,
    /// When the request came, if somebody wants to know how long the service takes.
    came: Option<Instant>,
    /// How long after it came the last part of the body was handed over, in nanoseconds.
    part_after: AtomicU64,
    has_stalled: AtomicBool,
    is_answered: AtomicBool,
}

impl Upload {
    pub(super) fn new(shared: &Arc<Shared>, came: Option<Instant>) -> Arc<Self> {
        Arc::new(Upload {
            shared: Arc::clone(shared),
            came,
            part_after: AtomicU64::new(0),
            has_stalled: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
        })
    }

    /// The response's head is there; says whether the sender had stalled before.
    pub(super) fn answered(&self) -> bool {
        self.is_answered.store(true, Ordering::Relaxed);
        self.has_stalled.load(Ordering::Relaxed)
    }

    /// How long after the request came its body was handed over.
    pub(super) fn took(&self) -> Duration {
        Duration::from_nanos(self.part_after.load(Ordering::Relaxed))
    }

    fn handed_over_a_part(&self) {
        if let Some(came) = self.came {
            let after = self.shared.gauge.now().saturating_duration_since(came);
            self.part_after.store(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl<Q: Body> RequestBody<Q> {
    pub(super) fn new(body: Q, upload: Option<&Arc<Upload>>) -> Self {
        let sender = upload.map(|upload| Box::new(Sender { upload: Arc::clone(upload), watch: None }));
        RequestBody { body, sender }
    }

    /// The body as it came, which nobody watches over.
    pub fn into_inner(self) -> Q {
        self.body
    }
}

impl Sender {
    fn is_awaited(&mut self, cx: &Context<'_>) -> Result<(), Stalled> {
        if self.upload.is_answered.load(Ordering::Relaxed) {
            self.watch = None;
            return Ok(());
        }
        let patrol = &self.upload.shared.patrol;
        let watch = self.watch.get_or_insert_with(|| Watch::peer(patrol, Held::default()));
        watch.wake_when_stalled(cx)
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
        let Some(sender) = this.sender else { return frame };
        if frame.is_ready() {
            sender.watch = None;
            sender.upload.handed_over_a_part();
        } else if sender.is_awaited(cx).is_err() {
            sender.upload.has_stalled.store(true, Ordering::Relaxed);
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

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
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
