//! A limit that moves: calls are measured, and their controller is told of each that ended.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
    time::{Duration, Instant},
};

use super::held::{Held, Measure};
use crate::{
    limit::{Controller, Sample},
    outcome::Outcome,
    sync::{Mutex, MutexGuard},
};

/// What a gauge has whose limit moves.
pub(crate) struct Adaptive {
    /// The gauge was built then, by its own clock.
    began: Instant,
    learning: Mutex<Learning>,
}

struct Learning {
    controller: Box<dyn Controller>,
    /// The limit with its fraction.
    limit: f64,
    /// How many moves there were.
    moves: u64,
}

/// A limit that the gauge is to have. They are numbered, so that of two that come from two threads at once the later stays.
pub(crate) struct Move {
    pub(super) limit: u32,
    pub(super) number: u64,
}

/// What a gauge has counted by now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    pub(super) admitted: u64,
    pub(super) refused: u64,
}

/// The controller failed: it panicked, or decided for what is no number.
pub(crate) struct Failed;

impl Adaptive {
    pub(super) fn new(controller: Box<dyn Controller>, limit: u32, began: Instant) -> Self {
        let limit = f64::from(limit);
        Adaptive { began, learning: Mutex::new(Learning { controller, limit, moves: 0 }) }
    }

    pub(super) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// An operator sets the limit; its controller goes on from there.
    pub(super) fn set(&self, limit: u32) -> Move {
        self.lock().move_to(f64::from(limit))
    }

    /// Tells the controller of a call that ended.
    #[inline(never)]
    pub(super) fn observe(&self, held: Held, now: Instant, totals: Totals) -> Result<Option<Move>, Failed> {
        let outcome = held.outcome();
        let Some((measure, in_flight)) = held.measure().filter(|_| outcome != Outcome::Ignore) else {
            return Ok(None);
        };
        let ended = self.since(now);
        let began = match measure {
            Measure::Began(began) => began,
            Measure::Took(took) => ended.saturating_sub(took),
        };
        let Totals { admitted, refused } = totals;
        let sample = Sample { began, ended, in_flight, outcome, admitted, refused };
        let mut learning = self.lock();
        let in_force = learning.limit;
        let controller = &mut learning.controller;
        let told = catch_unwind(AssertUnwindSafe(|| {
            let decision = controller.observe(&sample, in_force);
            decision.map(|decision| (decision, controller.bounds()))
        }));
        let Some((decision, bounds)) = told.map_err(|_| Failed)? else { return Ok(None) };
        if !decision.limit.is_finite() {
            return Err(Failed);
        }
        let next = decision.limit.max(f64::from(*bounds.start())).min(f64::from(*bounds.end()));
        let next = learning.move_to(next);
        Ok((next.limit != whole(in_force)).then_some(next))
    }

    fn lock(&self) -> MutexGuard<'_, Learning> {
        // Controllers do not panic under it, for that is caught.
        self.learning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Learning {
    fn move_to(&mut self, limit: f64) -> Move {
        self.limit = limit;
        self.moves += 1;
        Move { limit: whole(limit), number: self.moves }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, and there is no place in a fraction")]
fn whole(limit: f64) -> u32 {
    limit as u32
}

impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Adaptive")
    }
}
