//! The body of a response: the service's, with the place it holds, or a refusal's.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::gauge::OwnedPermit;

pin_project! {
    /// A response's body: the inner service's, which holds the place to its end, or the short text of a refusal.
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
            permit: Option<OwnedPermit>,
        },
        Refusal {
            text: Option<Bytes>,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn service(body: B, permit: OwnedPermit) -> Self {
        ResponseBody { kind: Kind::Service { body, permit: Some(permit) } }
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
        ResponseBody { kind: Kind::Service { body: B::default(), permit: None } }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Refusal { text } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            KindProjection::Service { body, permit } => {
                let frame = body.poll_frame(cx);
                if let Poll::Ready(None | Some(Err(_))) = frame {
                    // Nothing comes after this, so whoever keeps the body around keeps no place.
                    *permit = None;
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
