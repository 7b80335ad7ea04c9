//! What a connection's socket has taken.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How much a connection's socket has taken of what was sent on it. A server buffers, and asks for the next part of an answer when its buffers
/// are empty; the socket tells sooner that a slow reader reads.
///
/// [`Connection::progress`](super::Connection::progress) gives it, and [`Backpressure::over`](super::Backpressure::over) takes it.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    bytes: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn took(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
