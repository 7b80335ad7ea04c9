//! The answer to a refused request.

use ::http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};

use super::ResponseBody;
use crate::rejected::Rejected;

/// 429 with a short text. RFC 6585, section 4, forbids caches to keep it and suggests to say when to come back; the
/// shortest time that `Retry-After` can express is a second.
pub(super) fn response<B>(_rejected: Rejected) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::refusal("Too many requests"));
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
