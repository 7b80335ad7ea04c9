//! An operator's word about a limit that moves: where it goes on from, or where it stays.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{Adaptive, Counted, Failed, Learning, Move};
use crate::{
    gauge::sampling::Pace,
    limit::Totals,
    sync::{MutexGuard, Ordering},
};

const SET: &str = "set by an operator";
const PINNED: &str = "pinned by an operator";
const UNPINNED: &str = "unpinned by an operator";

impl Adaptive {
    /// The limit goes on from there, or stays there if it is pinned. Whether its controller failed to hear of it.
    pub(in crate::gauge) fn set(
        &self,
        limit: u32,
        now: Instant,
        counted: impl FnOnce() -> Counted,
    ) -> (Move, Result<(), Failed>) {
        let mut learning = self.lock();
        if self.is_pinned() {
            return (self.keep_at(learning, limit, now), Ok(()));
        }
        learning.said(SET, self.since(now));
        let next = learning.move_to(f64::from(limit));
        let told = learning.measure_anew(self.since(now), self.totals(counted()));
        (next, told)
    }

    /// The limit stays there, and its controller is not asked.
    pub(in crate::gauge) fn pin(&self, limit: u32, now: Instant) -> Move {
        let learning = self.lock();
        self.is_pinned.store(true, Ordering::Relaxed);
        self.keep_at(learning, limit, now)
    }

    /// The controller goes on from the limit in force. Nothing, if it was not pinned.
    pub(in crate::gauge) fn unpin(
        &self,
        now: Instant,
        counted: impl FnOnce() -> Counted,
    ) -> Option<Result<(), Failed>> {
        let mut learning = self.lock();
        if !self.is_pinned() {
            return None;
        }
        self.is_pinned.store(false, Ordering::Relaxed);
        let (counted, now) = (counted(), self.since(now));
        learning.said(UNPINNED, now);
        // What was admitted meanwhile says nothing about how many are admitted a second now.
        learning.pace = Pace::since(now, counted.admitted);
        Some(learning.measure_anew(now, self.totals(counted)))
    }

    /// Whether an operator keeps the limit where it is. It changes under the controller's lock only.
    #[inline]
    pub(in crate::gauge) fn is_pinned(&self) -> bool {
        self.is_pinned.load(Ordering::Relaxed)
    }

    fn keep_at(&self, mut learning: MutexGuard<'_, Learning>, limit: u32, now: Instant) -> Move {
        learning.said(PINNED, self.since(now));
        learning.move_to(f64::from(limit))
    }
}

impl Learning {
    fn said(&mut self, why: &'static str, now: Duration) {
        self.last = Some((Cow::Borrowed(why), now));
    }

    fn measure_anew(&mut self, now: Duration, totals: Totals) -> Result<(), Failed> {
        let controller = &mut self.controller;
        catch_unwind(AssertUnwindSafe(|| controller.measure_anew(now, totals))).map_err(|_| Failed)
    }
}
