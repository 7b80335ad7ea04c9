//! The body that goes to the service.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pushback::http::RequestBody;

use super::claims::Claims;

/// A request's body as the layer gives it.
pub(in crate::proxy) type Asking = RequestBody<Incoming>;

/// The same without trailers that nobody may send. hyper sends only those announced over HTTP/1, and all over HTTP/2.
pub(in crate::proxy) struct Upload {
    body: Asking,
    claims: Arc<Claims>,
}

impl Upload {
    pub(in crate::proxy) fn new(body: Asking, claims: Arc<Claims>) -> Self {
        Upload { body, claims }
    }

    fn proper(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_trailers() {
            Err(data) => data,
            Ok(mut trailers) => {
                let wrong: Vec<_> =
                    trailers.keys().filter(|name| !self.claims.may_trail(name)).cloned().collect();
                for name in wrong {
                    trailers.remove(name);
                }
                Frame::trailers(trailers)
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = <Asking as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let part = Pin::new(&mut self.body).poll_frame(cx);
        part.map(|part| part.map(|part| part.map(|frame| self.proper(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
