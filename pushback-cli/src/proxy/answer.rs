//! What the proxy answers by itself, and how clients and operators tell that from what the service answered: by the field
//! `Proxy-Status` (RFC 9209).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue},
};

use super::pool::Lease;

pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Why there is no answer of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    /// The request has no single meaning.
    Malformed(&'static str),
    /// It asks for what this proxy does not do.
    NotDone(&'static str),
    /// It came by here before.
    Loop,
    /// Its sender stalled or broke off.
    Upload,
    /// No route is for it.
    NoRoute,
    /// This proxy has a fault.
    Panicked,
    Refused,
    ConnectTimeout,
    Unreachable,
    Certificate,
    Tls,
    Garbage,
    Broken,
    TooSlow,
}

impl Error {
    fn status(self) -> StatusCode {
        match self {
            Error::Malformed(_) => StatusCode::BAD_REQUEST,
            Error::NotDone(_) => StatusCode::NOT_IMPLEMENTED,
            Error::Loop => StatusCode::LOOP_DETECTED,
            Error::Upload => StatusCode::REQUEST_TIMEOUT,
            Error::NoRoute => StatusCode::NOT_FOUND,
            Error::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Refused | Error::Unreachable | Error::Garbage | Error::Broken => StatusCode::BAD_GATEWAY,
            Error::Certificate | Error::Tls => StatusCode::BAD_GATEWAY,
            Error::ConnectTimeout | Error::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// By the registry of RFC 9209, 2.3.
    fn proxy_status(self) -> &'static str {
        match self {
            Error::Malformed(_) | Error::NotDone(_) | Error::Upload => "pushback; error=http_request_error",
            Error::Loop => "pushback; error=proxy_loop_detected",
            Error::NoRoute => "pushback; error=destination_not_found",
            Error::Panicked => "pushback; error=proxy_internal_error",
            Error::Certificate => "pushback; error=tls_certificate_error",
            Error::Tls => "pushback; error=tls_protocol_error",
            Error::Refused => "pushback; error=connection_refused",
            Error::ConnectTimeout => "pushback; error=connection_timeout",
            Error::Unreachable => "pushback; error=destination_unavailable",
            Error::Garbage => "pushback; error=http_protocol_error",
            Error::Broken => "pushback; error=http_response_incomplete",
            Error::TooSlow => "pushback; error=http_response_timeout",
        }
    }

    pub(super) fn text(self) -> &'static str {
        match self {
            Error::Malformed(why) | Error::NotDone(why) => why,
            Error::Loop => "This request came by this proxy before",
            Error::Upload => "The request did not come to its end",
            Error::NoRoute => "No service is known for this request",
            Error::Panicked => "This proxy has a fault",
            Error::Certificate => "The service's certificate is not believed",
            Error::Tls => "The service does not answer in TLS",
            Error::Refused => "The service refuses connections",
            Error::ConnectTimeout => "The service cannot be reached in time",
            Error::Unreachable => "The service cannot be reached",
            Error::Garbage => "The service does not answer in HTTP",
            Error::Broken => "The service broke off before it answered",
            Error::TooSlow => "The service did not answer in time",
        }
    }

    pub(super) fn response(self) -> Response<Answer> {
        let mut response = Response::new(Answer::text(self.text()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(PROXY_STATUS, HeaderValue::from_static(self.proxy_status()));
        response
    }
}

/// What a refusal of the gauge has for a Proxy-Status.
pub(super) const REFUSED: HeaderValue = HeaderValue::from_static("pushback; error=http_request_denied");

/// An answer's body: the service's, or a text of ours.
pub(super) struct Answer(Kind);

enum Kind {
    /// With the connection that is good for another call when this has come to its end.
    Service(Incoming, Option<Lease>),
    Text(Option<Bytes>),
}

impl Answer {
    pub(super) fn service(body: Incoming, mut lease: Option<Lease>) -> Self {
        if body.is_end_stream() {
            lease.take().into_iter().for_each(Lease::end);
        }
        Answer(Kind::Service(body, lease))
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
            Kind::Service(body, lease) => {
                let part = Pin::new(&mut *body).poll_frame(cx);
                if matches!(part, Poll::Ready(None)) || body.is_end_stream() {
                    lease.take().into_iter().for_each(Lease::end);
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
