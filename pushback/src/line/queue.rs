//! Who waits, who is next, and what became of those whose turn came.
//!
//! Everything here happens under the gauge's lock. A ticket is in exactly one place: waiting, or decided and not yet
//! fetched by its caller, or set aside because its caller did not fetch its turn, or gone.

use std::{
    collections::BTreeSet,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    Line,
    call::{Call, Ticket, Verdict},
    decided::Decided,
    discipline::{Discipline, Moment, Next},
    forecast::{Forecast, Stands},
    waiting::{Waiter, Waiting},
};
use crate::{arrival::RANKS, rejected::Reason};

/// What a caller finds that looks after its call.
#[derive(Debug)]
pub(crate) enum Found {
    Verdict(Verdict),
    /// It waits.
    Waits,
    /// Its turn came, was not fetched, and went to others.
    PassedOn,
}

#[derive(Debug)]
pub(crate) struct Queue {
    discipline: Box<dyn Discipline>,
    forecast: Forecast,
    waiting: Waiting,
    /// The waiting that have an expiry, soonest first.
    expiries: BTreeSet<(Instant, Ticket)>,
    /// The waiting that cost more than one place, by cost.
    dear: BTreeSet<(u32, Ticket)>,
    decided: Decided,
    handed_out: u64,
    left: u64,
    grants: Grants,
    /// Places are held back, whether or not they come back.
    is_held: bool,
    /// Whose turn comes too late, and who are not told yet.
    late: Vec<Ticket>,
    /// How long a turn took when those who wait were last asked whose turn comes too late, in seconds.
    asked_at: f64,
    /// How many have come and gone since.
    changes: usize,
}

/// Those who wait are asked whose turn comes too late once a turn takes so many times as long as when they were last asked,
const SLOWER: f64 = 1.5;
/// or so many times as many have come or gone as wait.
const CHANGES: usize = 2;
/// Whoever comes or goes has so many of those who wait looked at in the mean, at most.
const LOOKS: usize = 8;

impl Queue {
    pub(crate) fn new(line: &Line) -> Self {
        Queue {
            discipline: line.discipline.start(),
            forecast: Forecast::new(),
            waiting: Waiting::default(),
            expiries: BTreeSet::new(),
            dear: BTreeSet::new(),
            decided: Decided::default(),
            handed_out: 0,
            left: 0,
            grants: Grants { part: line.granted_part(), due: 0.0, given: 0 },
            is_held: false,
            late: Vec::new(),
            asked_at: f64::INFINITY,
            changes: 0,
        }
    }

    /// Before anything is asked of it: what has changed since by time alone.
    pub(crate) fn look(&mut self, now: Instant, limit: u32) {
        if let Some((_, cost)) = self.front() {
            self.forecast.next_costs(cost);
        }
        let Queue { discipline, forecast, waiting, .. } = self;
        // A line that is held does not stand by itself.
        if !self.is_held {
            discipline.look(&Look { now, limit, forecast, waiting });
        }
    }

    pub(crate) fn push(&mut self, call: Call, waker: Waker) -> Ticket {
        let ticket = Ticket { rank: call.rank, number: self.handed_out };
        self.handed_out += 1;
        self.insert(ticket, Waiter { call, waker }, call.since);
        ticket
    }

    fn insert(&mut self, ticket: Ticket, waiter: Waiter, now: Instant) {
        let Call { cost, expiry, .. } = waiter.call;
        if let Some((when, _)) = expiry {
            self.expiries.insert((when, ticket));
        }
        if cost > 1 {
            self.dear.insert((cost, ticket));
        }
        self.forecast.joins(ticket.rank, cost, now);
        self.changes += 1;
        self.waiting.insert(ticket, waiter);
    }

    /// Whether a call of this rank would be next, before others that wait.
    pub(crate) fn would_be_passed_by(&self, rank: u8) -> bool {
        let is_passed = self.waiting.first_rank().is_some_and(|first| self.is_passed_by(rank, first));
        let least = self.waiting.last_rank().and_then(|last| self.next_of(last));
        is_passed && !self.is_held && !least.is_some_and(|(_, cost)| self.grants.is_due(cost))
    }

    /// Whether a new call of the one rank goes before those of the other.
    fn is_passed_by(&self, rank: u8, other: u8) -> bool {
        rank < other || rank == other && self.discipline.next() == Next::Newest
    }

    /// Who is next.
    pub(crate) fn front(&self) -> Option<(Ticket, u32)> {
        let (first, last) = (self.waiting.first_rank()?, self.waiting.last_rank()?);
        let least = self.next_of(last)?;
        if first < last && !self.grants.is_due(least.1) { self.next_of(first) } else { Some(least) }
    }

