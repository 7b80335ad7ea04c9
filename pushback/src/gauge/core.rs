//! The state that all clones of a gauge share, and a call's way through it.
//!
//! Admitting without a line is [`Slots::take`] and nothing else. What concerns the line goes through
//! [`Core::with_line`], which settles what follows from it.

use std::{sync::Arc, time::Instant};

#[cfg(feature = "metrics")]
use super::label::Moment;
#[cfg(feature = "dashboard")]
use crate::notebook::Notebook;
use crate::{
    arrival::{Arrival, RANKS},
    clock::{Clock, Guarded},
    gauge::{
        adaptive::{Adaptive, Counted, Failed},
        head_room::HeadRoom,
        held::{Began, Held},
        locked::{Locked, Miss},
        modes::{Mode, Modes},
        span::Span,
        tally::{EndedTally, RefusedTally},
    },
    limit::Controller,
    line::{Line, queue::Queue},
    outcome::{Outcome, Standing},
    rejected::{Reason, Rejected},
    slots::{Gate, Slots},
    sync::{AtomicU32, AtomicU64, Mutex, Ordering},
    telemetry,
};

/// In the order of use, so that what different calls write lies a cache line apart wherever the allocator puts it: the
/// admitted write the word, which comes first and so lies beside the counts of the `Arc` that owned permits write; the
/// refused write their counters. Under overload, refusals on all cores then leave the word alone.
#[repr(C)]
pub(crate) struct Core {
    pub(super) slots: Slots,
    /// Up to which rank, counted from the most important, the line takes calls: none, some or all of them.
    /// Published after each change, so that a refusal at a full line takes no lock.
    pub(super) room: AtomicU32,
    /// How long it takes until all who wait have had their turn, published in the same way.
    pub(super) wait_ms: AtomicU32,
    pub(super) modes: Modes,
    pub(super) head_room: HeadRoom,
    /// Beside the word, for every request asks whether somebody watches.
    #[cfg(feature = "dashboard")]
    pub(super) notebook: Notebook,
    pub(super) name: &'static str,
    /// For a limit that moves. Never changed, and beside the word, for every call asks.
    pub(super) adaptive: Option<Box<Adaptive>>,
    pub(super) locked: Mutex<Option<Box<Locked>>>,

    pub(super) refused: RefusedTally,

    pub(super) ended: EndedTally,
    /// How many calls said that they were retries.
    pub(super) retries: AtomicU64,
    pub(super) line: Line,
    pub(super) clock: Guarded,
    #[cfg(feature = "metrics")]
    pub(super) built: Moment,
}

#[cfg(all(target_pointer_width = "64", not(pushback_loom)))]
const _: () = assert!(
    std::mem::offset_of!(Core, refused) - std::mem::offset_of!(Core, slots) >= 64,
    "the admitted and the refused write different cache lines"
);

impl Core {
    pub(crate) fn new(
        name: &'static str,
        limit: u32,
        moves: Option<(Box<dyn Controller>, Option<u64>)>,
        line: Line,
        clock: Arc<dyn Clock>,
    ) -> Arc<Core> {
        let clock = Guarded::new(clock);
        let adaptive =
            moves.map(|(controller, seed)| Box::new(Adaptive::new(controller, limit, clock.now(), seed)));
        Arc::new(Core {
            adaptive,
            slots: Slots::new(limit),
            room: AtomicU32::new(room(line.capacity(limit), &Queue::new(&line))),
            wait_ms: AtomicU32::new(0),
            modes: Modes::new(),
            head_room: HeadRoom::new(),
            refused: RefusedTally::new(),
            ended: EndedTally::new(),
            retries: AtomicU64::new(0),
            name,
            line,
            clock,
            #[cfg(feature = "metrics")]
            built: Moment::next(),
            locked: Mutex::new(None),
            #[cfg(feature = "dashboard")]
            notebook: Notebook::new(),
        })
    }

    /// Admits a call or refuses it, now.
    ///
    /// This is the path that must cost nothing, also under overload: it is small, so that it is inlined into the
    /// caller, and everything unusual is apart from it, because the stores that come with a call make the atomic
    /// operation behind them wait.
    #[inline(always)]
    pub(crate) fn admit(self: &Arc<Self>, arrival: Arrival) -> Result<Held, Rejected> {
        self.note(arrival);
        let cost = arrival.places();
        let in_time = arrival.until().is_none_or(|deadline| !self.has_passed(deadline));
        if in_time && self.take(arrival) {
            return Ok(self.held(arrival, Standing::Real));
        }
        let is_usual = self.modes.all_usual() && !self.head_room.is_ranked();
        if in_time && is_usual && cost <= self.slots.limit() {
            self.refused.count(Reason::Full);
            return Err(self.rejection(Reason::Full));
        }
        let answer =
            if in_time { self.ask_again(arrival) } else { self.turn_away(Reason::DeadlinePassed, cost) };
        answer.map_err(|reason| self.rejection(reason))
    }

