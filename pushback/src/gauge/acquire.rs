//! Waiting for one's turn, on any executor and on plain threads.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{
    PressureGauge,
    enter::Entry,
    permit::OwnedPermit,
    thread_waker::{self, block_on},
    turn,
};
use crate::{arrival::Arrival, line::call::Ticket, rejected::Rejected, telemetry::Waiting};

/// The future of [`PressureGauge::acquire`].
///
/// It joins the line when it is first polled. Dropping it leaves the line; if its turn had already
/// come, that goes to the next.
///
/// Once its turn has come, poll it: a task that is woken does. Nobody else has the place meanwhile. A
/// future that is kept and not polled for a second, such as beside a `select!`, gives its turn on. It
/// then stands in line again when it is next polled, where it stood before, and may wait for as long
/// as it still could when its turn came; only a deadline of its own does not move.
/// [`Snapshot::turns_passed_on`](crate::Snapshot::turns_passed_on) counts that.
///
/// It borrows the gauge, so that a refused call touches nothing that admitted calls share. To move
/// or spawn it, use [`into_owned`](Acquire::into_owned). The permit is owned in any case.
#[derive(Debug)]
#[must_use = "a call joins the line only when its future is polled"]
pub struct Acquire<'gauge> {
    gauge: Cow<'gauge, PressureGauge>,
    arrival: Arrival,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    InLine(Ticket, Waiting),
    Done,
}

impl<'gauge> Acquire<'gauge> {
    pub(super) fn new(gauge: &'gauge PressureGauge, arrival: Arrival) -> Self {
        Acquire { gauge: Cow::Borrowed(gauge), arrival, state: State::New }
    }

    /// The same call, free to be moved or spawned. It keeps its place in line.
    pub fn into_owned(mut self) -> Acquire<'static> {
        // The place in line goes over to the new future, so this one must not leave it.
        let state = std::mem::replace(&mut self.state, State::Done);
        let gauge: &PressureGauge = &self.gauge;
        Acquire { gauge: Cow::Owned(gauge.clone()), arrival: self.arrival, state }
    }

    /// Waits on this thread. It needs no runtime and no waker until it really has to wait.
    pub(super) fn blocking(mut self) -> Result<OwnedPermit, Rejected> {
        match self.advance(thread_waker::this_thread) {
            Poll::Ready(answer) => answer,
            Poll::Pending => block_on(self),
        }
    }

    #[inline]
    fn advance(&mut self, waker: impl Fn() -> Waker) -> Poll<Result<OwnedPermit, Rejected>> {
        let core = &self.gauge.core;
        let entry = match self.state {
            State::New => core.enter(self.arrival, waker),
            State::InLine(ticket, _) => core.poll_turn(ticket, self.arrival, waker),
            State::Done => panic!("a finished Acquire was polled again"),
        };
        let answer = match entry {
            Entry::Admitted(held) => Ok(OwnedPermit::new(PressureGauge::clone(&self.gauge), held)),
            Entry::Refused(reason) => Err(core.rejection(reason)),
            Entry::Waiting(ticket) => {
                if let State::New = self.state {
                    self.state = State::InLine(ticket, Waiting::begins(|| core.clock.now()));
                }
                return Poll::Pending;
            }
        };
        self.waited(if answer.is_ok() { "admitted" } else { "refused" });
        self.state = State::Done;
        Poll::Ready(answer)
    }
}

impl Acquire<'_> {
    #[inline]
    fn waited(&self, result: &'static str) {
        if let State::InLine(_, waiting) = self.state {
            waiting.ends(self.gauge.name(), || self.gauge.core.clock.now(), result);
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Result<OwnedPermit, Rejected>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.state, State::New) && turn::is_over() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answer = self.advance(|| cx.waker().clone());
        turn::goes_on(answer.is_ready());
        answer
    }
}

impl Drop for Acquire<'_> {
    #[inline]
    fn drop(&mut self) {
        if let State::InLine(ticket, _) = self.state {
            self.gauge.core.leave(ticket, self.arrival.places());
            self.waited("left");
        }
    }
}
