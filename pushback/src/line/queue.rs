//! Who waits, who is next, and what became of those whose turn came.
//!
//! Everything here happens under the gauge's lock. A ticket is in exactly one place: waiting, or decided and not yet
//! fetched by its caller, or gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    Line,
    discipline::{Discipline, Moment, Next},
    pace::Pace,
};
use crate::{arrival::Priority, outcome::Standing, rejected::Reason};

/// A place in line, in the order of importance, and among equals of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    level: u8,
    number: u64,
}

/// A call in line.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) cost: u32,
    /// The call's priority, 0 for the most important.
    pub(crate) level: u8,
    pub(crate) since: Instant,
    /// When it is refused, and why; `None` waits without a bound.
    pub(crate) expiry: Option<(Instant, Reason)>,
    pub(crate) waker: Waker,
}

/// What became of a call in line.
pub(crate) type Verdict = Result<Standing, Reason>;

type Waiting = BTreeMap<Ticket, Waiter>;

#[derive(Debug)]
pub(crate) struct Queue {
    discipline: Box<dyn Discipline>,
    pace: Pace,
    waiting: Waiting,
    /// The waiting that have an expiry, soonest first.
    expiries: BTreeSet<(Instant, Ticket)>,
    /// The waiting that cost more than one place, by cost.
    dear: BTreeSet<(u32, Ticket)>,
    decided: BTreeMap<Ticket, Verdict>,
    handed_out: u64,
    left: u64,
}

impl Queue {
    pub(crate) fn new(line: &Line) -> Self {
        Queue {
            discipline: line.discipline.start(),
            pace: Pace::default(),
            waiting: BTreeMap::new(),
            expiries: BTreeSet::new(),
            dear: BTreeSet::new(),
            decided: BTreeMap::new(),
            handed_out: 0,
            left: 0,
        }
    }

    /// Before anything is asked of it: what has changed since by time alone.
    pub(crate) fn look(&mut self, now: Instant, limit: u32) {
        let Queue { discipline, pace, waiting, .. } = self;
        discipline.look(&Look { now, limit, pace, waiting });
    }

    pub(crate) fn push(&mut self, waiter: Waiter) -> Ticket {
        let ticket = Ticket { level: waiter.level, number: self.handed_out };
        if self.waiting.is_empty() {
            self.pace.line_begins(waiter.since);
        }
        self.handed_out += 1;
        if let Some((when, _)) = waiter.expiry {
            self.expiries.insert((when, ticket));
        }
        if waiter.cost > 1 {
            self.dear.insert((waiter.cost, ticket));
        }
        self.waiting.insert(ticket, waiter);
        ticket
    }