    /// A call comes, and is counted if it says that it came before. Most calls do not, and for them this is nothing.
    #[inline]
    pub(crate) fn note(&self, arrival: Arrival) {
        if arrival.is_retry() {
            self.note_retry();
        }
    }

    #[cold]
    pub(crate) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A call that waits for nothing found too few places.
    #[cold]
    fn ask_again(self: &Arc<Self>, arrival: Arrival) -> Result<Held, Reason> {
        let seen = if self.head_room.is_ranked() { self.take_by_rank(arrival) } else { Err(Reason::Full) };
        match seen {
            Ok(()) => Ok(self.held(arrival, Standing::Real)),
            Err(reason) => self.turn_away(reason, arrival.places()),
        }
    }

    /// A call that is admitted, measured from here on if the limit moves.
    #[inline]
    pub(super) fn held(&self, arrival: Arrival, place: Standing) -> Held {
        let held = Held::new(arrival.places(), place);
        match &self.adaptive {
            // What runs beside the limit says nothing about it.
            Some(adaptive) if place == Standing::Real && adaptive.chooses() => {
                let (now, in_flight) = self.time(adaptive, arrival.until());
                held.measured(now, in_flight)
            }
            _ => held,
        }
    }

    /// When a call begins, and how many are in flight then. It gives numbers and not what is held, so that on the way of those that
    /// are not timed everything stays in registers.
    #[inline(never)]
    fn time(&self, adaptive: &Adaptive, deadline: Option<Instant>) -> (Began, u32) {
        let taken = u32::try_from(self.slots.in_flight().max(0)).unwrap_or(u32::MAX);
        let in_flight = taken.saturating_sub(adaptive.awaiting.kept());
        // What a call asks for beyond the limit is no sign that the limit is too small.
        (adaptive.begin(self.clock.now(), deadline), in_flight.min(self.slots.limit()))
    }

    /// The one way back for every place. What is usual is inlined, for the same reason.
    #[inline(always)]
    pub(crate) fn give_back(self: &Arc<Self>, held: Held) {
        if !held.is_usual() {
            self.give_back_unusual(held);
        } else if self.slots.give_back(held.cost()) == Gate::Shut {
            self.look_after_line();
        }
    }

    #[inline(never)]
    fn give_back_unusual(self: &Arc<Self>, held: Held) {
        let outcome = held.outcome();
        if outcome != Outcome::Success {
            self.ended.count(outcome);
        }
        match held.standing() {
            Standing::Real => {
                if self.slots.give_back(held.cost()) == Gate::Shut {
                    self.look_after_line();
                }
            }
            Standing::Phantom => self.give_phantom_back(),
        }
        match &self.adaptive {
            Some(adaptive) if !held.is_unmeasured() => self.learn(held, Span::default(), adaptive),
            _ => (),
        }
    }

    /// Nobody waits for what is decided here.
    #[inline(never)]
    pub(super) fn learn(self: &Arc<Self>, held: Held, span: Span, adaptive: &Adaptive) {
        match adaptive.observe(held, span, self.clock.now(), || self.counted()) {
            Ok(None) => (),
            Ok(Some(next)) => {
                let before = self.move_limit(&next);
                telemetry::limit_moved(self.name, before, next.limit, next.why.as_deref());
                if next.look.is_some() {
                    self.await_rest(adaptive, next.number);
                }
            }
            Err(Failed) => self.count_faults(1),
        }
        if adaptive.begins_to_pace() {
            self.look_after_pace(adaptive);
        }
    }

    pub(super) fn counted(&self) -> Counted {
        let (refused, admitted) = (self.refused.read(), self.slots.in_flight_and_admitted().1);
        let outranked = refused.by(Reason::Outranked);
        Counted { admitted, refused: refused.total() - outranked, outranked }
    }

    #[inline(never)]
    pub(super) fn has_passed(&self, deadline: Instant) -> bool {
        deadline <= self.clock.now()
    }

