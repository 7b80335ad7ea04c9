//! The place that an answer holds while it is sent, and the two times of its call: when its caller had what it asked for, and how long the
//! service had it.
//!
//! The first is the head, the first part or a later one of a stream, or its end: [`Answered`]. The second ends with the answer, without what
//! its reader took to read. Where the end is the client's affair, because it reads more slowly than the service says, has left, or listens for minutes,
//! the call is told as open, and only the first time counts.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use ::http::{HeaderMap, header::CONTENT_TYPE};

use super::{events::Events, hold_time::Taken};
use crate::{
    gauge::{Span, ToTell},
    outcome::Outcome,
};

/// When a caller has what it waits for. A limit that moves judges the latency of a request by this.
///
/// How long the *service* works on a request is measured separately, to the end of the answer. So
/// this setting does not decide how many requests run at once, but whether they are answered in
/// time, and what a caller who leaves has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Answered {
    /// When the head of the answer is there.
    Head,
    /// When the first part of its body is there, or the head where there is no body. Right for
    /// nearly all.
    #[default]
    FirstData,
    /// When so many events, lines or messages are there, from 1 on. For streams that begin with
    /// some that say nothing.
    ///
    /// It counts in `text/event-stream`, in `application/x-ndjson` and the like, and in gRPC. Of
    /// other answers, it is the first part of the body.
    FirstEvent(u32),
    /// When all of the answer is there.
    End,
}

/// As settings write it: `head`, `first-data`, `first-event:N`, `end`.
impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answered::Head => f.write_str("head"),
            Answered::FirstData => f.write_str("first-data"),
            Answered::FirstEvent(events) => write!(f, "first-event:{events}"),
            Answered::End => f.write_str("end"),
        }
    }
}

/// A place that a request has taken and its answer holds.
#[derive(Debug)]
pub(super) struct Answering {
    permit: Taken,
    /// Of an answer of which something is to be learned behind its head. Apart, for most are short, and are moved a few times.
    times: Option<Box<Times>>,
}

/// The times of a call whose answer is on its way.
#[derive(Debug)]
struct Times {
    /// What its client took.
    not_ours: Duration,
    /// How long the place had been held when its reader began to be awaited, if that is so and matters.
    reader_since: Option<Duration>,
    /// How long the service had it when its caller had what it asked for.
    answered: Option<Duration>,
    is_answered: bool,
    counts: Counts,
    is_over: bool,
}

/// What is counted until a call is answered.
#[derive(Debug)]
enum Counts {
    Parts,
    Events(Events),
    Nothing,
}

impl Times {
    fn is_answered(&mut self, held: Option<Duration>) {
        self.is_answered = true;
        self.answered = held.map(|held| held.saturating_sub(self.not_ours));
        self.counts = Counts::Nothing;
    }

    /// The reader is there again, after the place was held for so long.
    fn reads(&mut self, held: Option<Duration>) {
        if let (Some(since), Some(held)) = (self.reader_since.take(), held) {
            self.not_ours += held.saturating_sub(since);
        }
    }

    fn has(&mut self, data: &[u8]) -> bool {
        match &mut self.counts {
            Counts::Parts => true,
            Counts::Events(events) => events.are_enough(data),
            Counts::Nothing => false,
        }
    }
}

impl Answering {
    /// The head is there; sending the request had taken so long.
    pub(super) fn new(permit: Taken, upload: Duration, answered: Answered, head: &HeaderMap) -> Self {
        let counts = match answered {
            Answered::Head | Answered::End => Counts::Nothing,
            Answered::FirstData => Counts::Parts,
            Answered::FirstEvent(events) => {
                Events::of(head.get(CONTENT_TYPE), events).map_or(Counts::Parts, Counts::Events)
            }
        };
        let held = held_now(&permit);
        let mut times = Times {
            not_ours: upload,
            // Its reader is awaited from now on.
            reader_since: held,
            answered: None,
            is_answered: false,
            counts,
            is_over: false,
        };
        if answered == Answered::Head {
            times.is_answered(held);
        }
        Answering { permit, times: Some(Box::new(times)) }
    }

