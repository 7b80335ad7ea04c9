//! The body of a request, as the inner service sees it.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BoxError,
    ahead::Ahead,
    allowance::Allowance,
    patrol::{Patrol, Stalled},
    sending::Sending,
};

pin_project! {
    /// A request's body, as the caller sends it.
    ///
    /// If the sender stalls, it ends with [`SenderStalled`]: a handler that reads holds a place,
    /// and ten slow senders must not freeze a limit of ten. Once the service has answered, the rest
    /// may take as long as it likes.
    #[derive(Debug)]
    pub struct RequestBody<Q> {
        // What was read before the gauge was asked. Boxed, for most bodies are none, and requests are moved a few times.
        ahead: Option<Box<Ahead>>,
        #[pin]
        coming: Coming<Q>,
        sender: Option<Box<Sender>>,
    }
}

pin_project! {
    /// Where the rest comes from: a body that nobody has looked at yet may still be moved, and any other lies where it was.
    #[project = ComingProjection]
    enum Coming<Q> {
        Unread {
            #[pin]
            body: Q,
        },
        Begun {
            body: Pin<Box<Q>>,
        },
        // It broke off, and whoever reads on finds its end.
        Broken,
    }
}

/// Who still sends.
#[derive(Debug)]
struct Sender {
    upload: Arc<Upload>,
    allowance: Allowance,
}

/// What is to be known of a request's body when its response comes, or its caller goes away.
pub(super) struct Upload {
    patrol: Arc<Patrol>,
    /// When the request came, if somebody wants to know how long the service takes.
    came: Option<Instant>,
    /// How long after it came the last part of the body was handed over, in nanoseconds.
    part_after: AtomicU64,
    /// How many places wait while the sender is awaited.
    places: u32,
    state: AtomicU8,
    is_answered: AtomicU8,
}

impl Upload {
    pub(super) fn new(patrol: &Arc<Patrol>, came: Option<Instant>, places: u32) -> Arc<Self> {
        Arc::new(Upload {
            patrol: Arc::clone(patrol),
            came,
            places,
            part_after: AtomicU64::new(0),
            state: AtomicU8::new(Sending::Coming as u8),
            is_answered: AtomicU8::new(0),
        })
    }

    /// The response's head is there: nobody waits for the sender any more.
    pub(super) fn answered(&self) {
        self.is_answered.store(1, Ordering::Relaxed);
    }

    pub(super) fn sending(&self) -> Sending {
        match self.state.load(Ordering::Relaxed) {
            1 => Sending::Awaited,
            2 => Sending::Ended,
            3 => Sending::Failed,
            _ => Sending::Coming,
        }
    }

    /// How long after the request came its body was handed over.
    pub(super) fn took(&self) -> Duration {
        Duration::from_nanos(self.part_after.load(Ordering::Relaxed))
    }

    fn is(&self, sending: Sending) {
        self.state.store(sending as u8, Ordering::Relaxed);
    }

