//! What changes under the gauge's lock, beside the line.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
    time::Instant,
};

use crate::{
    line::{Line, queue::Queue},
    rejected::Reason,
    snapshot::DryRun,
};

/// Allocated when the lock is first taken: a gauge that never has a line needs none of it.
pub(crate) struct Locked {
    pub(crate) queue: Queue,
    pub(crate) drains: Drains,
    /// What a dry run counted, if there ever was one.
    rehearsal: Option<Box<Rehearsal>>,
    /// The earliest alarm that is set and has not rung.
    pub(crate) alarm: Option<Instant>,
    pub(crate) faults: u64,
    /// The number of the move that is in force, if the limit moves.
    pub(crate) moved: u64,
    /// Who is to be woken once the lock is free.
    pub(crate) wakes: Wakes,
}

impl Locked {
    pub(crate) fn new(line: &Line) -> Box<Self> {
        Box::new(Locked {
            queue: Queue::new(line),
            drains: Drains::default(),
            rehearsal: None,
            alarm: None,
            faults: 0,
            moved: 0,
            wakes: Wakes::default(),
        })
    }

    pub(crate) fn rehearsal(&mut self) -> &mut Rehearsal {
        self.rehearsal.get_or_insert_default()
    }

    /// How many calls run beside the limit.
    pub(crate) fn phantoms(&self) -> u32 {
        self.rehearsal.as_ref().map_or(0, |rehearsal| rehearsal.seen.phantoms)
    }

    pub(crate) fn dry_run(&self, on: bool) -> Option<DryRun> {
        self.rehearsal.as_ref().map(|rehearsal| DryRun { on, ..rehearsal.seen.clone() })
    }
}

/// The dry run's own counts: it leaves the real ones alone, so that switching it off leaves no debt.
#[derive(Default)]
pub(crate) struct Rehearsal {
    seen: DryRun,
}

/// What would have become of a call that a dry run admitted beside the limit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Miss {
    Refused(Reason),
    Waits,
}

impl Rehearsal {
    pub(crate) fn begin_phantom(&mut self, miss: Option<Miss>) {
        self.seen.phantoms = self.seen.phantoms.saturating_add(1);
        match miss {
            Some(Miss::Refused(reason)) => self.seen.would_refuse.count(reason),
            Some(Miss::Waits) => self.seen.would_wait += 1,
            None => (),
        }
    }

    pub(crate) fn end_phantom(&mut self) {
        self.seen.phantoms = self.seen.phantoms.saturating_sub(1);
    }
}

/// Who waits for a closed gauge to become idle.
#[derive(Default)]
pub(crate) struct Drains {
    waiting: Vec<(u64, Waker)>,
    begun: u64,
}

impl Drains {
    /// Notes who waits; gives the waker noted before. `number` is given out at the first call.
    pub(crate) fn wait(&mut self, number: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let mine = *number.get_or_insert_with(|| {
            self.begun += 1;
            self.begun
        });
        let before = self.forget(mine);
        self.waiting.push((mine, waker));
        before
    }

    pub(crate) fn forget(&mut self, number: u64) -> Option<Waker> {
        let index = self.waiting.iter().position(|(other, _)| *other == number)?;
        Some(self.waiting.swap_remove(index).1)
    }

    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        for (_, waker) in self.waiting.drain(..) {
            wakes.push(waker);
        }
    }
}

/// Wakers collected under the lock. The first is kept beside the rest: nearly always there is one, and it should not
/// cost an allocation.
#[derive(Default)]
pub(crate) struct Wakes {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn push(&mut self, waker: Waker) {
        match self.first {
            None => self.first = Some(waker),
            Some(_) => self.rest.push(waker),
        }
    }

    /// Wakes all; says how many of them panicked. One that does must not keep the others from their turn.
    pub(crate) fn wake(self) -> u64 {
        let all = self.first.into_iter().chain(self.rest);
        all.map(|waker| u64::from(catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err())).sum()
    }
}