    /// An answer so short that there is nothing to be learned behind its head.
    pub(super) fn short(mut permit: Taken, upload: Duration) -> Self {
        permit.take_to_tell(Span { not_ours: upload, ..Span::default() }).tell();
        Answering { permit, times: None }
    }

    /// Whether it matters when something happens to it.
    pub(super) fn is_timed(&self) -> bool {
        self.permit.is_timed()
    }

    /// A part of the body goes to its reader, who is awaited from now on.
    pub(super) fn hands_over(&mut self, data: Option<&[u8]>, now: Option<Instant>) {
        let held = now.and_then(|now| self.permit.held_by(now));
        let Some(times) = &mut self.times else { return };
        times.reads(held);
        if data.is_some_and(|data| times.has(data)) {
            times.is_answered(held);
        }
        times.reader_since = held;
    }

    /// The reader is there for the next part.
    pub(super) fn reads(&mut self, now: Option<Instant>) {
        let held = now.and_then(|now| self.permit.held_by(now));
        if let Some(times) = &mut self.times {
            times.reads(held);
        }
    }

    /// Whether the reader now takes this long: then how long the answer lasts is its affair.
    pub(super) fn is_read_slowly(&self, patience: Duration, now: Instant) -> bool {
        let since = self.times.as_ref().and_then(|times| times.reader_since);
        let held = self.permit.held_by(now);
        held.zip(since).is_some_and(|(held, since)| held.saturating_sub(since) >= patience)
    }

    /// The client decides how long it lasts, so it is told by how soon it was answered. Not if the answer has yet to say how it went.
    pub(super) fn take_open(&mut self, now: Instant) -> Option<ToTell> {
        let times = self.times.as_mut()?;
        match self.permit.outcome() {
            Outcome::Cancelled if times.is_answered => self.permit.record(Outcome::Success),
            Outcome::Cancelled => return None,
            _ => (),
        }
        let held = self.permit.held_by(now);
        times.reads(held);
        let answered = times.answered.or_else(|| Some(held?.saturating_sub(times.not_ours)));
        Some(self.permit.take_to_tell(Span { not_ours: times.not_ours, answered, is_open: true }))
    }

    /// Whether its caller has what it asked for.
    pub(super) fn has_answered(&self) -> bool {
        self.times.as_ref().is_none_or(|times| times.is_answered)
    }

    /// The service has said all. How long it had the call, if that is measured.
    pub(super) fn ends(&mut self, now: Option<Instant>) -> Option<Duration> {
        let held = now.and_then(|now| self.permit.held_by(now));
        let times = self.times.as_mut()?;
        times.reads(held);
        times.is_over = true;
        Some(held?.saturating_sub(times.not_ours))
    }

    /// Whether all is known of it.
    pub(super) fn is_over(&self) -> bool {
        self.times.as_ref().is_none_or(|times| times.is_over)
    }
}

/// How long the place has been held, if that matters.
fn held_now(permit: &Taken) -> Option<Duration> {
    if permit.is_timed() { permit.held_by(permit.gauge().now()) } else { None }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(times) = &mut self.times else { return };
        if !times.is_over && !times.is_answered && self.permit.outcome() == Outcome::Success {
            // Its caller went away before it had what it asked for.
            self.permit.record(Outcome::Cancelled);
        }
        if self.permit.is_timed() {
            times.reads(held_now(&self.permit));
            let is_open = !times.is_over && times.is_answered;
            let span = Span { not_ours: times.not_ours, answered: times.answered, is_open };
            self.permit.take_to_tell(span).tell();
        }
    }
}

impl Deref for Answering {
    type Target = Taken;

    fn deref(&self) -> &Taken {
        &self.permit
    }
}

impl DerefMut for Answering {
    fn deref_mut(&mut self) -> &mut Taken {
        &mut self.permit
    }
}
