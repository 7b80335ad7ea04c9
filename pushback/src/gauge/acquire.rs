//! Waiting for one's turn, on any executor and on plain threads.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{
    PressureGauge,
    core::Entry,
    permit::OwnedPermit,
    thread_waker::{self, block_on},
};
use crate::{arrival::Arrival, line::queue::Ticket, rejected::Rejected};

/// The future of [`PressureGauge::acquire`]. It joins the line when it is first polled; dropping it leaves the line,
/// and a turn that had already come goes to the next.
#[derive(Debug)]
#[must_use = "a call joins the line only when its future is polled"]
pub struct Acquire {
    gauge: PressureGauge,
    arrival: Arrival,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    InLine(Ticket),
    Done,
}

impl Acquire {
    pub(super) fn new(gauge: PressureGauge, arrival: Arrival) -> Self {
        Acquire { gauge, arrival, state: State::New }
    }

    /// Waits on this thread. It needs no runtime and no waker until it really has to wait.
    pub(super) fn blocking(mut self) -> Result<OwnedPermit, Rejected> {
        match self.advance(thread_waker::this_thread) {
            Poll::Ready(answer) => answer,
            Poll::Pending => block_on(self),
        }
    }

    fn advance(&mut self, waker: impl FnOnce() -> Waker) -> Poll<Result<OwnedPermit, Rejected>> {
        let core = &self.gauge.core;
        let answer = match self.state {
            State::New => match core.enter(self.arrival, waker) {
                Entry::Decided(answer) => answer,
                Entry::Waiting(ticket) => {
                    self.state = State::InLine(ticket);
                    return Poll::Pending;
                }
            },
            State::InLine(ticket) => match core.poll_turn(ticket, self.arrival.places(), waker()) {
                Some(answer) => answer,
                None => return Poll::Pending,
            },
            State::Done => panic!("a finished Acquire was polled again"),
        };
        self.state = State::Done;
        Poll::Ready(answer.map(|held| OwnedPermit::new(self.gauge.clone(), held)))
    }
}

impl Future for Acquire {
    type Output = Result<OwnedPermit, Rejected>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.advance(|| cx.waker().clone())
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        if let State::InLine(ticket) = self.state {
            self.gauge.core.leave(ticket, self.arrival.places());
        }
    }
}