    /// Whether a call of this level would be next, before others that wait.
    pub(crate) fn would_be_passed_by(&self, level: u8) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| self.is_passed_by(level, first.level))
    }

    /// Whether a new call of the one level goes before those of the other.
    fn is_passed_by(&self, level: u8, other: u8) -> bool {
        level < other || level == other && self.discipline.next() == Next::Newest
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<(Ticket, u32)> {
        let (first, _) = self.waiting.first_key_value()?;
        let (ticket, waiter) = match self.discipline.next() {
            Next::Oldest => self.waiting.first_key_value(),
            Next::Newest => self.waiting.range(..=Ticket { number: u64::MAX, ..*first }).next_back(),
        }?;
        Some((*ticket, waiter.cost))
    }

    /// Who goes first when somebody has to: of the least important, whoever would be served last.
    pub(crate) fn back(&self) -> Option<Ticket> {
        let (last, _) = self.waiting.last_key_value()?;
        match self.discipline.next() {
            Next::Oldest => Some(*last),
            Next::Newest => oldest_of(&self.waiting, last.level).map(|(ticket, _)| ticket),
        }
    }

    /// Up to which level of importance, counted from the most important, somebody would make way for a call.
    pub(crate) fn makes_way_for(&self) -> u8 {
        let Some((last, _)) = self.waiting.last_key_value() else { return 0 };
        last.level + u8::from(self.is_passed_by(last.level, last.level))
    }

    /// A place was handed on, past the line or to whoever was next in it.
    pub(crate) fn handed_on(&mut self, now: Instant, places: u32) {
        self.pace.handed_on(now, places);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        oldest(&self.waiting).map(|(_, since)| since)
    }

    /// Whoever has waited for longest, and until when it may do so at present.
    fn overdue(&self) -> Option<(Ticket, Instant)> {
        let wait_max: Duration = self.discipline.wait_max()?;
        let (ticket, since) = oldest(&self.waiting)?;
        since.checked_add(wait_max).map(|until| (ticket, until))
    }

    /// How many left before their turn.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let own = self.expiries.first().map(|(when, _)| *when);
        [own, self.overdue().map(|(_, until)| until)].into_iter().flatten().min()
    }

    /// The first waiter whose time is up, and why it is refused.
    pub(crate) fn expired(&self, now: Instant) -> Option<(Ticket, Reason)> {
        let Some((when, ticket)) = self.expiries.first().filter(|(when, _)| *when <= now) else {
            let (ticket, _) = self.overdue().filter(|(_, until)| *until <= now)?;
            return Some((ticket, Reason::WaitedTooLong));
        };
        let expiry = self.waiting.get(ticket).and_then(|waiter| waiter.expiry);
        debug_assert_eq!(expiry.map(|(when, _)| when), Some(*when), "expiries are those of the waiting");
        expiry.map(|(_, reason)| (*ticket, reason))
    }

    /// A waiter that costs more than this limit has.
    pub(crate) fn above(&self, limit: u32) -> Option<Ticket> {
        match limit {
            0 => self.waiting.first_key_value().map(|(ticket, _)| *ticket),
            limit => self.dear.last().filter(|(cost, _)| *cost > limit).map(|(_, ticket)| *ticket),
        }
    }

    /// Takes a waiter out of the line with a verdict that its caller will fetch; gives who is to be woken for it.
    pub(crate) fn decide(&mut self, ticket: Ticket, verdict: Verdict) -> Option<Waker> {
        let waiter = self.remove(ticket)?;
        self.decided.insert(ticket, verdict);
        Some(waiter.waker)
    }

    /// The verdict, once; until there is one, `waker` and the waker before change places, so that the one that is not
    /// needed is dropped by the caller, outside of the lock.
    pub(crate) fn fetch(&mut self, ticket: Ticket, waker: &mut Waker) -> Option<Verdict> {
        if let Some(waiter) = self.waiting.get_mut(&ticket) {
            std::mem::swap(&mut waiter.waker, waker);
        }
        self.decided.remove(&ticket)
    }

    /// The caller gave up. A verdict that it did not fetch is handed back: its place must go to the next.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (Option<Verdict>, Option<Waiter>) {
        let waiter = self.remove(ticket);
        if waiter.is_some() {
            self.left += 1;
        }
        (self.decided.remove(&ticket), waiter)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiting.remove(&ticket)?;
        if let Some((when, _)) = waiter.expiry {
            self.expiries.remove(&(when, ticket));
        }
        if waiter.cost > 1 {
            self.dear.remove(&(waiter.cost, ticket));
        }
        Some(waiter)
    }
}

/// The line at a moment, as its discipline sees it.
struct Look<'a> {
    now: Instant,
    limit: u32,
    pace: &'a Pace,
    waiting: &'a Waiting,
}

impl Moment for Look<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn usual_wait(&self) -> Option<Duration> {
        self.pace.usual_wait(self.limit)
    }

    fn oldest_wait(&self) -> Option<Duration> {
        oldest(self.waiting).map(|(_, since)| self.now.saturating_duration_since(since))
    }
}

fn oldest(waiting: &Waiting) -> Option<(Ticket, Instant)> {
    (0..Priority::COUNT).filter_map(|level| oldest_of(waiting, level)).min_by_key(|(_, since)| *since)
}

fn oldest_of(waiting: &Waiting, level: u8) -> Option<(Ticket, Instant)> {
    let of_level = Ticket { level, number: 0 }..=Ticket { level, number: u64::MAX };
    waiting.range(of_level).next().map(|(ticket, waiter)| (*ticket, waiter.since))
}
