//! The body that goes to the service.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pushback::http::RequestBody;
use tokio::sync::oneshot;

use super::{error::Error, trailers::Trailers};
use crate::proxy::now::now;

/// A request's body as the layer gives it.
pub(in crate::proxy) type Asking = RequestBody<Incoming>;

/// The same without trailers that nobody may send.
pub(in crate::proxy) struct Upload {
    body: Option<Asking>,
    /// Which trailers may be; nothing, if there is no body.
    trailers: Option<Trailers>,
    /// If it takes its time.
    handover: Option<Arc<Handover>>,
    /// Who gets the body back, if it is dropped before anything of it was taken.
    owner: Option<oneshot::Sender<Unsent>>,
}

/// What an upload is made of once more, as long as nothing of it was taken: with where its body comes back, if there is one.
pub(in crate::proxy) struct Untouched(Option<(Arc<Handover>, oneshot::Receiver<Unsent>)>);

/// A body, and which trailers may follow it.
type Unsent = (Asking, Option<Trailers>);

impl Untouched {
    /// The same upload, once the other one is gone; nothing, if something of it was taken.
    pub(in crate::proxy) async fn again(self) -> Option<Upload> {
        let Some((handover, body)) = self.0 else {
            return Some(Upload { body: None, trailers: None, handover: None, owner: None });
        };
        let (body, trailers) = body.await.ok()?;
        Some(Upload { body: Some(body), trailers, handover: Some(handover), owner: None })
    }
}

/// How far a body is that takes its time: a service cannot answer before it has all of it.
#[derive(Debug)]
pub(in crate::proxy) struct Handover {
    began: Instant,
    /// How long after that the last part was handed over, in nanoseconds.
    part_after: AtomicU64,
    /// Whether the next part is not there yet, which is the sender's doing and not the service's.
    is_awaited: AtomicBool,
    /// What was wrong with it, which an exchange over HTTP/2 does not tell.
    failed: OnceLock<Error>,
}

impl Handover {
    pub(in crate::proxy) fn failed(&self) -> Option<Error> {
        self.failed.get().copied()
    }

    /// When the service was last given anything, or `None` while it is the sender who is waited for.
    pub(in crate::proxy) fn given(&self) -> Option<Instant> {
        (!self.is_awaited.load(Ordering::Relaxed)).then(|| self.last_part())
    }

    /// When its last part was handed over; its beginning, before the first one.
    pub(in crate::proxy) fn last_part(&self) -> Instant {
        self.began + Duration::from_nanos(self.part_after.load(Ordering::Relaxed))
    }

    fn note<T>(&self, part: &Poll<T>) {
        self.is_awaited.store(part.is_pending(), Ordering::Relaxed);
        if part.is_ready() {
            let after = now().saturating_duration_since(self.began).as_nanos();
            self.part_after.store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl Upload {
    pub(in crate::proxy) fn new(body: Asking, trailers: Trailers) -> Self {
        let new = || Handover {
            began: now(),
            part_after: AtomicU64::new(0),
            is_awaited: AtomicBool::new(false),
            failed: OnceLock::new(),
        };
        let handover = (!body.is_end_stream()).then(|| Arc::new(new()));
        Upload { body: Some(body), trailers: Some(trailers), handover, owner: None }
    }

    /// For whoever may have to send it once more.
    pub(in crate::proxy) fn untouched(&mut self) -> Untouched {
        let body = self.handover.clone().map(|handover| {
            let (owner, body) = oneshot::channel();
            self.owner = Some(owner);
            (handover, body)
        });
        Untouched(body)
    }

    /// How far it is; nothing, if there is no body.
    pub(in crate::proxy) fn handover(&self) -> Option<Arc<Handover>> {
        self.handover.clone()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = <Asking as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let part = Pin::new(body).poll_frame(cx);
        let sift = |part: Result<_, Self::Error>| match &self.trailers {
            Some(trailers) => part.and_then(|frame| Ok(trailers.sift(frame)?)),
            None => part,
        };
        let part = part.map(|part| part.map(sift));
        if part.is_ready() {
            self.owner = None;
        }
        if let Some(handover) = &self.handover {
            handover.note(&part);
            if let Poll::Ready(Some(Err(error))) = &part {
                let _ = handover.failed.set(Error::of_sender(&**error));
            }
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

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some((owner, body)) = self.owner.take().zip(self.body.take()) {
            let _ = owner.send((body, self.trailers.take()));
        }
    }
}
