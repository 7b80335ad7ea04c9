//! The answer to one refused request, in the form it understands.

use ::http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};

use super::{ResponseBody, pace::Wait};
use crate::rejected::Reason;

/// Tells trusted peers why they were refused.
const REASON: HeaderName = HeaderName::from_static("pushback-reason");

/// All that is needed to answer: small, because every refused request carries one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) form: Form,
    pub(super) reason: Reason,
    pub(super) wait: Wait,
    /// The gauge is one caller's quota.
    pub(super) is_quota: bool,
    /// The caller may know the reason.
    pub(super) is_trusted: bool,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// RFC 9457.
    Problem,
    /// gRPC over HTTP/2: trailers only, which is a response of headers alone.
    Grpc,
}

impl Form {
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        if let Some(rest) = content_type.strip_prefix(b"application/grpc") {
            // Not grpc-web, whose callers read statuses from the body.
            if matches!(rest.first(), None | Some(b'+' | b';')) {
                return Form::Grpc;
            }
        }
        if headers.get_all(ACCEPT).iter().any(accepts_problem) { Form::Problem } else { Form::Text }
    }
}

/// Whether it is named, and not with a weight of 0. `*/*` does not count: it is what callers say who print what they get.
fn accepts_problem(accept: &HeaderValue) -> bool {
    let Ok(accept) = accept.to_str() else { return false };
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/problem+json"));
        let is_unwanted = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0))
        };
        is_named && !parts.any(is_unwanted)
    })
}

impl Refusal {
    pub(super) fn response<B>(self) -> Response<ResponseBody<B>> {
        let mut response = match self.form {
            Form::Text => self.http("text/plain; charset=utf-8", ResponseBody::refusal(self.text())),
            Form::Problem => {
                self.http("application/problem+json", ResponseBody::refusal_owned(self.problem()))
            }
            Form::Grpc => self.grpc(),
        };
        if self.is_trusted {
            response.headers_mut().insert(REASON, HeaderValue::from_static(self.reason.as_str()));
        }
        response
    }

    fn http<B>(self, content_type: &'static str, body: ResponseBody<B>) -> Response<ResponseBody<B>> {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        // RFC 6585 forbids caches to keep a 429; any other status could be kept if somebody says how long.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(RETRY_AFTER, HeaderValue::from(self.wait.seconds));
        response
    }

    fn grpc<B>(self) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::empty());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", self.grpc_status());
        // It needs no percent-encoding.
        headers.insert("grpc-message", HeaderValue::from_static(self.text()));
        if self.reason != Reason::DeadlinePassed {
            headers.insert("grpc-retry-pushback-ms", HeaderValue::from(self.wait.milliseconds));
        }
        response
    }

    fn grpc_status(self) -> HeaderValue {
        HeaderValue::from_static(match self.reason {
            Reason::DeadlinePassed => "4", // DEADLINE_EXCEEDED
            // UNAVAILABLE: this server cannot take it, and another one may.
            Reason::Closed => "14",
            _ if self.is_quota => "8", // RESOURCE_EXHAUSTED
            _ => "14",
        })
    }

    fn text(self) -> &'static str {
        if self.reason == Reason::Closed { "Shutting down" } else { "Too many requests" }
    }

    /// Limit and in flight are not for strangers, and neither is the gauge's name.
    fn problem(self) -> String {
        let Refusal { status, reason, .. } = self;
        format!(
            r#"{{"type":"about:blank","title":"{}","status":{},"reason":"{reason}"}}"#,
            self.text(),
            status.as_u16()
        )
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    fn form(name: &'static str, value: &'static str) -> Form {
        Form::asked_for(&HeaderMap::from_iter([(
            ::http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )]))
    }

    #[test]
    fn the_form_is_what_the_caller_understands() {
        for (accept, expected) in [
            ("application/problem+json", Form::Problem),
            ("text/html, Application/Problem+JSON;q=0.5", Form::Problem),
            ("application/problem+json;q=0", Form::Text),
            ("application/problem+json; q=0.0, text/plain", Form::Text),
            ("application/json", Form::Text),
            ("*/*", Form::Text),
            ("", Form::Text),
        ] {
            assert_eq!(form("accept", accept), expected, "{accept}");
        }
        for (content_type, expected) in [
            ("application/grpc", Form::Grpc),
            ("application/grpc+proto", Form::Grpc),
            ("application/grpc;v=1", Form::Grpc),
            ("application/grpc-web", Form::Text),
            ("application/json", Form::Text),
        ] {
            assert_eq!(form("content-type", content_type), expected, "{content_type}");
        }
        assert_eq!(Form::asked_for(&HeaderMap::new()), Form::Text);
    }
}
