//! The one way to the line: lock, do one thing, *settle*, unlock, then wake.
//!
//! Settling restores what must hold after every change, so that no single operation has to think of it: whoever is next
//! and fits has its turn, whoever waited long enough is refused, the gate is open exactly while nobody waits and the
//! gauge is not closed, and a drain ends when nothing is left.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use super::{core::Core, locked::Locked, modes::Mode};
use crate::{
    clock::{Alarm, Ring},
    line::call::{Ticket, Verdict},
    outcome::{Outcome, Standing},
    rejected::Reason,
    sync::{MutexGuard, Ordering},
};

/// How many calls are decided while nobody else has the lock: a line may be as long as a million.
const AT_ONCE: usize = 256;

impl Core {
    #[cold]
    pub(super) fn look_after_line(self: &Arc<Self>) {
        self.with_line(|_, _, _| ());
    }

    /// Does one thing under the lock, settles what follows from it, and wakes whom it concerns after the lock is
    /// gone: neither wakers nor clocks, which are other people's code, run under it.
    pub(super) fn with_line<T>(self: &Arc<Self>, change: impl FnOnce(&Core, &mut Locked, Instant) -> T) -> T {
        let now = self.clock.now();
        let mut guard = self.lock();
        if !self.modes.is(Mode::WIDE) {
            self.refused.widen();
            self.modes.set(Mode::WIDE);
        }
        let locked = self.opened(&mut guard);
        locked.queue.look(now, self.slots.limit());
        self.pass_turns_on(locked, now);
        let answer = change(self, locked, now);
        while !self.settle(guard, now) {
            guard = self.lock();
        }
        answer
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Box<Locked>>> {
        match self.locked.lock() {
            Ok(guard) => guard,
            // A panic under the lock would be a bug of ours. What it left is settled by whoever comes next, and
            // shows in the snapshot: better than a service that refuses everything from then on.
            Err(poisoned) => {
                let mut guard = poisoned.into_inner();
                self.opened(&mut guard).faults += 1;
                #[cfg(not(pushback_loom))]
                self.locked.clear_poison();
                guard
            }
        }
    }

    pub(crate) fn count_faults(&self, faults: u64) {
        self.opened(&mut self.lock()).faults += faults;
    }

    pub(super) fn opened<'a>(&self, guard: &'a mut MutexGuard<'_, Option<Box<Locked>>>) -> &'a mut Locked {
        guard.get_or_insert_with(|| Locked::new(&self.line))
    }

    /// Whether nothing more follows. If much does, others have the lock in between.
    fn settle(self: &Arc<Self>, mut guard: MutexGuard<'_, Option<Box<Locked>>>, now: Instant) -> bool {
        let locked = self.opened(&mut guard);
        let is_settled = if self.modes.is(Mode::CLOSED) {
            self.end_line(locked, now, AT_ONCE)
        } else {
            self.serve(locked, now)
        };
        self.room.store(self.room(locked), Ordering::Relaxed);
        self.publish_wait(locked, now);
        let alarm = self.alarm_due(locked, now);
        let wakes = std::mem::take(&mut locked.wakes);
        drop(guard);
        if let Some(when) = alarm {
            self.set_alarm(when);
        }
        let panics = wakes.wake();
        if panics > 0 {
            self.count_faults(panics);
        }
        is_settled
    }

    /// Whoever is to go goes, and whoever is next and fits has its turn. Says whether those were all.
    pub(super) fn serve(&self, locked: &mut Locked, now: Instant) -> bool {
        self.refuse_expired(locked, now, AT_ONCE)
            && self.refuse_impossible(locked, now, AT_ONCE)
            && self.serve_line(locked, now, AT_ONCE)
            && self.refuse_late(locked, now, AT_ONCE)
    }

    fn serve_line(&self, locked: &mut Locked, now: Instant, at_most: usize) -> bool {
        let is_paused = self.modes.is(Mode::PAUSED) && !self.modes.is(Mode::DRY_RUN);
        if is_paused || !locked.queue.is_empty() {
            self.slots.shut_gate();
        }
        if is_paused {
            return true;
        }
        for _ in 0..at_most {
            let Some((ticket, cost)) = locked.queue.front() else {
                self.slots.open_gate();
                return true;
            };
            if self.slots.take_for_front(self.need(cost), cost) {
                locked.queue.handed_on(ticket.rank(), now, cost);
                self.decide(locked, ticket, Ok(Standing::Real), now);
                locked.queue.look(now, self.slots.limit());
            } else if self.modes.is(Mode::DRY_RUN) {
                // It was in line when the dry run began, so it is not one that would have waited: it did.
                locked.rehearsal().begin_phantom(None);
                self.decide(locked, ticket, Ok(Standing::Phantom), now);
            } else {
                return true;
            }
        }
        false
    }

    fn end_line(&self, locked: &mut Locked, now: Instant, at_most: usize) -> bool {
        self.slots.shut_gate();
        for _ in 0..at_most {
            let Some((ticket, _)) = locked.queue.front() else {
                if self.is_idle(locked) {
                    locked.drains.wake_all(&mut locked.wakes);
                }
                return true;
            };
            self.decide(locked, ticket, Err(Reason::Closed), now);
        }
        false
    }

    /// Turns that nobody fetches go to others, as if their callers had left.
    fn pass_turns_on(&self, locked: &mut Locked, now: Instant) {
        while let Some(cost) = locked.queue.pass_on(now) {
            self.ended.count(Outcome::Cancelled);
            self.slots.give_back(cost);
        }
    }

    pub(super) fn decide(&self, locked: &mut Locked, ticket: Ticket, verdict: Verdict, now: Instant) {
        if let Err(reason) = verdict {
            self.refused.count_wide(reason);
        }
        if let Some(waker) = locked.queue.decide(ticket, verdict, now) {
            locked.wakes.push(waker);
        }
    }

    /// When an alarm must be set, because the next expiry comes before the one that is. One whose time has come does
    /// not count: if it has not rung by now, perhaps it never will.
    fn alarm_due(&self, locked: &mut Locked, now: Instant) -> Option<Instant> {
        let next = locked.queue.next_expiry()?;
        if locked.alarm.is_some_and(|set| set > now && set <= next) {
            return None;
        }
        locked.alarm = Some(next);
        Some(next)
    }

    fn set_alarm(self: &Arc<Self>, when: Instant) {
        let me = Arc::downgrade(self) as Weak<dyn Ring>; // an alarm must not keep the gauge alive
        self.clock.ring_at(when, Alarm::new(me, when));
    }

    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        while !self.with_line(|core, locked, _| core.refuse_expired(locked, now, AT_ONCE)) {}
    }

