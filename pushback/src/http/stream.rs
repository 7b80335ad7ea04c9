//! An answer's body of many parts, or of one large one, which the patrol can end while nobody asks for it.
//!
//! A server does not ask for the next part while it cannot write the last, so a body that only ended when asked would keep
//! what it holds (a file, a cursor, a connection to a database) for as long as a reader likes. So it lies where the patrol can
//! drop it. That costs one allocation, which a stream does not feel.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;

use super::{
    BoxError,
    classify::GrpcCall,
    holding::{Holding, IgnoredIfUnwinding, Part},
    patrol::{Abort, Forfeit, Patrol, Watch},
};
use crate::sync::{Mutex, MutexGuard, locked};

/// Larger parts are handed over in several, so that a slow reader of a large answer is seen to make progress.
pub(super) const PART_MAX: usize = 64 << 10;

pub(super) struct Stream<B> {
    slot: Arc<Slot<B>>,
    /// What is left of a large part.
    rest: Bytes,
    held: Option<Holding>,
}

/// Where the body lies, until it has ended or was ended.
struct Slot<B> {
    body: Mutex<Option<Pin<Box<B>>>>,
    /// Where it came from.
    runtime: Option<Handle>,
}

impl<B> Slot<B> {
    fn lock(&self) -> MutexGuard<'_, Option<Pin<Box<B>>>> {
        locked(&self.body)
    }
}

impl<B: Send + 'static> Abort for Slot<B> {
    fn abort(&self) {
        // Whoever polls it now ends it when it looks for its place.
        let Some(body) = self.body.try_lock().ok().and_then(|mut body| body.take()) else { return };
        // What is dropped with it is other people's code, which may take its time or ask for its runtime. It must not run here, where the
        // alarms of all gauges ring.
        match &self.runtime {
            Some(runtime) => {
                // Entered, for a runtime that has ended drops it at once.
                let _entered = runtime.enter();
                drop(runtime.spawn(async move { drop(body) }));
            }
            None => drop(thread::Builder::new().name("pushback-drop".into()).spawn(move || drop(body))),
        }
    }
}

impl<B: Body + Send + 'static> Stream<B> {
    pub(super) fn new(body: B, patrol: &Arc<Patrol>, held: Forfeit, trailers_tell: Option<GrpcCall>) -> Self {
        let runtime = Handle::try_current().ok();
        let slot = Arc::new(Slot { body: Mutex::new(Some(Box::pin(body))), runtime });
        let held = Forfeit { body: Some(Arc::clone(&slot) as Arc<dyn Abort>), ..held };
        let watch = Watch::reader(patrol, held);
        Stream { slot, rest: Bytes::new(), held: Some(Holding { watch, trailers_tell }) }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Stream<B> {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        let unwinding = IgnoredIfUnwinding(&mut self.held);
        let mut body = self.slot.lock();
        let was_ended = body.is_none();
        let part = if self.rest.is_empty() {
            body.as_mut().map_or(Poll::Ready(None), |body| body.as_mut().poll_frame(cx).map_err(Into::into))
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))))
        };
        let is_over = body.as_ref().is_none_or(|body| body.is_end_stream());
        drop(body);
        drop(unwinding);
        let part = part.map(|part| part.map(|part| part.map(|frame| cut(frame, &mut self.rest))));
        let has_stalled = was_ended && self.held.is_some();
        if has_stalled || Holding::look(&mut self.held, &part, is_over && self.rest.is_empty()).is_err() {
            // From now on it is at its end.
            self.held = None;
            self.rest = Bytes::new();
            drop(self.slot.lock().take());
            return Poll::Ready(Some(Err(ReaderStalled.into())));
        }
        part
    }
}

impl<B> Stream<B> {
    pub(super) fn holds_place(&self) -> bool {
        self.held.is_some()
    }
}

impl<B: Body> Stream<B> {
    pub(super) fn is_end_stream(&self) -> bool {
        // A body that was ended is not at its end before its reader was told.
        self.rest.is_empty()
            && self.held.is_none()
            && self.slot.lock().as_ref().is_none_or(|body| body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let mut hint = self.slot.lock().as_ref().map_or_else(SizeHint::default, |body| body.size_hint());
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

/// The first part of a large part; the rest is kept.
fn cut(frame: Frame<Bytes>, rest: &mut Bytes) -> Frame<Bytes> {
    match frame.into_data() {
        Ok(mut data) if data.len() > PART_MAX => {
            *rest = data.split_off(PART_MAX);
            Frame::data(data)
        }
        Ok(data) => Frame::data(data),
        Err(frame) => frame,
    }
}

impl<B> fmt::Debug for Stream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// A response's body was broken off: its reader made no progress for longer than [`BackpressureLayer::stall`], and the
/// place went to somebody else.
///
/// [`BackpressureLayer::stall`]: super::BackpressureLayer::stall
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStalled;

impl fmt::Display for ReaderStalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the response's body has stalled")
    }
}

impl Error for ReaderStalled {}
