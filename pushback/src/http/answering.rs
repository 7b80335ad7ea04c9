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

/// When a caller has what it waits for: what the latency of a request is judged by under a limit that moves.
///
/// How long the *service* has a request is measured by itself, to the end of the answer. So this is no matter of how many requests run at once,
/// but of whether they are answered in time, and of what a caller who leaves has gone without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Answered {
    /// When the head of the answer is there.
    Head,
    /// When the first part of its body is, or the head where there is no body: what is right for nearly all.
    #[default]
    FirstData,
    /// When so many events, lines or messages are, from 1 on, for streams that begin with some that say nothing: of `text/event-stream`,
    /// `application/x-ndjson` and the like, and gRPC. Of other answers, it is the first part of the body.
    FirstEvent(u32),
    /// When all of it is.
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
    /// What its client took of its time.
    not_ours: Duration,
    /// How long it had been held when its reader began to be awaited, if that is so and matters.
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
        let mut answering = Answering {
            not_ours: upload,
            reader_since: None,
            answered: None,
            is_answered: false,
            counts,
            is_over: false,
            permit,
        };
        // Its reader is awaited from now on.
        let held = answering.held();
        answering.reader_since = held;
        if answered == Answered::Head {
            answering.is_answered(held);
        }
        answering
    }

    /// An answer so short that there is nothing to be learned behind its head.
    pub(super) fn short(permit: Taken, upload: Duration) -> Self {
        let mut answering = Answering::new(permit, upload, Answered::Head, &HeaderMap::new());
        answering.is_over = true;
        answering.tell();
        answering
    }

    /// Whether it matters when something happens to it.
    pub(super) fn is_timed(&self) -> bool {
        self.permit.is_timed()
    }

    fn held(&self) -> Option<Duration> {
        if self.is_timed() { self.permit.held_by(self.permit.gauge().now()) } else { None }
    }

    fn is_answered(&mut self, held: Option<Duration>) {
        self.is_answered = true;
        self.answered = held.map(|held| held.saturating_sub(self.not_ours));
        self.counts = Counts::Nothing;
    }

    /// A part of the body goes to its reader, who is awaited from now on.
    pub(super) fn hands_over(&mut self, data: Option<&[u8]>, now: Option<Instant>) {
        self.reads(now);
        let is_enough = match (&mut self.counts, data) {
            (Counts::Parts, Some(_)) => true,
            (Counts::Events(events), Some(data)) => events.are_enough(data),
            _ => false,
        };
        let held = now.and_then(|now| self.permit.held_by(now));
        if is_enough {
            self.is_answered(held);
        }
        self.reader_since = held;
    }

    /// The reader is there for the next part.
    pub(super) fn reads(&mut self, now: Option<Instant>) {
        let Some(since) = self.reader_since.take() else { return };
        let now = now.unwrap_or_else(|| self.permit.gauge().now());
        self.not_ours += self.permit.held_by(now).map_or(Duration::ZERO, |held| held.saturating_sub(since));
    }

    /// Whether the reader now takes this long: then how long the answer lasts is its affair.
    pub(super) fn is_read_slowly(&self, patience: Duration, now: Instant) -> bool {
        let held = self.permit.held_by(now);
        held.zip(self.reader_since).is_some_and(|(held, since)| held.saturating_sub(since) >= patience)
    }

    /// The client decides how long it lasts, so it is told by how soon it was answered. Not if the answer has yet to say how it went.
    pub(super) fn take_open(&mut self, now: Instant) -> Option<ToTell> {
        match self.permit.outcome() {
            Outcome::Cancelled if self.is_answered => self.permit.record(Outcome::Success),
            Outcome::Cancelled => return None,
            _ => (),
        }
        self.reads(Some(now));
        let answered =
            self.answered.or_else(|| Some(self.permit.held_by(now)?.saturating_sub(self.not_ours)));
        Some(self.permit.take_to_tell(Span { not_ours: self.not_ours, answered, is_open: true }))
    }

    /// Whether its caller has what it asked for.
    pub(super) fn has_answered(&self) -> bool {
        self.is_answered
    }

    /// The service has said all. How long it had the call, if that is measured.
    pub(super) fn ends(&mut self, now: Option<Instant>) -> Option<Duration> {
        self.reads(now);
        self.is_over = true;
        Some(self.permit.held_by(now?)?.saturating_sub(self.not_ours))
    }

    /// Whether all is known of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    fn tell(&mut self) {
        let is_open = !self.is_over && self.is_answered;
        self.permit.take_to_tell(Span { not_ours: self.not_ours, answered: self.answered, is_open }).tell();
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.is_over && !self.is_answered && self.permit.outcome() == Outcome::Success {
            // Its caller went away before it had what it asked for.
            self.permit.record(Outcome::Cancelled);
        }
        if self.is_timed() {
            self.reads(None);
            self.tell();
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