    /// Those who have waited too long go, of so many at most; says whether that were all.
    fn refuse_expired(&self, locked: &mut Locked, now: Instant, at_most: usize) -> bool {
        for _ in 0..at_most {
            let Some((ticket, reason)) = locked.queue.expired(now) else { return true };
            self.decide(locked, ticket, Err(reason), now);
        }
        false
    }

    /// Those who can never fit must not stand in the way of others.
    fn refuse_impossible(&self, locked: &mut Locked, now: Instant, at_most: usize) -> bool {
        for _ in 0..at_most {
            let Some(ticket) = locked.queue.above(self.cost_max()) else { return true };
            self.decide(locked, ticket, Err(Reason::CostAboveLimit), now);
        }
        false
    }

    /// Those whose turn cannot come in time any more need not wait for it to be sure.
    fn refuse_late(&self, locked: &mut Locked, now: Instant, at_most: usize) -> bool {
        for ticket in locked.queue.too_late(now, at_most) {
            self.decide(locked, ticket, Err(Reason::TooLate), now);
        }
        !locked.queue.has_late()
    }

    /// How long the line is at present, for those who are refused without the lock.
    fn publish_wait(&self, locked: &Locked, now: Instant) {
        let wait = locked.queue.wait(now).map_or(0, |wait| wait.as_millis());
        self.wait_ms.store(u32::try_from(wait).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// When the next call in line will have waited long enough, or a turn was kept for long enough.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.lock().as_ref().and_then(|locked| locked.queue.next_expiry())
    }
}

impl Ring for Core {
    fn ring(self: Arc<Self>, when: Instant) {
        // Settling refuses whose time is up, and sets the next alarm.
        self.with_line(|_, locked, _| {
            if locked.alarm == Some(when) {
                locked.alarm = None;
            }
        });
    }
}
