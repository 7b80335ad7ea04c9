//! What a gauge is, as naively as it can be said.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use pushback::Reason;

/// So long a turn is kept for its caller.
const KEPT: Duration = Duration::from_secs(1);

/// How a call was admitted, in the model's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Real,
    Phantom,
}

#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: u64,
    pub(crate) cost: u32,
    /// 0 is the most important.
    pub(crate) level: usize,
    pub(crate) since: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) expires: Instant,
    pub(crate) why: Reason,
}

/// What a gauge is, as naively as it can be said.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) limit: u32,
    pub(crate) capacity: Option<u32>,
    /// Of equally important calls.
    pub(crate) newest_first: bool,
    pub(crate) wait_max: Duration,
    pub(crate) in_flight: Vec<(u64, u32, Kind)>,
    pub(crate) line: VecDeque<Waiting>,
    pub(crate) decided: BTreeMap<u64, Result<Kind, Reason>>,
    /// Turns that came and are not fetched, and until when each is kept.
    pub(crate) kept: Vec<(Instant, Waiting)>,
    /// Those whose turn went to others.
    pub(crate) aside: BTreeMap<u64, (Instant, Waiting)>,
    pub(crate) passed_on: u64,
    pub(crate) closed: bool,
    pub(crate) paused: bool,
    pub(crate) dry_run: bool,
    pub(crate) admitted: u64,
    pub(crate) left: u64,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    pub(crate) would_refuse: u64,
    pub(crate) would_wait: u64,
}

impl Model {
    /// Nothing of a new gauge has happened yet.
    pub(crate) fn new(limit: u32, capacity: Option<u32>, newest_first: bool, wait_max: Duration) -> Self {
        Model {
            limit,
            capacity,
            newest_first,
            wait_max,
            in_flight: Vec::new(),
            line: VecDeque::new(),
            decided: BTreeMap::new(),
            kept: Vec::new(),
            aside: BTreeMap::new(),
            passed_on: 0,
            closed: false,
            paused: false,
            dry_run: false,
            admitted: 0,
            left: 0,
            refused: BTreeMap::new(),
            would_refuse: 0,
            would_wait: 0,
        }
    }

    pub(crate) fn taken(&self) -> u32 {
        self.in_flight.iter().filter(|(_, _, kind)| *kind == Kind::Real).map(|(_, cost, _)| cost).sum()
    }

    pub(crate) fn fits(&self, cost: u32) -> bool {
        self.taken() + cost <= self.limit
    }

    pub(crate) fn refuse(&mut self, id: u64, cost: u32, reason: Reason) -> Result<Kind, Reason> {
        if self.dry_run && reason != Reason::Closed {
            self.would_refuse += 1;
            self.in_flight.push((id, cost, Kind::Phantom));
            return Ok(Kind::Phantom);
        }
        *self.refused.entry(reason.as_str()).or_default() += 1;
        Err(reason)
    }

    pub(crate) fn admit(&mut self, id: u64, cost: u32) -> Result<Kind, Reason> {
        self.admitted += 1;
        self.in_flight.push((id, cost, Kind::Real));
        Ok(Kind::Real)
    }

