//! Waiting for the last permit.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{PressureGauge, thread_waker::block_on};

/// The future of [`PressureGauge::drain`].
///
/// The gauge is closed when it is first polled, and stays closed if it is dropped.
#[derive(Debug)]
#[must_use = "a gauge is drained only when the future is polled"]
pub struct Drain {
    gauge: PressureGauge,
    number: Option<u64>,
}

impl Drain {
    pub(super) fn new(gauge: PressureGauge) -> Self {
        Drain { gauge, number: None }
    }

    pub(super) fn blocking(self) {
        block_on(self);
    }
}

impl Future for Drain {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Drain { gauge, number } = &mut *self;
        if gauge.core.poll_drained(number, cx.waker().clone()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.gauge.core.forget_drain(number);
        }
    }
}
