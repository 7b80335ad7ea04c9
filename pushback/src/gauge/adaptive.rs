//! A limit that moves: calls are measured, and their controller is told of each that ended.

mod operator;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    ops::RangeInclusive,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    awaiting::Awaiting,
    held::{Began, Held},
    patience::Patience,
    sampling::{Pace, Sampling},
    span::Span,
};
use crate::{
    clock::Ring,
    limit::{Controller, Decision, Sample, Totals},
    outcome::Outcome,
    snapshot::Why,
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, locked},
};

/// No call takes so long that a limit should learn from it; a clock that jumps would say so.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// What a gauge has whose limit moves.
pub(crate) struct Adaptive {
    /// The gauge was built then, by its own clock.
    began: Instant,
    /// If not all are.
    sampling: Option<Sampling>,
    /// An operator keeps the limit where it is.
    is_pinned: AtomicBool,
    timed: AtomicU64,
    unshown: AtomicU64,
    bounds: RangeInclusive<u32>,
    patience: Patience,
    /// Places for which the service does nothing.
    pub(super) awaiting: Awaiting,
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
    /// If the limit is what it is for a moment.
    look: Option<Look>,
    pace: Pace,
    /// If it looks at fewer in flight, who sees to its end.
    rest: Option<Arc<dyn Ring>>,
    /// If only some calls are timed, who sees to it that this ends.
    pacing: Option<Arc<dyn Ring>>,
}

/// A limit that the gauge is to have. They are numbered, so that of two that come from two threads at once the later stays.
pub(crate) struct Move {
    pub(super) limit: u32,
    /// Why, if the controller decided it.
    pub(super) why: Option<Cow<'static, str>>,
    pub(super) number: u64,
    /// If it is for a moment, to see what fewer in flight do.
    pub(super) look: Option<Look>,
}

/// Who is fewer for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    All,
    /// All but the most important.
    Others,
}

/// What the gauge has counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) admitted: u64,
    /// Without the outranked.
    pub(super) refused: u64,
    pub(super) outranked: u64,
}

