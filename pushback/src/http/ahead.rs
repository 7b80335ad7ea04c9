//! What was read of a request's body before its gauge was asked.

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::Frame;

use super::room::Stored;

/// The beginning of a body, or all of it.
#[derive(Debug)]
pub(super) struct Ahead {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    pub(super) is_whole: bool,
    _stored: Stored,
}

impl Ahead {
    pub(super) fn new(data: Bytes, trailers: Option<HeaderMap>, is_whole: bool, stored: Stored) -> Self {
        let data = Some(data).filter(|data| !data.is_empty());
        Ahead { data, trailers, is_whole, _stored: stored }
    }

    /// What is next of it.
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        self.data.take().map(Frame::data).or_else(|| self.trailers.take().map(Frame::trailers))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    /// In bytes.
    pub(super) fn len(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.len() as u64)
    }
}
