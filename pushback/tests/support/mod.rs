//! What several tests need: futures polled by hand, with wakers that count.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A waker that counts how often it was woken.
#[derive(Default)]
pub(crate) struct Bell(AtomicU32);

impl Bell {
    pub(crate) fn rung(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future polled by hand: a hand-made executor of one task.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

impl<F: Future> Task<F> {
    pub(crate) fn new(future: F) -> Self {
        Task { future: Box::pin(future), bell: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(&self.bell));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// How often it was woken so far.
    pub(crate) fn rung(&self) -> u32 {
        self.bell.rung()
    }

    /// Polls as another task of the executor would: with a waker of its own. Gives the waker before.
    pub(crate) fn poll_as_another_task(&mut self) -> (Poll<F::Output>, Arc<Bell>) {
        let before = std::mem::take(&mut self.bell);
        (self.poll(), before)
    }

    /// Polls only if it was woken since it was created or last asked, as an executor would.
    pub(crate) fn poll_if_rung(&mut self) -> Poll<F::Output> {
        if self.rung() == 0 {
            return Poll::Pending;
        }
        self.bell.0.store(0, Ordering::SeqCst);
        self.poll()
    }
}
