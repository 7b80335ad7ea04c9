//! A limit that moves: calls are measured, and their controller is told of each that ended.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use super::{
    held::{Began, Held, Measure},
    sampling::{Pace, Sampling},
};
use crate::{
    limit::{Controller, Sample, Totals},
    outcome::Outcome,
    snapshot::Why,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, locked},
};

/// What a gauge has whose limit moves.
pub(crate) struct Adaptive {
    /// The gauge was built then, by its own clock.
    began: Instant,
    /// If not all are.
    sampling: Option<Sampling>,
    timed: AtomicU64,
    unshown: AtomicU64,
    learning: Mutex<Learning>,
}

struct Learning {
    controller: Box<dyn Controller>,
    /// The limit with its fraction.
    limit: f64,
    /// How many moves there were, in all and by cause.
    moves: u64,
    causes: BTreeMap<&'static str, u64>,
    /// What was last decided, and when.
    last: Option<(Cow<'static, str>, Duration)>,
    pace: Pace,
}

/// A limit that the gauge is to have. They are numbered, so that of two that come from two threads at once the later stays.
pub(crate) struct Move {
    pub(super) limit: u32,
    /// Why, if the controller decided it.
    pub(super) why: Option<Cow<'static, str>>,
    pub(super) number: u64,
}

/// The controller failed: it panicked, or decided for what is no number.
pub(crate) struct Failed;

impl Adaptive {
    pub(super) fn new(
        controller: Box<dyn Controller>,
        limit: u32,
        began: Instant,
        seed: Option<u64>,
    ) -> Self {
        let sampling = (!controller.needs_every_call()).then(|| Sampling::of_all(seed));
        let learning = Learning {
            controller,
            limit: f64::from(limit),
            moves: 0,
            causes: BTreeMap::new(),
            last: None,
            pace: Pace::default(),
        };
        Adaptive {
            began,
            sampling,
            timed: AtomicU64::new(0),
            unshown: AtomicU64::new(0),
            learning: Mutex::new(learning),
        }
    }

    /// Whether the call that is being admitted is timed.
    #[inline]
    pub(super) fn chooses(&self) -> bool {
        self.sampling.as_ref().is_none_or(Sampling::chooses)
    }

    /// A call is timed from now on.
    pub(super) fn begin(&self, now: Instant) -> Began {
        self.timed.fetch_add(1, Ordering::Relaxed);
        Began::after(self.since(now))
    }

    pub(super) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// An operator sets the limit; its controller goes on from there.
    pub(super) fn set(&self, limit: u32, now: Instant) -> Move {
        let mut learning = self.lock();
        learning.last = Some((Cow::Borrowed("set by an operator"), self.since(now)));
        learning.move_to(f64::from(limit))
    }

    /// Tells the controller of a timed call that ended.
    #[inline(never)]
    pub(super) fn observe(
        &self,
        held: Held,
        now: Instant,
        counted: impl FnOnce() -> (u64, u64),
    ) -> Result<Option<Move>, Failed> {
        let Some((measure, in_flight)) = held.measure() else { return Ok(None) };
        let outcome = held.outcome();
        if outcome == Outcome::Ignore {
            self.unshown.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let ended = self.since(now);
        let began = match measure {
            Measure::Began(began) => began,
            Measure::Took(took) => ended.saturating_sub(took),
        };
        let mut learning = self.lock();
        // Under the lock, so that they never go back.
        let (admitted, refused) = counted();
        let totals = Totals {
            admitted,
            refused,
            timed: self.timed.load(Ordering::Relaxed),
            unshown: self.unshown.load(Ordering::Relaxed),
        };
        let sample = Sample { began, ended, in_flight, outcome, totals };
        if let Some(sampling) = &self.sampling {
            sampling.follow(&mut learning.pace, ended, admitted);
        }
        let in_force = learning.limit;
        if in_force == 0.0 {
            return Ok(None); // an operator wants nothing admitted
        }
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
        let has_moved = next.limit != whole(in_force);
        if has_moved {
            *learning.causes.entry(decision.cause).or_default() += 1;
        }
        learning.last = Some((decision.why.clone(), ended));
        Ok(has_moved.then_some(Move { why: Some(decision.why), ..next }))
    }

    /// A call was refused because it costs more than the limit, which would go on for ever if nothing that is cheaper comes: so much
    /// must fit, unless an operator wants nothing admitted or the bounds forbid it.
    pub(super) fn must_fit(&self, cost: u32) -> Option<Move> {
        let mut learning = self.lock();
        let bounds = learning.controller.bounds();
        let is_wanted = learning.limit >= 1.0 && learning.limit < f64::from(cost) && bounds.contains(&cost);
        is_wanted.then(|| learning.move_to(f64::from(cost)))
    }

    /// Why the limit stands where it does.
    pub(super) fn why(&self, now: Instant) -> Why {
        let learning = self.lock();
        let last = learning.last.as_ref();
        Why {
            reason: last.map(|(why, _)| why.clone()),
            ago: last.map_or(Duration::ZERO, |(_, decided)| self.since(now).saturating_sub(*decided)),
            moves: learning.causes.clone(),
            timed: self.timed.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Learning> {
        // Controllers do not panic under it, for that is caught.
        locked(&self.learning)
    }
}

impl Learning {
    fn move_to(&mut self, limit: f64) -> Move {
        self.limit = limit;
        self.moves += 1;
        Move { limit: whole(limit), why: None, number: self.moves }
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
