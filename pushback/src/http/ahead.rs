//! What was read of a request's body before its gauge was asked.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ::http::HeaderMap;
use bytes::Bytes;
use http_body::Frame;

/// What all bodies of one layer may take that were read ahead and not yet handed over. Above that, gauges are asked at once.
const BYTES_MAX: usize = 64 << 20;
/// How much was read ahead, by all requests of a layer.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadAhead {
    bytes: Arc<AtomicUsize>,
}

/// The beginning of a body, or all of it.
#[derive(Debug)]
pub(super) struct Ahead {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    pub(super) is_whole: bool,
    _stored: Stored,
}

/// Counts as read ahead, until it is dropped.
#[derive(Debug)]
pub(super) struct Stored {
    total: ReadAhead,
    bytes: usize,
}

impl ReadAhead {
    /// Nothing yet, to be added to.
    pub(super) fn begin(&self) -> Stored {
        Stored { total: self.clone(), bytes: 0 }
    }
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

impl Stored {
    /// Says whether that is still within the bound of all.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.total.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= BYTES_MAX
    }

    pub(super) fn hand_over(&mut self) -> Stored {
        Stored { total: self.total.clone(), bytes: std::mem::take(&mut self.bytes) }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.total.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_counted_until_it_is_dropped() {
        let total = ReadAhead::default();
        let mut stored = total.begin();
        assert!(stored.add(BYTES_MAX - 1));
        let mut other = total.begin();
        assert!(other.add(1) && !other.add(1));
        let handed_over = stored.hand_over();
        drop(stored);
        assert!(!other.add(1));
        drop(handed_over);
        assert!(other.add(1));
        drop(other);
        assert_eq!(total.bytes.load(Ordering::Relaxed), 0);
    }
}
