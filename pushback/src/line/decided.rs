//! What became of calls in line, until their callers fetch it.
//!
//! A turn that came is a place that is taken. A caller that does not look after its call, such as a future that is kept beside a
//! `select!`, would keep that place from all others. So a turn is kept for a while only; then it goes to others, and the call is set
//! aside until its caller looks after it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::call::{Call, Ticket, Verdict};
use crate::{outcome::Standing, rejected::Reason};

/// So long a turn is kept for a caller that does not fetch it. A task that is woken is run much sooner, also where many are.
const KEPT: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Decided {
    verdicts: BTreeMap<Ticket, (Verdict, Call)>,
    /// The turns among them, and until when each is kept, in the order in which they came. The first has not been fetched.
    turns: VecDeque<(Instant, Ticket)>,
    /// Those whose turn went to others, and until when it was kept.
    aside: BTreeMap<Ticket, (Instant, Call)>,
    passed_on: u64,
}

impl Decided {
    pub(super) fn add(&mut self, ticket: Ticket, call: Call, verdict: Verdict, now: Instant) {
        self.verdicts.insert(ticket, (verdict, call));
        // Nobody is kept from anything by a phantom.
        let until = now.checked_add(KEPT).filter(|_| verdict == Ok(Standing::Real));
        self.turns.extend(until.map(|until| (until, ticket)));
    }

    /// The verdict, once.
    pub(super) fn fetch(&mut self, ticket: Ticket) -> Option<Verdict> {
        let (verdict, _) = self.verdicts.remove(&ticket)?;
        self.forget_fetched();
        Some(verdict)
    }

    fn forget_fetched(&mut self) {
        while self.turns.front().is_some_and(|(_, ticket)| !self.verdicts.contains_key(ticket)) {
            self.turns.pop_front();
        }
    }

    pub(super) fn next_passed_on(&self) -> Option<Instant> {
        self.turns.front().map(|(until, _)| *until)
    }

    /// The next turn that was kept for long enough: how many places it was.
    pub(super) fn pass_on(&mut self, now: Instant) -> Option<u32> {
        let (until, ticket) = *self.turns.front().filter(|(until, _)| *until <= now)?;
        let (_, call) = self.verdicts.remove(&ticket)?;
        self.forget_fetched();
        self.aside.insert(ticket, (until, call));
        self.passed_on += 1;
        Some(call.cost)
    }

    pub(super) fn passed_on(&self) -> u64 {
        self.passed_on
    }

    /// The call that was set aside. The time since its turn came was its caller's, and is none that it waited in line; a deadline of its
    /// own is a moment and stays.
    pub(super) fn take_aside(
        &mut self,
        ticket: Ticket,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Option<Call> {
        let (until, call) = self.aside.remove(&ticket)?;
        let Some((end, Reason::WaitedTooLong)) = call.expiry else { return Some(call) };
        let lost = now.saturating_duration_since(until) + KEPT;
        let patience = end.checked_add(lost).map(|end| (end, Reason::WaitedTooLong));
        let deadline = deadline.map(|end| (end, Reason::DeadlinePassed));
        let expiry = [patience, deadline].into_iter().flatten().min_by_key(|(end, _)| *end);
        Some(Call { expiry, ..call })
    }

    pub(super) fn forget_aside(&mut self, ticket: Ticket) -> bool {
        self.aside.remove(&ticket).is_some()
    }
}
