//! What operators do with a gauge: change its limit, close and drain it, rehearse, look at it.

#[cfg(feature = "http")]
use std::time::{Duration, Instant};
use std::{sync::Arc, task::Waker};

use super::{
    adaptive::{Adaptive, Failed, Move},
    awaiting::Awaiting,
    core::Core,
    locked::Locked,
    modes::Mode,
};
use crate::{snapshot::Snapshot, sync::Ordering, telemetry};

impl Core {
    pub(crate) fn set_limit(self: &Arc<Self>, limit: u32) {
        let before = match &self.adaptive {
            None => self.with_line(|core, _, _| core.change_limit(limit)),
            Some(adaptive) => {
                let (next, told) = adaptive.set(limit, self.clock.now(), || self.counted());
                self.count_faults_of(told);
                self.move_limit(&next)
            }
        };
        telemetry::limit_set(self.name, before, limit);
    }

    pub(crate) fn pin(self: &Arc<Self>, limit: u32) {
        let Some(adaptive) = &self.adaptive else { return self.set_limit(limit) };
        let before = self.move_limit(&adaptive.pin(limit, self.clock.now()));
        telemetry::limit_pinned(self.name, before, limit);
    }

    pub(crate) fn unpin(&self) {
        let Some(adaptive) = &self.adaptive else { return };
        let Some(told) = adaptive.unpin(self.clock.now(), || self.counted()) else { return };
        self.count_faults_of(told);
        telemetry::limit_unpinned(self.name, self.slots.limit());
    }

    /// A controller that panics when it hears of an operator's word keeps nobody from being obeyed.
    fn count_faults_of(&self, told: Result<(), Failed>) {
        if told.is_err() {
            self.count_faults(1);
        }
    }

    /// Moves the limit, unless a later move was quicker; gives the limit before.
    pub(super) fn move_limit(self: &Arc<Self>, next: &Move) -> u32 {
        self.with_line(|core, locked, _| {
            if locked.moved > next.number {
                return core.slots.limit();
            }
            locked.moved = next.number;
            let fewer = core.slots.limit().saturating_sub(next.limit);
            if core.head_room.look_at_fewer(fewer, next.look) {
                return core.slots.limit();
            }
            core.change_limit(next.limit)
        })
    }

    fn change_limit(&self, limit: u32) -> u32 {
        let before = self.slots.limit();
        self.slots.set_limit(limit);
        before
    }

    pub(crate) fn close(self: &Arc<Self>) {
        self.with_line(|core, _, _| core.modes.set(Mode::CLOSED));
        telemetry::closed(self.name);
    }

    /// Closes at the first call, and says whether the last permit is back; if not, `waker` is woken when it is.
    /// `number` is this drain's among others.
    pub(crate) fn poll_drained(self: &Arc<Self>, number: &mut Option<u64>, waker: Waker) -> bool {
        if number.is_none() {
            self.close();
        }
        let mut waker = Some(waker); // whichever is not needed is dropped outside of the lock
        self.with_line(|core, locked, _| {
            let idle = core.is_idle(locked);
            if !idle {
                waker = waker.take().and_then(|waker| locked.drains.wait(number, waker));
            }
            idle
        })
    }

    pub(crate) fn forget_drain(self: &Arc<Self>, number: u64) {
        let forgotten = self.with_line(|_, locked, _| locked.drains.forget(number));
        drop(forgotten);
    }

    pub(crate) fn set_paused(self: &Arc<Self>, on: bool) {
        self.with_line(|core, locked, now| {
            if on {
                core.modes.set(Mode::PAUSED);
            } else {
                core.modes.clear(Mode::PAUSED);
            }
            locked.queue.hold(on, now);
        });
        telemetry::paused_set(self.name, on);
    }

    pub(crate) fn set_dry_run(self: &Arc<Self>, on: bool) {
        self.with_line(|core, locked, _| {
            locked.rehearsal();
            if on { core.modes.set(Mode::DRY_RUN) } else { core.modes.clear(Mode::DRY_RUN) }
        });
        telemetry::dry_run_set(self.name, on);
    }

    #[cfg(feature = "http")]
    pub(crate) fn admitted(&self) -> u64 {
        self.slots.in_flight_and_admitted().1
    }

    /// How long the line is at present: until all who wait have had their turn.
    #[cfg(feature = "http")]
    pub(crate) fn line_wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms.load(Ordering::Relaxed).into())
    }

    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
        // Before the line's lock, for a controller may run under its own.
        let why = self.adaptive.as_ref().map(|adaptive| adaptive.why(now));
        let guard = self.lock();
        let locked = guard.as_deref();
        let limit = self.slots.limit();
        let (in_flight, admitted) = self.slots.in_flight_and_admitted();
        Snapshot {
            name: self.name,
            limit,
            in_flight: u32::try_from(in_flight.max(0)).unwrap_or(u32::MAX),
            awaiting_client: self.awaiting_client(),
            in_line: locked.map_or(0, |locked| u32::try_from(locked.queue.len()).unwrap_or(u32::MAX)),
            oldest_wait: locked
                .and_then(|locked| locked.queue.oldest())
                .map(|since| now.saturating_duration_since(since)),
            admitted,
            refused: self.refused.read(),
            left_line: locked.map_or(0, |locked| locked.queue.left()),
            starvation_grants: locked.map_or(0, |locked| locked.queue.grants()),
            turns_passed_on: locked.map_or(0, |locked| locked.queue.passed_on()),
            retries: self.retries.load(Ordering::Relaxed),
            overloaded: self.ended.overloaded(),
            ignored: self.ended.ignored(),
            cancelled: self.ended.cancelled(),
            closed: self.modes.is(Mode::CLOSED),
            paused: self.modes.is(Mode::PAUSED),
            pinned: self.adaptive.as_deref().is_some_and(Adaptive::is_pinned),
            why,
            dry_run: locked.and_then(|locked| locked.dry_run(self.modes.is(Mode::DRY_RUN))),
            // More places came back than were taken: that cannot be.
            faults: locked.map_or(0, |locked| locked.faults) + self.clock.faults() + u64::from(in_flight < 0),
        }
    }

    pub(super) fn is_idle(&self, locked: &Locked) -> bool {
        // First what is lent: a place that is taken back is in flight before it is lent no more.
        self.lent() == 0 && self.slots.in_flight() <= 0 && locked.phantoms() == 0
    }

    fn awaiting_client(&self) -> u32 {
        let awaiting = self.adaptive.as_ref().map(|adaptive| &adaptive.awaiting);
        let kept = awaiting.map_or(0, Awaiting::kept);
        kept.saturating_add(u32::try_from(self.lent()).unwrap_or(u32::MAX))
    }

    /// Places lent to others: their calls go on.
    fn lent(&self) -> u64 {
        self.adaptive.as_ref().map_or(0, |adaptive| adaptive.awaiting.lent())
    }
}