    /// The answer to a call that does not wait.
    pub(crate) fn try_acquire(
        &mut self,
        id: u64,
        cost: u32,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Result<Kind, Reason> {
        match self.why_not(cost, deadline, now) {
            None => self.admit(id, cost),
            Some(reason) => self.refuse(id, cost, reason),
        }
    }

    /// The answer to a call that may wait, or `None` if it waits.
    pub(crate) fn acquire(
        &mut self,
        id: u64,
        cost: u32,
        level: usize,
        deadline: Option<Instant>,
        now: Instant,
    ) -> Option<Result<Kind, Reason>> {
        match self.why_not(cost, deadline, now) {
            None => Some(self.admit(id, cost)),
            Some(Reason::Full) => {
                let newest_first = self.newest_first;
                let is_passed = |waiting: &Waiting| level < waiting.level + usize::from(newest_first);
                let goes_first = self.line.front().is_some_and(is_passed);
                if goes_first && !self.paused && self.fits(cost) {
                    return Some(self.admit(id, cost));
                }
                let capacity = self.capacity.unwrap_or(self.limit) as usize;
                let is_full = self.line.len() >= capacity;
                if is_full && !self.line.back().is_some_and(is_passed) {
                    return Some(self.refuse(id, cost, Reason::LineFull));
                }
                if self.dry_run {
                    self.would_wait += 1;
                    self.in_flight.push((id, cost, Kind::Phantom));
                    return Some(Ok(Kind::Phantom));
                }
                let patience = (now + self.wait_max, Reason::WaitedTooLong);
                let (expires, why) = match deadline {
                    Some(deadline) if deadline < patience.0 => (deadline, Reason::DeadlinePassed),
                    _ => patience,
                };
                if is_full {
                    let displaced = self.line.pop_back().unwrap();
                    *self.refused.entry(Reason::Displaced.as_str()).or_default() += 1;
                    self.decided.insert(displaced.id, Err(Reason::Displaced));
                }
                self.stand(Waiting { id, cost, level, since: now, deadline, expires, why });
                None
            }
            Some(reason) => Some(self.refuse(id, cost, reason)),
        }
    }

    /// The call stands where its importance and its number have it.
    fn stand(&mut self, call: Waiting) {
        let newest_first = self.newest_first;
        let place = |waiting: &Waiting| {
            (waiting.level, if newest_first { u64::MAX - waiting.id } else { waiting.id })
        };
        let behind = self.line.iter().take_while(|waiting| place(waiting) < place(&call)).count();
        self.line.insert(behind, call);
    }

    /// The caller looks after its call again, whose turn had gone to others.
    pub(crate) fn rejoin(&mut self, id: u64, now: Instant) {
        if let Some((until, mut call)) = self.aside.remove(&id) {
            // The time since its turn came was its caller's.
            if call.why == Reason::WaitedTooLong {
                call.expires += now - until + KEPT;
                if let Some(deadline) = call.deadline.filter(|deadline| *deadline < call.expires) {
                    (call.expires, call.why) = (deadline, Reason::DeadlinePassed);
                }
            }
            self.stand(call);
            self.settle(now);
        }
    }

    /// The caller has its answer, or leaves it.
    pub(crate) fn fetch(&mut self, id: u64) -> Option<Result<Kind, Reason>> {
        self.kept.retain(|(_, call)| call.id != id);
        self.decided.remove(&id)
    }

    pub(crate) fn why_not(&self, cost: u32, deadline: Option<Instant>, now: Instant) -> Option<Reason> {
        if self.closed {
            Some(Reason::Closed)
        } else if cost > self.limit {
            Some(Reason::CostAboveLimit)
        } else if deadline.is_some_and(|deadline| deadline <= now) {
            Some(Reason::DeadlinePassed)
        } else if !self.line.is_empty() || self.holds_back() || !self.fits(cost) {
            Some(Reason::Full)
        } else {
            None
        }
    }

    /// A pause holds back, but not in a dry run.
    fn holds_back(&self) -> bool {
        self.paused && !self.dry_run
    }

    /// A call that waits, or would, is refused because its turn would come too late: the model has no idea of time to come.
    pub(crate) fn refuse_late(&mut self, id: u64) {
        self.line.retain(|waiting| waiting.id != id);
        *self.refused.entry(Reason::TooLate.as_str()).or_default() += 1;
    }

    /// A call is refused, or rehearsed, though it fits: what is free is kept for more important ones, by what happened before, of which
    /// the model knows nothing. But something runs.
    pub(crate) fn outrank(&mut self, id: u64, cost: u32) -> Result<Kind, Reason> {
        assert!(self.taken() > 0 && self.fits(cost), "nothing is kept free where nothing runs");
        self.refuse(id, cost, Reason::Outranked)
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let kept = self.kept.iter().map(|(until, _)| *until);
        self.line.iter().map(|waiting| waiting.expires).chain(kept).min()
    }

    /// Lets everything happen that must happen now.
    pub(crate) fn settle(&mut self, now: Instant) {
        let (over, kept): (Vec<_>, Vec<_>) = self.kept.drain(..).partition(|(until, _)| *until <= now);
        self.kept = kept;
        for (until, call) in over {
            self.decided.remove(&call.id);
            self.in_flight.retain(|(id, _, _)| *id != call.id);
            self.passed_on += 1;
            self.aside.insert(call.id, (until, call));
        }
        let limit = self.limit;
        let closed = self.closed;
        let why = |waiting: &Waiting| {
            if closed {
                Some(Reason::Closed)
            } else if waiting.cost > limit {
                Some(Reason::CostAboveLimit)
            } else if waiting.expires <= now {
                Some(waiting.why)
            } else {
                None
            }
        };
        let (gone, staying): (Vec<_>, Vec<_>) =
            self.line.drain(..).partition(|waiting| why(waiting).is_some());
        self.line = staying.into();
        for waiting in gone {
            let reason = why(&waiting).unwrap();
            *self.refused.entry(reason.as_str()).or_default() += 1;
            self.decided.insert(waiting.id, Err(reason));
        }
        while let Some(front) = self.line.front().filter(|_| !self.holds_back()) {
            let (id, cost) = (front.id, front.cost);
            let kind = if self.fits(cost) {
                self.admitted += 1;
                Kind::Real
            } else if self.dry_run {
                Kind::Phantom
            } else {
                break;
            };
            let call = self.line.pop_front().unwrap();
            if kind == Kind::Real {
                self.kept.push((now + KEPT, call));
            }
            self.in_flight.push((id, cost, kind));
            self.decided.insert(id, Ok(kind));
        }
    }
}