    /// Who is next of a rank, and at what cost.
    fn next_of(&self, rank: u8) -> Option<(Ticket, u32)> {
        let (ticket, call) = match self.discipline.next() {
            Next::Oldest => self.waiting.oldest_of(rank),
            Next::Newest => self.waiting.newest_of(rank),
        }?;
        Some((ticket, call.cost))
    }

    /// Who goes first when somebody has to: of the least important, whoever would be served last.
    pub(crate) fn back(&self) -> Option<Ticket> {
        let last = self.waiting.last_rank()?;
        let back = match self.discipline.next() {
            Next::Oldest => self.waiting.newest_of(last),
            Next::Newest => self.waiting.oldest_of(last),
        };
        back.map(|(ticket, _)| ticket)
    }

    /// Up to which rank, counted from the most important, somebody would make way for a call.
    pub(crate) fn makes_way_for(&self) -> u8 {
        let Some(last) = self.waiting.last_rank() else { return 0 };
        last + u8::from(self.is_passed_by(last, last))
    }

    /// Places were handed on, past the line or to whoever was next in it.
    pub(crate) fn handed_on(&mut self, rank: u8, now: Instant, places: u32) {
        if let (Some(first), Some(last)) = (self.waiting.first_rank(), self.waiting.last_rank()) {
            let least = self.next_of(last).map_or(1, |(_, cost)| cost);
            self.grants.handed_on(rank, first, last, places, least);
        }
        self.forecast.handed_on(rank, now, places);
    }

    /// Places are held back from now on, or are no more.
    pub(crate) fn hold(&mut self, is_held: bool, now: Instant) {
        if self.is_held && !is_held {
            // How long it was says nothing about how fast places come back.
            self.forecast.moves_again(now);
        }
        self.is_held = is_held;
    }

    /// Whether the turn of a call that came now would most probably come later than it is refused.
    pub(crate) fn comes_too_late(
        &mut self,
        now: Instant,
        rank: u8,
        cost: u32,
        expiry: Option<Instant>,
    ) -> bool {
        // Before whom nobody stands waits, whatever it takes: if nobody waited, nobody would ever learn that it takes less than it did.
        if self.is_held || !self.forecast.stands_up_to(rank) {
            return false;
        }
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
        if self.late.is_empty() {
            self.late = self.surely_late(now);
        }
        let told = self.late.len().saturating_sub(at_most);
        let waiting = &self.waiting;
        // Some may have left since they were found.
        self.late.drain(told..).filter(|ticket| waiting.get(*ticket).is_some()).collect()
    }

    fn surely_late(&mut self, now: Instant) -> Vec<Ticket> {
        let Some(turn) = self.forecast.turn(now) else { return Vec::new() };
        self.asked_at = self.asked_at.min(turn);
        let is_slower = turn > SLOWER * self.asked_at && LOOKS * self.changes > self.waiting.len();
        let is_due = is_slower || self.changes > CHANGES * self.waiting.len();
        // While places are held back nobody knows for how long. Where the newest is next, nobody knows how many will come before the
        // others.
        if !is_due || self.is_held || self.expiries.is_empty() || self.discipline.next() == Next::Newest {
            return Vec::new();
        }
        (self.asked_at, self.changes) = (turn, 0);
        let ranks = (0..RANKS).filter_map(|rank| Some((rank, self.forecast.turns(now, rank)?)));
        let late = ranks.flat_map(|(rank, turns)| {
            let mut before = Stands::default();
            self.waiting.of_rank(rank).filter(move |(_, call)| {
                let with = before.and(call.cost);
                let is_late = call.expiry.is_some_and(|(expiry, _)| {
                    turns.wait(with).is_surely_longer_than(expiry.saturating_duration_since(now))
                });
                if !is_late {
                    before = with;
                }
                is_late
            })
        });
        late.map(|(ticket, _)| ticket).collect()
    }

