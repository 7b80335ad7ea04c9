//! The body of a response: the service's, with the place it holds, or a refusal's.

use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    BoxError,
    classify::GrpcCall,
    holding::{Holding, IgnoredIfUnwinding, Part},
    patrol::{Forfeit, Patrol, Stalled, Watch},
    stream::{PART_MAX, ReaderStalled, Stream},
};
use crate::rejected::Reason;

pin_project! {
    /// A response's body: the inner service's, which may hold the place to its end, or a refusal's
    /// short text.
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
        /// Of the service, with no place to hold, or small and known to be.
        Plain {
            #[pin]
            body: B,
            held: Option<Holding>,
        },
        /// Of the service, which the patrol can end.
        Stream {
            stream: Stream<B>,
        },
        /// A text of the layer's own.
        Own {
            text: Option<Bytes>,
            why: Unserved,
        },
        /// It broke off, and whoever reads on finds its end.
        Broken,
    }
}

/// Why the layer answers by itself.
#[derive(Debug)]
enum Unserved {
    Refused(Reason),
    Unread(BoxError),
}

impl<B> ResponseBody<B> {
    /// A body that holds no place.
    pub(super) fn free(body: B) -> Self {
        ResponseBody { kind: Kind::Plain { body, held: None } }
    }

    /// A refusal's, whose text may be empty.
    pub(super) fn refusal(reason: Reason, text: impl Into<Bytes>) -> Self {
        ResponseBody::own(text.into(), Unserved::Refused(reason))
    }

    /// The answer to a request whose body did not come to its end.
    pub(super) fn of_unread(error: BoxError, text: &'static str) -> Self {
        ResponseBody::own(Bytes::from_static(text.as_bytes()), Unserved::Unread(error))
    }

    fn own(text: Bytes, why: Unserved) -> Self {
        let text = Some(text).filter(|text| !text.is_empty());
        ResponseBody { kind: Kind::Own { text, why } }
    }

    /// Why the gauge refused this request, if it did. `None` for a service that answers 429 itself.
    pub fn refused(&self) -> Option<Reason> {
        match &self.kind {
            Kind::Own { why: Unserved::Refused(reason), .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the request still holds its place.
    pub fn holds_place(&self) -> bool {
        match &self.kind {
            Kind::Plain { held, .. } => held.is_some(),
            Kind::Stream { stream } => stream.holds_place(),
            Kind::Own { .. } | Kind::Broken => false,
        }
    }

    /// What went wrong with the request's body, if the gauge was not asked because of that.
    ///
    /// Its sender stalled ([`SenderStalled`](super::SenderStalled)), broke off, or sent something
    /// malformed.
    pub fn unread(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.kind {
            Kind::Own { why: Unserved::Unread(error), .. } => Some(&**error),
            _ => None,
        }
    }
}

impl<B: Body + Send + 'static> ResponseBody<B> {
    /// A body that holds a place to its end. A small one is told of as such.
    pub(super) fn holding(
        body: B,
        patrol: &Arc<Patrol>,
        holds: impl FnOnce(bool) -> Forfeit,
        trailers_tell: Option<GrpcCall>,
    ) -> Self {
        let is_small = body.size_hint().exact().is_some_and(|length| length <= PART_MAX as u64);
        let held = holds(is_small);
        let kind = if is_small {
            Kind::Plain { body, held: Some(Holding { watch: Watch::reader(patrol, held), trailers_tell }) }
        } else {
            Kind::Stream { stream: Stream::new(body, patrol, held, trailers_tell) }
        };
        ResponseBody { kind }
    }
}

/// An answer that holds no place, for other layers that answer by themselves.
impl<B> From<B> for ResponseBody<B> {
    fn from(body: B) -> Self {
        ResponseBody::free(body)
    }
}

/// An empty answer that holds no place, for other layers that answer by themselves.
impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        ResponseBody::free(B::default())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Part> {
        let mut kind = self.project().kind;
        let part = match kind.as_mut().project() {
            KindProjection::Own { text, .. } => {
                return Poll::Ready(text.take().map(|text| Ok(Frame::data(text))));
            }
            KindProjection::Broken => return Poll::Ready(None),
            KindProjection::Stream { stream } => stream.poll_frame(cx),
            KindProjection::Plain { body, held: None } => body.poll_frame(cx).map_err(Into::into),
            KindProjection::Plain { mut body, held } => {
                let unwinding = IgnoredIfUnwinding(held);
                let part = body.as_mut().poll_frame(cx).map_err(Into::into);
                drop(unwinding);
                match Holding::look(held, &part, body.is_end_stream()) {
                    Ok(()) => part,
                    Err(Stalled) => Poll::Ready(Some(Err(ReaderStalled.into()))),
                }
            }
        };
        if matches!(part, Poll::Ready(Some(Err(_)))) {
            kind.set(Kind::Broken);
        }
        part
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Plain { body, .. } => body.is_end_stream(),
            Kind::Stream { stream } => stream.is_end_stream(),
            Kind::Own { text, .. } => text.is_none(),
            Kind::Broken => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Plain { body, .. } => body.size_hint(),
            Kind::Stream { stream } => stream.size_hint(),
            Kind::Own { text, .. } => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Kind::Broken => SizeHint::with_exact(0),
        }
    }
}
