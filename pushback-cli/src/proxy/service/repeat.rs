//! Requests that may go out once more, because no service has worked on them, or because it does no harm if one has.

use std::error::Error as StdError;

use hyper::Request;

use crate::proxy::message::{
    error::cause,
    upload::{Untouched, Upload},
};

/// What it takes to send a request once more, while the request itself is on its way.
pub(super) struct Repeat {
    head: Request<()>,
    body: Untouched,
}

impl Repeat {
    pub(super) fn of(request: &mut Request<Upload>) -> Self {
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        head.uri_mut().clone_from(request.uri());
        head.headers_mut().clone_from(request.headers());
        *head.version_mut() = request.version();
        Repeat { head, body: request.body_mut().untouched() }
    }

    /// The request, if nothing of its body was taken.
    pub(super) async fn request(self) -> Option<Request<Upload>> {
        let body = self.body.again().await?;
        Some(self.head.map(|()| body))
    }
}

/// Why a stream of HTTP/2 gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The service has said that it did nothing for this one (RFC 9113, 8.7).
    Refused,
    /// The connection ended before the service came to this one.
    LeftOut,
    /// The connection broke; who knows what was done.
    Broken,
    /// Anything else, which another try would meet again.
    Otherwise,
}

impl Unanswered {
    pub(super) fn by(error: &hyper::Error) -> Self {
        let error: &(dyn StdError + 'static) = error;
        match cause::<h2::Error>(error) {
            Some(error) if error.is_remote() && error.is_reset() => match error.reason() {
                Some(h2::Reason::REFUSED_STREAM) => Unanswered::Refused,
                _ => Unanswered::Otherwise,
            },
            // Only those above the last stream of a GOAWAY hear of it. The others go on, and may break later.
            Some(error) if error.is_remote() && error.is_go_away() => Unanswered::LeftOut,
            Some(error) if error.is_io() => Unanswered::Broken,
            Some(_) => Unanswered::Otherwise,
            // It waited for a stream of its own when the connection ended.
            None if cause::<hyper::Error>(error).is_some_and(hyper::Error::is_user) => Unanswered::LeftOut,
            // Nobody answered its pings.
            None => Unanswered::Broken,
        }
    }
}