    /// Whether some are known to come too late who are not told yet.
    pub(crate) fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// How long it takes until all who wait have had their turn, if that is known.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        self.forecast.wait_for_all(now)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.waiting.oldest().map(|(_, since)| since)
    }

    /// Whoever has waited for longest, and until when it may do so at present.
    fn overdue(&self) -> Option<(Ticket, Instant)> {
        let wait_max = self.discipline.wait_max().filter(|_| !self.is_held)?;
        let (ticket, since) = self.waiting.oldest()?;
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

    /// When somebody has waited for long enough, or a turn was kept for long enough.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let own = self.expiries.first().map(|(when, _)| *when);
        let overdue = self.overdue().map(|(_, until)| until);
        [own, overdue, self.decided.next_passed_on()].into_iter().flatten().min()
    }

    /// The first waiter whose time is up, and why it is refused.
    pub(crate) fn expired(&self, now: Instant) -> Option<(Ticket, Reason)> {
        let Some((when, ticket)) = self.expiries.first().filter(|(when, _)| *when <= now) else {
            let (ticket, _) = self.overdue().filter(|(_, until)| *until <= now)?;
            return Some((ticket, Reason::WaitedTooLong));
        };
        let expiry = self.waiting.get(*ticket).and_then(|waiter| waiter.call.expiry);
        debug_assert_eq!(expiry.map(|(when, _)| when), Some(*when), "expiries are those of the waiting");
        expiry.map(|(_, reason)| (*ticket, reason))
    }

    /// A waiter that costs more than this limit has.
    pub(crate) fn above(&self, limit: u32) -> Option<Ticket> {
        match limit {
            0 => self.waiting.oldest().map(|(ticket, _)| ticket),
            limit => self.dear.last().filter(|(cost, _)| *cost > limit).map(|(_, ticket)| *ticket),
        }
    }

    /// Takes a waiter out of the line with a verdict that its caller will fetch; gives who is to be woken for it.
    pub(crate) fn decide(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) -> Option<Waker> {
        let Waiter { call, waker } = self.remove(ticket)?;
        self.decided.add(ticket, call, verdict, now);
        Some(waker)
    }

    /// The next turn that its caller has not fetched in time goes to others: how many places it was.
    pub(crate) fn pass_on(&mut self, now: Instant) -> Option<u32> {
        self.decided.pass_on(now)
    }

    /// How many turns went to others.
    pub(crate) fn passed_on(&self) -> u64 {
        self.decided.passed_on()
    }

    /// The verdict, once; until there is one, `waker` and the waker before change places, so that the one that is not
    /// needed is dropped by the caller, outside of the lock.
    pub(crate) fn fetch(&mut self, ticket: Ticket, waker: &mut Waker) -> Found {
        if let Some(waiter) = self.waiting.get_mut(ticket) {
            std::mem::swap(&mut waiter.waker, waker);
            return Found::Waits;
        }
        self.decided.fetch(ticket).map_or(Found::PassedOn, Found::Verdict)
    }

    /// A call whose turn went to others stands where it stood, now that its caller looks after it. It may wait for as long as it could
    /// when its turn came, but not beyond this deadline of its own.
    pub(crate) fn rejoin(&mut self, ticket: Ticket, waker: Waker, now: Instant, deadline: Option<Instant>) {
        if let Some(call) = self.decided.take_aside(ticket, now, deadline) {
            self.insert(ticket, Waiter { call, waker }, now);
        }
    }

    /// The caller gave up. A verdict that it did not fetch is handed back: its place must go to the next.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> (Option<Verdict>, Option<Waiter>) {
        let waiter = self.remove(ticket);
        if waiter.is_some() || self.decided.forget_aside(ticket) {
            self.left += 1;
        }
        (self.decided.fetch(ticket), waiter)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.waiting.remove(ticket)?;
        let Call { cost, expiry, .. } = waiter.call;
        if let Some((when, _)) = expiry {
            self.expiries.remove(&(when, ticket));
        }
        if cost > 1 {
            self.dear.remove(&(cost, ticket));
        }
        self.forecast.leaves(ticket.rank, cost);
        self.changes += 1;
        Some(waiter)
    }
}

/// So many places that are due are given one after the other at most, or as many as a single call costs.
const TOGETHER: u32 = 4;

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

    /// Places go to a call of this rank, while calls of these wait, the next of the least important for so many.
    fn handed_on(&mut self, rank: u8, first: u8, last: u8, places: u32, least: u32) {
        if rank < last {
            // What could not be given at once is not given all together later.
            self.due = (self.due + self.part * f64::from(places)).min(f64::from(least.max(TOGETHER)));
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
    forecast: &'a Forecast,
    waiting: &'a Waiting,
}

impl Moment for Look<'_> {
    fn now(&self) -> Instant {
        self.now
    }

    fn usual_wait(&self) -> Option<Duration> {
        self.forecast.usual_wait(self.limit)
    }

    fn oldest_wait(&self) -> Option<Duration> {
        self.waiting.oldest().map(|(_, since)| self.now.saturating_duration_since(since))
    }
}
