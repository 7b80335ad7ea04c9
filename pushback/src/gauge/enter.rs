//! A call that may wait: its way in, its turn, and its leaving.

use std::{sync::Arc, task::Waker, time::Instant};

use super::{
    core::{Core, is_full},
    held::Held,
    locked::{Locked, Miss},
    modes::Mode,
};
use crate::{
    arrival::Arrival,
    line::{
        call::{Call, Ticket},
        queue::Found,
    },
    outcome::{Outcome, Standing},
    rejected::Reason,
    sync::Ordering,
};

/// What became of a call that may wait.
pub(crate) enum Entry {
    Admitted(Held),
    Refused(Reason),
    Waiting(Ticket),
}

impl From<Result<Held, Reason>> for Entry {
    fn from(answer: Result<Held, Reason>) -> Self {
        match answer {
            Ok(held) => Entry::Admitted(held),
            Err(reason) => Entry::Refused(reason),
        }
    }
}

enum Turn {
    Now(Standing),
    Later(Ticket),
}

impl Core {
    /// Admits a call, refuses it, or puts it in line, where `waker` is woken when its turn comes.
    pub(crate) fn enter(self: &Arc<Self>, arrival: Arrival, waker: impl FnOnce() -> Waker) -> Entry {
        self.note(arrival);
        if let Some(answer) = self.at_once(arrival) {
            return answer.into();
        }
        let (cost, rank) = (arrival.places(), arrival.rank());
        let mut waker = Some(waker()); // what is not used is dropped outside of the lock
        let entered = self.with_line(|core, locked, now| {
            // What was seen without the lock is asked again under it.
            core.why_never(cost).map_or(Ok(()), Err)?;
            if arrival.until().is_some_and(|deadline| deadline <= now) {
                return Err(Reason::DeadlinePassed);
            }
            // Whoever is to go or to be served by now does not stand in anybody's way.
            core.serve(locked, now);
            if core.slots.take_if_free(core.need(cost), cost) {
                return Ok(Turn::Now(Standing::Real));
            }
            // Nobody makes way for a call that needs no place in line.
            if locked.queue.would_be_passed_by(rank) && core.slots.take_for_front(core.need(cost), cost) {
                locked.queue.handed_on(rank, now, cost);
                return Ok(Turn::Now(Standing::Real));
            }
            if u32::from(rank) >= core.room(locked) {
                return Err(Reason::LineFull);
            }
            if core.modes.is(Mode::DRY_RUN) {
                locked.rehearsal().begin_phantom(Some(Miss::Waits));
                return Ok(Turn::Now(Standing::Phantom));
            }
            let expiry = core.expiry(arrival, now);
            // Nobody makes way for a call that does not wait, or waits in vain.
            if let Some((_, reason)) = expiry.filter(|(when, _)| *when <= now) {
                return Err(reason);
            }
            if locked.queue.comes_too_late(now, rank, cost, expiry.map(|(when, _)| when)) {
                return Err(Reason::TooLate);
            }
            // A place that came back since then goes to whoever is next when this settles.
            core.make_room(locked, now);
            let waker = waker.take().expect("it is taken once");
            Ok(Turn::Later(locked.queue.push(Call { cost, rank, since: now, expiry }, waker)))
        });
        match entered {
            Ok(Turn::Later(ticket)) => Entry::Waiting(ticket),
            Ok(Turn::Now(place)) => Entry::Admitted(self.held(arrival, place)),
            Err(reason) => self.turn_away(reason, cost).into(),
        }
    }

    /// The answer to a call that may wait, if it needs no lock.
    pub(crate) fn at_once(self: &Arc<Self>, arrival: Arrival) -> Option<Result<Held, Reason>> {
        let cost = arrival.places();
        if arrival.until().is_some_and(|deadline| self.has_passed(deadline)) {
            return Some(self.turn_away(Reason::DeadlinePassed, cost));
        }
        let waits = !self.line.is_for_nobody();
        let is_taken = if waits { self.slots.take(cost) } else { self.take(arrival) };
        if is_taken {
            return Some(Ok(self.held(arrival, Standing::Real)));
        }
        let takes_it = u32::from(arrival.rank()) < self.room.load(Ordering::Relaxed);
        if takes_it && self.why_never(cost).is_none() {
            return None;
        }
        if !waits && self.head_room.is_ranked() {
            match self.take_by_rank(arrival) {
                Ok(()) => return Some(Ok(self.held(arrival, Standing::Real))),
                Err(Reason::Outranked) => return Some(self.turn_away(Reason::Outranked, cost)),
                Err(_) => (),
            }
        }
        Some(self.turn_away(Reason::LineFull, cost))
    }

    /// What became of a call in line: its answer, once, or that it still waits. A refusal was counted when it was
    /// decided.
    pub(crate) fn poll_turn(
        self: &Arc<Self>,
        ticket: Ticket,
        arrival: Arrival,
        waker: impl Fn() -> Waker,
    ) -> Entry {
        loop {
            let mut own = waker(); // whichever is not needed is dropped outside of the lock
            let found = self.opened(&mut self.lock()).queue.fetch(ticket, &mut own);
            match found {
                Found::Verdict(verdict) => return verdict.map(|place| self.held(arrival, place)).into(),
                Found::Waits => return Entry::Waiting(ticket),
                Found::PassedOn => {
                    self.with_line(|_, locked, now| locked.queue.rejoin(ticket, own, now, arrival.until()));
                }
            }
        }
    }

    /// A call in line gives up: its turn, if it had come, goes to the next.
    pub(crate) fn leave(self: &Arc<Self>, ticket: Ticket, cost: u32) {
        let (verdict, waiter) = self.with_line(|_, locked, _| locked.queue.leave(ticket));
        drop(waiter);
        if let Some(Ok(place)) = verdict {
            let mut held = Held::new(cost, place);
            held.record(Outcome::Cancelled);
            self.give_back(held);
        }
    }

    fn expiry(&self, arrival: Arrival, now: Instant) -> Option<(Instant, Reason)> {
        let wait_max = arrival.wait_max().map_or(self.line.wait_max(), |own| own.min(self.line.wait_max()));
        let patience = now.checked_add(wait_max).map(|end| (end, Reason::WaitedTooLong));
        let deadline = arrival.until().map(|end| (end, Reason::DeadlinePassed));
        [patience, deadline].into_iter().flatten().min_by_key(|(end, _)| *end)
    }

    /// In a full line, whoever is least important makes way for a call that the line takes nevertheless.
    fn make_room(&self, locked: &mut Locked, now: Instant) {
        if is_full(self.line.capacity(self.slots.limit()), &locked.queue) {
            if let Some(ticket) = locked.queue.back() {
                self.decide(locked, ticket, Err(Reason::Displaced), now);
            }
        }
    }
}
