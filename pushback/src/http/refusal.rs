//! The answer to one refused request, in the form it understands.

use ::http::{
    HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TE},
};

use http_body::Body;

use super::{RequestHead, ResponseBody, classify::is_grpc, turns::Wait};
use crate::rejected::Reason;

/// When to try again, in milliseconds (gRPC's retry design, A6).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// Tells trusted peers why they were refused.
const REASON: HeaderName = HeaderName::from_static("pushback-reason");

/// All that is needed to answer: small, because every refused request carries one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) form: Form,
    pub(super) reason: Reason,
    /// When to ask again, if that makes sense.
    pub(super) wait: Option<Wait>,
    /// It never fits, however often it is tried.
    pub(super) is_final: bool,
    /// It asks for the head alone.
    pub(super) is_head: bool,
    /// The connection ends with this answer, because the server is going away.
    pub(super) closes: bool,
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
    pub(super) fn asked_for(request: &RequestHead<'_>) -> Self {
        let headers = request.headers;
        // Over HTTP/1 it is gRPC only if somebody translates, who says that trailers are understood.
        let may_be_grpc = *request.method == Method::POST
            && (request.version >= Version::HTTP_2 || headers.get(TE).is_some_and(|te| te == "trailers"));
        if may_be_grpc && is_grpc(headers) {
            return Form::Grpc;
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
    pub(super) fn response<B>(self) -> Response<ResponseBody<B>>
    where
        ResponseBody<B>: Body,
    {
        let mut response = match self.form {
            Form::Text => {
                self.http("text/plain; charset=utf-8", ResponseBody::refusal(self.reason, self.text()))
            }
            Form::Problem => {
                self.http("application/problem+json", ResponseBody::refusal(self.reason, self.problem()))
            }
            Form::Grpc => self.grpc(),
        };
        if self.is_head {
            // HTTP/2 servers send what they are given, and an answer to HEAD must not have it (RFC 9110, 9.3.2).
            let length = response.body().size_hint().exact().unwrap_or_default();
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            *response.body_mut() = ResponseBody::refusal(self.reason, "");
        }
        if self.closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
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
        if let Some(wait) = self.wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.seconds));
        }
        response
    }

    fn grpc<B>(self) -> Response<ResponseBody<B>> {
        let mut response = Response::new(ResponseBody::refusal(self.reason, ""));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", self.grpc_status());
        // It needs no percent-encoding.
        headers.insert("grpc-message", HeaderValue::from_static(self.text()));
        if self.is_final {
            // Whatever cannot be read as a time says: never.
            headers.insert(PUSHBACK, HeaderValue::from_static("-1"));
        } else if let Some(wait) = self.wait {
            headers.insert(PUSHBACK, HeaderValue::from(wait.milliseconds));
        }
        response
    }

    fn grpc_status(self) -> HeaderValue {
        HeaderValue::from_static(match self.reason {
            Reason::DeadlinePassed => "4", // DEADLINE_EXCEEDED
            // UNAVAILABLE: this server cannot take it, and another one may.
            Reason::Closed => "14",
            _ if self.is_quota || self.is_final => "8", // RESOURCE_EXHAUSTED
            _ => "14",
        })
    }

    fn text(self) -> &'static str {
        if self.reason == Reason::Closed { "Shutting down" } else { "Too many requests" }
    }

    /// Limit, in flight and the gauge's name are for nobody, and the reason is not for strangers.
    fn problem(self) -> String {
        let (text, status) = (self.text(), self.status.as_u16());
        let reason = if self.is_trusted { format!(r#","reason":"{}""#, self.reason) } else { String::new() };
        format!(r#"{{"type":"about:blank","title":"{text}","status":{status}{reason}}}"#)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use ::http::Request;

    use super::*;

    fn form(name: &'static str, value: &'static str) -> Form {
        let request = Request::post("/").version(Version::HTTP_2).header(name, value).body(()).unwrap();
        Form::asked_for(&RequestHead::of(&request))
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
    }

    #[test]
    fn grpc_is_a_post_over_http_2_or_one_that_understands_trailers() {
        let form = |method: &str, version, te: Option<&str>| {
            let mut request = Request::builder().method(method).version(version);
            request = request.header("content-type", "application/grpc");
            if let Some(te) = te {
                request = request.header("te", te);
            }
            Form::asked_for(&RequestHead::of(&request.body(()).unwrap()))
        };
        assert_eq!(form("POST", Version::HTTP_2, None), Form::Grpc);
        assert_eq!(form("POST", Version::HTTP_11, Some("trailers")), Form::Grpc);
        assert_eq!(form("POST", Version::HTTP_11, None), Form::Text);
        assert_eq!(form("GET", Version::HTTP_2, None), Form::Text);
        assert_eq!(form("CONNECT", Version::HTTP_11, Some("trailers")), Form::Text);
    }
}
