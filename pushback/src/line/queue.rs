//! Who waits, who is next, and what became of those whose turn came.
//!
//! Everything here happens under the gauge's lock. A ticket is in exactly one place: waiting, or decided and not yet
//! fetched by its caller, or gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    Line,
    discipline::{Discipline, Moment, Next},
    forecast::{Forecast, Stands},
    pace::Pace,
};
use crate::{arrival::RANKS, outcome::Standing, rejected::Reason};

/// A place in line, in the order of importance, and among equals of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    rank: u8,
    number: u64,
}

/// A call in line.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) cost: u32,
    /// In the order of importance, 0 for the most important.
    pub(crate) rank: u8,
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
    forecast: Forecast,
    waiting: Waiting,
    /// The waiting that have an expiry, soonest first.
    expiries: BTreeSet<(Instant, Ticket)>,
    /// The waiting that cost more than one place, by cost.
    dear: BTreeSet<(u32, Ticket)>,
    decided: BTreeMap<Ticket, Verdict>,
    handed_out: u64,
    left: u64,
    grants: Grants,
    /// How long a turn took when those who wait were last asked whose turn comes too late, in seconds.
    asked_at: f64,
    /// How many have come and gone since.
    changes: usize,
}

/// Those who wait are asked whose turn comes too late once a turn takes so many times as long as when they were last asked,
const SLOWER: f64 = 1.5;
/// or so many times as many have come or gone as wait, so that it costs each of them a bounded time.
const CHANGES: usize = 2;

impl Ticket {
    pub(crate) fn rank(self) -> u8 {
        self.rank
    }
}

impl Queue {
    pub(crate) fn new(line: &Line) -> Self {
        Queue {
            discipline: line.discipline.start(),
            pace: Pace::soon(),
            forecast: Forecast::new(),
            waiting: BTreeMap::new(),
            expiries: BTreeSet::new(),
            dear: BTreeSet::new(),
            decided: BTreeMap::new(),
            handed_out: 0,
            left: 0,
            grants: Grants { part: line.granted_part(), due: 0.0, given: 0 },
            asked_at: f64::INFINITY,
            changes: 0,
        }
    }

    /// Before anything is asked of it: what has changed since by time alone.
    pub(crate) fn look(&mut self, now: Instant, limit: u32) {
        let Queue { discipline, pace, waiting, .. } = self;
        discipline.look(&Look { now, limit, pace, waiting });
    }

    pub(crate) fn push(&mut self, waiter: Waiter) -> Ticket {
        let ticket = Ticket { rank: waiter.rank, number: self.handed_out };
        if self.waiting.is_empty() {
            self.pace.line_begins(waiter.since);
            self.forecast.line_begins(waiter.since);
        }
        self.handed_out += 1;
        if let Some((when, _)) = waiter.expiry {
            self.expiries.insert((when, ticket));
        }
        if waiter.cost > 1 {
            self.dear.insert((waiter.cost, ticket));
        }
        self.forecast.joins(ticket.rank, waiter.cost, waiter.since);
        self.changes += 1;
        self.waiting.insert(ticket, waiter);
        ticket
    }