    fn handed_over_a_part(&self) {
        if let Some(came) = self.came {
            let after = self.patrol.now().saturating_duration_since(came);
            self.part_after.store(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl<Q> RequestBody<Q> {
    /// A body that nobody watches.
    pub(super) fn new(body: Q) -> Self {
        RequestBody { ahead: None, coming: Coming::Unread { body }, sender: None }
    }

    /// A body whose beginning was read.
    pub(super) fn begun(ahead: Ahead, body: Pin<Box<Q>>) -> Self {
        RequestBody { ahead: Some(Box::new(ahead)), coming: Coming::Begun { body }, sender: None }
    }

    /// The same, whose sender loses the place to somebody else if he stalls.
    pub(super) fn watched(self, upload: &Arc<Upload>) -> Self {
        let allowance = Allowance::new(&upload.patrol, upload.places);
        RequestBody { sender: Some(Box::new(Sender { upload: Arc::clone(upload), allowance })), ..self }
    }
}

impl<Q: Body> RequestBody<Q> {
    /// Whether anything is still to come from the sender.
    pub(super) fn is_coming(&self) -> bool {
        !self.ahead.as_ref().is_some_and(|ahead| ahead.is_whole) && !self.coming.is_over()
    }
}

impl<Q> Coming<Q> {
    /// Unless it broke off.
    fn body(&self) -> Option<&Q> {
        match self {
            Coming::Unread { body } => Some(body),
            Coming::Begun { body } => Some(body),
            Coming::Broken => None,
        }
    }
}

impl<Q: Body> Coming<Q> {
    fn is_over(&self) -> bool {
        self.body().is_none_or(Body::is_end_stream)
    }
}

impl Sender {
    /// The next part is not there yet.
    fn is_awaited(&mut self, cx: &Context<'_>) -> Result<(), Stalled> {
        if self.upload.is_answered.load(Ordering::Relaxed) != 0 {
            self.allowance.ends();
            return Ok(());
        }
        self.upload.is(Sending::Awaited);
        self.allowance.awaits(cx)
    }

    /// A part came, or the end, or an error.
    fn came(&mut self, part: Option<&Result<Frame<Bytes>, BoxError>>, is_over: bool) {
        let bytes = match part {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            _ => 0,
        };
        self.allowance.came(bytes);
        self.upload.handed_over_a_part();
        self.upload.is(match part {
            Some(Err(_)) => Sending::Failed,
            Some(Ok(_)) if !is_over => Sending::Coming,
            _ => Sending::Ended,
        });
    }
}

impl<Q> Body for RequestBody<Q>
where
    Q: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(ahead) = this.ahead {
            match ahead.next() {
                Some(frame) => return Poll::Ready(Some(Ok(frame))),
                None if ahead.is_whole => return Poll::Ready(None),
                None => *this.ahead = None,
            }
        }
        let mut coming = this.coming;
        let (mut part, is_over) = {
            let mut body = match coming.as_mut().project() {
                ComingProjection::Unread { body } => body,
                ComingProjection::Begun { body } => body.as_mut(),
                ComingProjection::Broken => return Poll::Ready(None),
            };
            (body.as_mut().poll_frame(cx).map_err(Into::into), body.is_end_stream())
        };
        if let Some(sender) = this.sender {
            match &part {
                Poll::Ready(part) => sender.came(part.as_ref(), is_over),
                Poll::Pending if sender.is_awaited(cx).is_err() => {
                    sender.upload.is(Sending::Failed);
                    part = Poll::Ready(Some(Err(SenderStalled.into())));
                }
                Poll::Pending => (),
            }
        }
        if matches!(part, Poll::Ready(Some(Err(_)))) {
            coming.set(Coming::Broken);
            *this.sender = None;
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        match &self.ahead {
            Some(ahead) => ahead.is_empty() && (ahead.is_whole || self.coming.is_over()),
            None => self.coming.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let coming = || self.coming.body().map_or(SizeHint::with_exact(0), Body::size_hint);
        let Some(ahead) = &self.ahead else { return coming() };
        if ahead.is_whole {
            return SizeHint::with_exact(ahead.len());
        }
        let mut hint = coming();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(ahead.len()));
        }
        hint.set_lower(hint.lower().saturating_add(ahead.len()));
        hint
    }
}

impl<Q> fmt::Debug for Coming<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coming")
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("sending", &self.sending()).finish_non_exhaustive()
    }
}

/// A request's body was given up: its sender made no progress for longer than [`BackpressureLayer::stall`], or sent less than
/// [`BackpressureLayer::least_rate`].
///
/// [`BackpressureLayer::stall`]: super::BackpressureLayer::stall
/// [`BackpressureLayer::least_rate`]: super::BackpressureLayer::least_rate
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SenderStalled;

impl fmt::Display for SenderStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender of the request's body has stalled")
    }
}

impl Error for SenderStalled {}
