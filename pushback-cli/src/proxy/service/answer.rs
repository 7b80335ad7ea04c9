//! Answers: the service's, and what the proxy answers by itself.

use std::{
    error::Error as StdError,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};

use super::{failure::count_answer, pool::Lease, streams::Stream};
use crate::proxy::message::{
    error::{Error, PROXY_STATUS},
    trailers::Trailers,
};

type BoxError = Box<dyn StdError + Send + Sync>;

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
    /// A connection after whose answer nobody knows where the next begins is for no other call.
    pub(super) fn if_good_for_another(self, is_good: bool) -> Option<Self> {
        Some(self).filter(|way| is_good || matches!(way, Way::H2(_)))
    }

    /// The answer was read to its end.
    fn end(self) {
        if let Way::H1(lease) = self {
            lease.end();
        }
    }
}

enum Kind {
    Service(Content),
    Text(Option<Bytes>),
}

/// The service's.
struct Content {
    body: Incoming,
    /// What it comes on, until it has come to its end.
    way: Option<Way>,
    /// What was read of it before it was asked for.
    begun: Option<Part>,
    /// Which of its trailers go on, when that is known.
    trailers: Option<Trailers>,
}

type Part = Option<Result<Frame<Bytes>, hyper::Error>>;

impl Content {
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Part> {
        if let Some(part) = self.begun.take() {
            return Poll::Ready(part);
        }
        let part = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(part, Poll::Ready(None)) || self.body.is_end_stream() {
            self.way.take().into_iter().for_each(Way::end);
        }
        part
    }
}

impl Answer {
    pub(super) fn service(body: Incoming, mut way: Option<Way>) -> Self {
        if body.is_end_stream() {
            way.take().into_iter().for_each(Way::end);
        }
        Answer(Kind::Service(Content { body, way, begun: None, trailers: None }))
    }

    /// Reads the first part if it came along with the head, so that garbage in its place is no answer at all. Waits for nobody: the head
    /// of a stream goes on before there is a part.
    pub(super) async fn begin(&mut self) -> Result<(), hyper::Error> {
        let Kind::Service(content) = &mut self.0 else { return Ok(()) };
        if content.body.is_end_stream() {
            return Ok(());
        }
        for is_read in [false, true] {
            if let Poll::Ready(part) = poll_fn(|cx| Poll::Ready(content.poll_part(cx))).await {
                content.begun = Some(part.transpose()?.map(Ok));
                break;
            }
            if !is_read {
                // The connection's task reads on when it is asked for.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// What the proxy answers by itself.
    pub(in crate::proxy) fn of(error: Error) -> Response<Self> {
        count_answer(error);
        let mut response = Response::new(Answer::text(error.text()));
        *response.status_mut() = error.status();
        response.extensions_mut().insert(error.outcome());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PROXY_STATUS, HeaderValue::from_static(error.proxy_status()));
        response
    }

    /// These of its trailers go on.
    pub(in crate::proxy) fn sift(&mut self, trailers: Trailers) {
        if let Kind::Service(content) = &mut self.0 {
            content.trailers = Some(trailers);
        }
    }

    fn text(text: &'static str) -> Self {
        Answer(Kind::Text(Some(Bytes::from_static(text.as_bytes()))))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Service(content) => content.poll_part(cx).map(|part| {
                part.map(|part| match &content.trailers {
                    Some(trailers) => Ok(trailers.sift(part?)?),
                    None => Ok(part?),
                })
            }),
            Kind::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Service(content) => content.begun.is_none() && content.body.is_end_stream(),
            Kind::Text(text) => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Service(content) => content.body.size_hint(),
            Kind::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
        }
    }
}