    /// Whether a call of this rank would be next, before others that wait.
    pub(crate) fn would_be_passed_by(&self, rank: u8) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| self.is_passed_by(rank, first.rank))
    }

    /// Whether a new call of the one rank goes before those of the other.
    fn is_passed_by(&self, rank: u8, other: u8) -> bool {
        rank < other || rank == other && self.discipline.next() == Next::Newest
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<(Ticket, u32)> {
        let (first, last) = (self.waiting.first_key_value()?.0.rank, self.waiting.last_key_value()?.0.rank);
        let least = self.next_of(last)?;
        if first < last && !self.grants.is_due(least.1) { self.next_of(first) } else { Some(least) }
    }

    /// Who is next of a rank, and at what cost.
    fn next_of(&self, rank: u8) -> Option<(Ticket, u32)> {
        let mut of_rank = self.waiting.range(of_rank(rank));
        let (ticket, waiter) = match self.discipline.next() {
            Next::Oldest => of_rank.next(),
            Next::Newest => of_rank.next_back(),
        }?;
        Some((*ticket, waiter.cost))
    }

    /// Who goes first when somebody has to: of the least important, whoever would be served last.
    pub(crate) fn back(&self) -> Option<Ticket> {
        let (last, _) = self.waiting.last_key_value()?;
        match self.discipline.next() {
            Next::Oldest => Some(*last),
            Next::Newest => oldest_of(&self.waiting, last.rank).map(|(ticket, _)| ticket),
        }
    }

    /// Up to which rank, counted from the most important, somebody would make way for a call.
    pub(crate) fn makes_way_for(&self) -> u8 {
        let Some((last, _)) = self.waiting.last_key_value() else { return 0 };
        last.rank + u8::from(self.is_passed_by(last.rank, last.rank))
    }

    /// Places were handed on, past the line or to whoever was next in it.
    pub(crate) fn handed_on(&mut self, rank: u8, now: Instant, places: u32) {
        self.pace.handed_on(now, places);
        let waiting = [self.waiting.first_key_value(), self.waiting.last_key_value()];
        if let [Some((first, _)), Some((last, _))] = waiting {
            self.grants.handed_on(rank, first.rank, last.rank, places);
        }
        self.forecast.handed_on(rank, now, places);
    }

    /// Places were held back, and are no more.
    pub(crate) fn moves_again(&mut self, now: Instant) {
        self.pace.line_begins(now);
        self.forecast.line_begins(now);
    }

    /// Whether the turn of a call that came now would most probably come later than it is refused.
    pub(crate) fn comes_too_late(
        &mut self,
        now: Instant,
        rank: u8,
        cost: u32,
        expiry: Option<Instant>,
    ) -> bool {
        let before = match self.discipline.next() {
            Next::Oldest => self.forecast.stands(rank),
            Next::Newest => Stands::default(),
        };
        let Some(wait) = self.forecast.wait(now, rank, before.and(cost)) else { return false };
        let own = expiry.map(|expiry| expiry.saturating_duration_since(now));
        if own.is_some_and(|patience| wait.is_longer_than(patience)) {
            return true;
        }
        let is_turned_away = self.discipline.wait_max().is_some_and(|wait_max| wait.is_longer_than(wait_max));
        if is_turned_away {
            self.discipline.turned_away();
        }
        is_turned_away
    }

    /// Whose turn will surely come too late, of those who wait; so many of them at most.
    pub(crate) fn too_late(&mut self, now: Instant, at_most: usize) -> Vec<Ticket> {
        let Some(turn) = self.forecast.turn(now) else { return Vec::new() };
        self.asked_at = self.asked_at.min(turn);
        let is_due = turn > SLOWER * self.asked_at || self.changes > CHANGES * self.waiting.len();
        // Where the newest is next, nobody knows how many will come before the others.
        if !is_due || self.expiries.is_empty() || self.discipline.next() == Next::Newest {
            return Vec::new();
        }
        let mut before = [Stands::default(); RANKS as usize];
        let late = self.waiting.iter().filter(|(ticket, waiter)| {
            let before = &mut before[usize::from(ticket.rank)];
            *before = before.and(waiter.cost);
            let Some((expiry, _)) = waiter.expiry else { return false };
            let wait = self.forecast.wait(now, ticket.rank, *before);
            let is_late =
                wait.is_some_and(|wait| wait.is_surely_longer_than(expiry.saturating_duration_since(now)));
            if is_late {
                *before = before.without(waiter.cost);
            }
            is_late
        });
        let late: Vec<Ticket> = late.map(|(ticket, _)| *ticket).take(at_most).collect();
        if late.len() < at_most {
            self.asked_at = turn;
            self.changes = 0;
        }
        late
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

    /// How many calls were served before more important ones, so that they do not starve.
    pub(crate) fn grants(&self) -> u64 {
        self.grants.given
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
        self.forecast.leaves(ticket.rank, waiter.cost);
        self.changes += 1;
        Some(waiter)
    }
}

/// What the least important have of the places, so that they do not starve.
#[derive(Debug)]
struct Grants {
    /// This part of what is handed on while they wait.
    part: f64,
    /// How many places they have to come.
    due: f64,
    /// How many calls of them were served for it.
    given: u64,
}

impl Grants {
    fn is_due(&self, cost: u32) -> bool {
        self.part > 0.0 && self.due >= f64::from(cost)
    }

    /// Places go to a call of this rank, while calls of these wait.
    fn handed_on(&mut self, rank: u8, first: u8, last: u8, places: u32) {
        if rank < last {
            self.due += self.part * f64::from(places);
        } else if first < rank {
            self.due = (self.due - f64::from(places)).max(0.0);
            self.given += 1;
        }
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
    (0..RANKS).filter_map(|rank| oldest_of(waiting, rank)).min_by_key(|(_, since)| *since)
}

fn of_rank(rank: u8) -> RangeInclusive<Ticket> {
    Ticket { rank, number: 0 }..=Ticket { rank, number: u64::MAX }
}

fn oldest_of(waiting: &Waiting, rank: u8) -> Option<(Ticket, Instant)> {
    waiting.range(of_rank(rank)).next().map(|(ticket, waiter)| (*ticket, waiter.since))
}
