//! Who waits, who is next, and what became of those whose turn came.
//!
//! Everything here happens under the gauge's lock. A ticket is in exactly one place: waiting, or decided and not yet
//! fetched by its caller, or gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::Waker,
    time::Instant,
};

use crate::{arrival::Priority, outcome::Standing, rejected::Reason};

/// A place in line: whoever is more important comes first, and among equals whoever came first.
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

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<Ticket, Waiter>,
    /// The waiting that have an expiry, soonest first.
    expiries: BTreeSet<(Instant, Ticket)>,
    /// The waiting that cost more than one place, by cost.
    dear: BTreeSet<(u32, Ticket)>,
    decided: BTreeMap<Ticket, Verdict>,
    handed_out: u64,
    left: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, waiter: Waiter) -> Ticket {
        let ticket = Ticket { level: waiter.level, number: self.handed_out };
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
        self.waiting.first_key_value().is_some_and(|(front, _)| level < front.level)
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<(Ticket, u32)> {
        self.waiting.first_key_value().map(|(ticket, waiter)| (*ticket, waiter.cost))
    }

    /// Who goes first when somebody has to, and how important that call is.
    pub(crate) fn back(&self) -> Option<(Ticket, u8)> {
        self.waiting.last_key_value().map(|(ticket, _)| (*ticket, ticket.level))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        let first_of = |level| self.waiting.range(Ticket { level, number: 0 }..).next();
        (0..Priority::COUNT).filter_map(first_of).map(|(_, waiter)| waiter.since).min()
    }

    /// How many left before their turn.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first().map(|(when, _)| *when)
    }

    /// The first waiter whose time is up, and why it is refused.
    pub(crate) fn expired(&self, now: Instant) -> Option<(Ticket, Reason)> {
        let (when, ticket) = self.expiries.first().filter(|(when, _)| *when <= now)?;
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
