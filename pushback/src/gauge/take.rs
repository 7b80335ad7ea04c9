//! Places for a call that waits for none.

use super::{core::Core, ranks::Moment};
use crate::{arrival::Arrival, rejected::Reason};

impl Core {
    /// Takes its places for a call that waits for none, if those above it keep enough.
    #[inline(always)]
    pub(super) fn take(&self, arrival: Arrival) -> bool {
        let cost = arrival.places();
        self.slots.take_if_free(cost.saturating_add(self.head_room.left_by(arrival.rank())), cost)
    }

    /// The same for one that found too few, where calls of several ranks come. Whoever is refused has those below leave more.
    #[cold]
    pub(super) fn take_by_rank(&self, arrival: Arrival) -> Result<(), Reason> {
        let (cost, rank, limit) = (arrival.places(), arrival.rank(), self.slots.limit());
        if cost > limit {
            return Err(Reason::Full);
        }
        let (in_flight, admitted) = self.slots.in_flight_and_admitted();
        let free = u32::try_from(i64::from(limit) - in_flight).unwrap_or(0);
        let moment = Moment { now: self.clock.now(), limit, free, admitted };
        let left = self.head_room.look(rank, moment);
        // Where nothing runs, nobody is above it.
        if self.slots.take_if_free(cost.saturating_add(left).min(limit), cost) {
            return Ok(());
        }
        self.head_room.raise_below(rank, moment);
        Err(if self.slots.has(cost) { Reason::Outranked } else { Reason::Full })
    }
}
