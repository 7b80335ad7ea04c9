//! Answers: the service's, and what the proxy answers by itself.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};

use super::{pool::Lease, streams::Stream};
use crate::proxy::message::error::{Error, PROXY_STATUS};

/// An answer's body: the service's, or a text of ours.
pub(in crate::proxy) struct Answer(Kind);

/// What an answer comes on.
pub(super) enum Way {
    /// A connection of its own, which is good for another call then.
    H1(Lease),
    /// One of many streams.
    H2(#[expect(dead_code, reason = "it is held")] Stream),
}

impl Way {
    /// The answer was read to its end.
    fn end(self) {
        if let Way::H1(lease) = self {
            lease.end();
        }
    }
}

enum Kind {
    /// With what it comes on, until it has come to its end.
    Service(Incoming, Option<Way>),
    Text(Option<Bytes>),
}

impl Answer {
    pub(super) fn service(body: Incoming, way: Way) -> Self {
        let mut way = Some(way);
        if body.is_end_stream() {
            way.take().into_iter().for_each(Way::end);
        }
        Answer(Kind::Service(body, way))
    }

    /// What the proxy answers by itself.
    pub(in crate::proxy) fn of(error: Error) -> Response<Self> {
        let mut response = Response::new(Answer::text(error.text()));
        *response.status_mut() = error.status();
        response.extensions_mut().insert(error.outcome());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PROXY_STATUS, HeaderValue::from_static(error.proxy_status()));
        response
    }

    fn text(text: &'static str) -> Self {
        Answer(Kind::Text(Some(Bytes::from_static(text.as_bytes()))))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Kind::Service(body, way) => {
                let part = Pin::new(&mut *body).poll_frame(cx);
                if matches!(part, Poll::Ready(None)) || body.is_end_stream() {
                    way.take().into_iter().for_each(Way::end);
                }
                part
            }
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Service(body, _) => body.is_end_stream(),
            Kind::Text(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Service(body, _) => body.size_hint(),
            Kind::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
