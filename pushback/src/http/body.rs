//! The body of a response: the service's, with the place it holds, or a refusal's.

use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BoxError,
    classify::outcome_of_trailers,
    patrol::{Stalled, Watch},
};
use crate::outcome::Outcome;

pin_project! {
    /// A response's body: the inner service's, which may hold the place to its end, or the short text of a refusal.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProjection]
    enum Kind<B> {
        Service {
            #[pin]
            body: B,
            held: Option<Held>,
        },
        Refusal {
            text: Option<Bytes>,
        },
    }
}

/// The place that a body holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) watch: Watch,
    /// A gRPC call says only behind its last message how it went.
    pub(super) trailers_tell: bool,
}

impl<B> ResponseBody<B> {
    pub(super) fn service(body: B, held: Option<Held>) -> Self {
        ResponseBody { kind: Kind::Service { body, held } }
    }

    pub(super) fn refusal(text: &'static str) -> Self {
        ResponseBody { kind: Kind::Refusal { text: Some(Bytes::from_static(text.as_bytes())) } }
    }

    pub(super) fn refusal_owned(text: String) -> Self {
        ResponseBody { kind: Kind::Refusal { text: Some(text.into()) } }
    }

    pub(super) fn empty() -> Self {
        ResponseBody { kind: Kind::Refusal { text: None } }
    }
}

/// An empty answer that holds no place, for other layers that answer by themselves.
impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        ResponseBody { kind: Kind::Service { body: B::default(), held: None } }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Refusal { text } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            KindProjection::Service { mut body, held } => {
                let frame = body.as_mut().poll_frame(cx).map_err(Into::into);
                if held.is_some() && watch_over(held, &frame, &*body).is_err() {
                    return Poll::Ready(Some(Err(ReaderStalled.into())));
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Service { body, .. } => body.is_end_stream(),
            Kind::Refusal { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Service { body, .. } => body.size_hint(),
            Kind::Refusal { text } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}

/// What a body's next frame, or that there is none yet, means for the place that it holds.
fn watch_over<E>(
    held: &mut Option<Held>,
    frame: &Poll<Option<Result<Frame<Bytes>, E>>>,
    body: &impl Body,
) -> Result<(), Stalled> {
    let Some(Held { watch, trailers_tell }) = held else { return Ok(()) };
    match frame {
        // The reader is there, and the service has nothing for it yet.
        Poll::Pending => return watch.awaits_us(),
        Poll::Ready(Some(Ok(frame))) => {
            if let (true, Some(trailers)) = (*trailers_tell, frame.trailers_ref()) {
                watch.record(outcome_of_trailers(trailers));
            }
            if !body.is_end_stream() {
                return watch.awaits_peer();
            }
        }
        // The service broke off, which says nothing about the load.
        Poll::Ready(Some(Err(_))) => watch.record(Outcome::Ignore),
        Poll::Ready(None) => (),
    }
    // Nothing comes after this, so whoever keeps the body around keeps no place.
    *held = None;
    Ok(())
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
