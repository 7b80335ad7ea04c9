//! The answer to a request whose body did not come to its end, so that the gauge was not asked.

use ::http::{
    HeaderValue, Response, StatusCode, Version,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE},
};

use super::{body::ResponseBody, reading::SenderFailed, upload::SenderStalled};

impl SenderFailed {
    /// Who stalled is told that it took too long (RFC 9110, 15.5.9), and all others that their request has no end. Nobody knows where the
    /// next request on this connection would begin.
    pub(super) fn response<B>(self, version: Version) -> Response<ResponseBody<B>> {
        let SenderFailed(error) = self;
        let (status, text) = if error.is::<SenderStalled>() {
            (StatusCode::REQUEST_TIMEOUT, "The request's body took too long")
        } else {
            (StatusCode::BAD_REQUEST, "The request's body did not come to its end")
        };
        let mut response = Response::new(ResponseBody::of_unread(error, text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