/// The controller failed: it panicked, or decided for what is no number.
#[derive(Debug, Clone, Copy)]
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
            look: None,
            pace: Pace::default(),
            rest: None,
            pacing: None,
        };
        Adaptive {
            began,
            bounds: learning.controller.bounds(),
            sampling,
            is_pinned: AtomicBool::new(false),
            patience: Patience::default(),
            awaiting: Awaiting::none(),
            timed: AtomicU64::new(0),
            unshown: AtomicU64::new(0),
            learning: Mutex::new(learning),
        }
    }

    /// Whether the call that is being admitted is timed.
    #[inline]
    pub(super) fn chooses(&self) -> bool {
        !self.is_pinned() && self.sampling.as_ref().is_none_or(Sampling::chooses)
    }

    /// A call is timed from now on, whose caller waits until then, if that is known.
    pub(super) fn begin(&self, now: Instant, deadline: Option<Instant>) -> Began {
        self.timed.fetch_add(1, Ordering::Relaxed);
        self.patience.hear(deadline.map(|deadline| deadline.saturating_duration_since(now)));
        Began::after(self.since(now))
    }

    pub(super) fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Tells the controller of a timed call that ended.
    #[inline(never)]
    pub(super) fn observe(
        &self,
        held: Held,
        span: Span,
        now: Instant,
        counted: impl FnOnce() -> Counted,
    ) -> Result<Option<Move>, Failed> {
        let Some((began, in_flight)) = held.measure() else { return Ok(None) };
        let outcome = held.outcome();
        if outcome == Outcome::Ignore {
            self.unshown.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let ended = self.since(now);
        let all = ended.saturating_sub(began);
        if all > TIME_MAX {
            self.unshown.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        let mut learning = self.lock();
        if self.is_pinned() {
            return Ok(None);
        }
        // Under the lock, so that they never go back.
        let totals = self.totals(counted());
        let admitted = totals.admitted;
        let awaiting_client = self.awaiting.kept();
        let (held, answered, is_open) = span.of(all);
        let patience = self.patience.known();
        let sample = Sample {
            began,
            ended,
            held,
            answered,
            is_open,
            in_flight,
            awaiting_client,
            patience,
            outcome,
            totals,
        };
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
            let look = if controller.looks_at_all() { Look::All } else { Look::Others };
            (decision, controller.is_looking().then_some(look))
        }));
        let (decision, look) = told.map_err(|_| Failed)?;
        let Some(decision) = decision else { return Ok(None) };
        self.decided(&mut learning, decision, look, ended)
    }

    /// Nothing is in flight, and nothing came for a while: what becomes of a look then.
    pub(super) fn rest(&self, now: Instant, counted: Counted) -> Result<Option<Move>, Failed> {
        let (now, totals) = (self.since(now), self.totals(counted));
        let mut learning = self.lock();
        if self.is_pinned() {
            return Ok(None);
        }
        let controller = &mut learning.controller;
        let told = catch_unwind(AssertUnwindSafe(|| controller.rest(now, totals)));
        let Some(decision) = told.map_err(|_| Failed)? else { return Ok(None) };
        self.decided(&mut learning, decision, None, now)
    }

    /// The move that follows from a decision, if there is one.
    fn decided(
        &self,
        learning: &mut Learning,
        decision: Decision,
        look: Option<Look>,
        now: Duration,
    ) -> Result<Option<Move>, Failed> {
        if !decision.limit.is_finite() {
            return Err(Failed);
        }
        let (in_force, looked) = (learning.limit, learning.look);
        let (least, most) = (f64::from(*self.bounds.start()), f64::from(*self.bounds.end()));
        let next = learning.move_to(decision.limit.max(least).min(most));
        let has_moved = next.limit != whole(in_force);
        if has_moved {
            *learning.causes.entry(decision.cause).or_default() += 1;
        }
        learning.last = Some((decision.why.clone(), now));
        learning.look = look;
        let changes = has_moved || look != looked;
        Ok(changes.then_some(Move { why: Some(decision.why), look, ..next }))
    }

    fn totals(&self, counted: Counted) -> Totals {
        let Counted { admitted, refused, outranked } = counted;
        let (timed, unshown) = (self.timed.load(Ordering::Relaxed), self.unshown.load(Ordering::Relaxed));
        Totals { admitted, refused, outranked, timed, unshown }
    }

    /// The most that the limit may become by itself.
    pub(super) fn limit_max(&self) -> u32 {
        *self.bounds.end()
    }

    /// Whether from now on only some calls are timed, and nobody sees to that yet.
    pub(super) fn begins_to_pace(&self) -> bool {
        self.sampling.as_ref().is_some_and(|sampling| !sampling.is_of_all()) && self.lock().pacing.is_none()
    }

    pub(super) fn keep_pacing(&self, pacing: Arc<dyn Ring>) {
        self.lock().pacing = Some(pacing);
    }

    /// Looks at how many are admitted without waiting for one that is timed. Whether still only some are.
    pub(super) fn looks_at_pace(&self, now: Instant, admitted: u64) -> bool {
        let Some(sampling) = &self.sampling else { return false };
        let mut learning = self.lock();
        sampling.follow(&mut learning.pace, self.since(now), admitted);
        let goes_on = !sampling.is_of_all();
        if !goes_on {
            learning.pacing = None;
        }
        goes_on
    }

    pub(super) fn keep(&self, rest: Arc<dyn Ring>) {
        self.lock().rest = Some(rest);
    }

    /// Whether no move came after this one.
    pub(super) fn is_in_force(&self, number: u64) -> bool {
        self.lock().moves == number
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
        self.look = None;
        Move { limit: whole(limit), why: None, number: self.moves, look: None }
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