    /// Why a call of this cost cannot be admitted, however long it waits.
    pub(super) fn why_never(&self, cost: u32) -> Option<Reason> {
        if self.modes.is(Mode::CLOSED) {
            Some(Reason::Closed)
        } else if cost > self.cost_max() {
            Some(Reason::CostAboveLimit)
        } else {
            None
        }
    }

    /// The most that a call may cost: the whole limit, and where that moves, the most that it may become. Under a limit of 0, which
    /// is an operator's word, nothing fits.
    pub(super) fn cost_max(&self) -> u32 {
        match (self.slots.limit(), &self.adaptive) {
            (0, _) => 0,
            (limit, None) => limit,
            (limit, Some(adaptive)) => limit.max(adaptive.limit_max()),
        }
    }

    /// How many places must be free for a call. What the limit is for a moment makes no call impossible: one that costs more needs
    /// all of them, and runs alone.
    pub(super) fn need(&self, cost: u32) -> u32 {
        cost.min(self.slots.limit())
    }

    /// Refuses, or in dry run admits beside the limit; counts either. A closed gauge refuses in dry run too.
    #[inline(never)]
    pub(super) fn turn_away(self: &Arc<Self>, seen: Reason, cost: u32) -> Result<Held, Reason> {
        let mut reason = self.why_never(cost).unwrap_or(seen);
        if matches!(reason, Reason::Full | Reason::LineFull) && self.takes_all_places(cost) {
            return Ok(self.held(Arrival::new().cost(cost), Standing::Real));
        }
        if self.modes.is(Mode::DRY_RUN) {
            match self.admit_phantom(reason) {
                Ok(()) => return Ok(self.held(Arrival::new().cost(cost), Standing::Phantom)),
                Err(other) => reason = other,
            }
        }
        if self.modes.is(Mode::WIDE) {
            self.refused.count_wide(reason);
        } else {
            self.refused.count(reason);
        }
        Err(reason)
    }

    /// Admits a call that costs more than a limit that moves, if nothing else is in flight. Under the lock, where the limit stands
    /// still.
    fn takes_all_places(self: &Arc<Self>, cost: u32) -> bool {
        let may_be = self.adaptive.is_some() && cost > self.slots.limit() && self.slots.in_flight() <= 0;
        may_be
            && self.with_line(|core, _, _| {
                core.why_never(cost).is_none() && core.slots.take_if_free(core.need(cost), cost)
            })
    }

    /// Whether a call would be admitted now, or could wait. Neither a promise nor a count.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn may_take(&self, arrival: Arrival, waits: bool) -> bool {
        let has_room = waits && u32::from(arrival.rank()) < self.room.load(Ordering::Relaxed);
        let need = self.need(arrival.places().saturating_add(if waits {
            0
        } else {
            self.head_room.left_by(arrival.rank())
        }));
        self.slots.has(need) || has_room || self.modes.is(Mode::DRY_RUN)
    }

    /// The error for a call that was refused; it counts nothing.
    #[inline]
    pub(crate) fn rejection(&self, reason: Reason) -> Rejected {
        let in_flight = u32::try_from(self.slots.in_flight().max(0)).unwrap_or(u32::MAX);
        let rejected = Rejected { reason, gauge: self.name, limit: self.slots.limit(), in_flight };
        telemetry::refused(&rejected);
        rejected
    }

    pub(super) fn room(&self, locked: &Locked) -> u32 {
        room(self.line.capacity(self.slots.limit()), &locked.queue)
    }
}

/// Up to which rank a line takes calls: all of them while it is not full, then only those that are more
/// important than somebody in it.
fn room(capacity: u32, queue: &Queue) -> u32 {
    u32::from(if is_full(capacity, queue) { queue.makes_way_for() } else { RANKS })
}

pub(super) fn is_full(capacity: u32, queue: &Queue) -> bool {
    u32::try_from(queue.len()).unwrap_or(u32::MAX) >= capacity
}

/// The dry run.
impl Core {
    /// Asks again under the lock: after a drain or the end of the dry run nobody slips in.
    #[cold]
    fn admit_phantom(self: &Arc<Self>, reason: Reason) -> Result<(), Reason> {
        self.with_line(|core, locked, _| {
            if core.modes.is(Mode::CLOSED) {
                return Err(Reason::Closed);
            }
            if !core.modes.is(Mode::DRY_RUN) {
                return Err(reason);
            }
            locked.rehearsal().begin_phantom(Some(Miss::Refused(reason)));
            Ok(())
        })
    }

    #[cold]
    fn give_phantom_back(self: &Arc<Self>) {
        self.with_line(|_, locked, _| locked.rehearsal().end_phantom());
    }
}
