//! The one way to the line: lock, do one thing, *settle*, unlock, then wake.
//!
//! Settling restores what must hold after every change, so that no single operation has to think of it: whoever is next
//! and fits has its turn, whoever waited long enough is refused, the gate is open exactly while nobody waits and the
//! gauge is not closed, and a drain ends when nothing is left.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    thread,
    time::Instant,
};

use super::{core::Core, locked::Locked, modes::Mode};
use crate::{
    clock::{Alarm, Ring},
    line::queue::{Ticket, Verdict},
    outcome::Standing,
    rejected::Reason,
    sync::{MutexGuard, Ordering},
};

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
        let locked = guard.get_or_insert_default();
        let answer = change(self, locked, now);
        self.settle(locked, now);
        let alarm = self.alarm_due(locked, now);
        let wakes = std::mem::take(&mut locked.wakes);
        drop(guard);
        let panics = u64::from(alarm.is_some_and(|when| self.set_alarm(when).is_err())) + wakes.wake();
        if panics > 0 {
            self.count_faults(panics);
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
                guard.get_or_insert_default().faults += 1;
                #[cfg(not(pushback_loom))]
                self.locked.clear_poison();
                guard
            }
        }
    }

    pub(crate) fn count_faults(&self, faults: u64) {
        self.lock().get_or_insert_default().faults += faults;
    }

    fn settle(&self, locked: &mut Locked, now: Instant) {
        if self.modes.is(Mode::CLOSED) {
            self.end_line(locked);
        } else {
            self.serve_line(locked, now);
        }
        self.room.store(self.room(locked), Ordering::Relaxed);
    }

    pub(super) fn serve_line(&self, locked: &mut Locked, now: Instant) {
        self.refuse_expired(locked, now);
        if !locked.queue.is_empty() {
            self.slots.shut_gate();
        }
        while let Some((ticket, cost)) = locked.queue.front() {
            if self.slots.take_for_front(self.need(cost), cost) {
                self.decide(locked, ticket, Ok(Standing::Real));
            } else if self.modes.is(Mode::DRY_RUN) {
                // It was in line when the dry run began, so it is not one that would have waited: it did.
                locked.rehearsal().begin_phantom(None);
                self.decide(locked, ticket, Ok(Standing::Phantom));
            } else {
                return;
            }
        }
        self.slots.open_gate();
    }

    fn end_line(&self, locked: &mut Locked) {
        self.slots.shut_gate();
        while let Some((ticket, _)) = locked.queue.front() {
            self.decide(locked, ticket, Err(Reason::Closed));
        }
        if self.is_idle(locked) {
            locked.drains.wake_all(&mut locked.wakes);
        }
    }

    pub(super) fn decide(&self, locked: &mut Locked, ticket: Ticket, verdict: Verdict) {
        if let Err(reason) = verdict {
            self.refused.count_wide(reason);
        }
        if let Some(waker) = locked.queue.decide(ticket, verdict) {
            locked.wakes.push(waker);
        }
    }

    /// When an alarm must be set, because the next expiry comes before all that are set. One whose time has come does
    /// not count: if it has not rung by now, perhaps it never will.
    fn alarm_due(&self, locked: &mut Locked, now: Instant) -> Option<Instant> {
        let next = locked.queue.next_expiry()?;
        while locked.alarms.first().is_some_and(|set| *set <= now) {
            locked.alarms.pop_first();
        }
        if locked.alarms.first().is_some_and(|set| *set <= next) {
            return None;
        }
        locked.alarms.insert(next);
        Some(next)
    }

    fn set_alarm(self: &Arc<Self>, when: Instant) -> thread::Result<()> {
        let me = Arc::downgrade(self) as Weak<dyn Ring>; // an alarm must not keep the gauge alive
        catch_unwind(AssertUnwindSafe(|| self.clock.ring_at(when, Alarm::new(me, when))))
    }

    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        self.with_line(|core, locked, _| core.refuse_expired(locked, now));
    }

    fn refuse_expired(&self, locked: &mut Locked, now: Instant) {
        while let Some((ticket, reason)) = locked.queue.expired(now) {
            self.decide(locked, ticket, Err(reason));
        }
    }

    /// When the next call in line will have waited long enough.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.lock().as_ref().and_then(|locked| locked.queue.next_expiry())
    }
}

impl Ring for Core {
    fn ring(self: Arc<Self>, when: Instant) {
        // Settling refuses whose time is up, and sets the next alarm.
        self.with_line(|_, locked, _| locked.alarms.remove(&when));
    }
}
