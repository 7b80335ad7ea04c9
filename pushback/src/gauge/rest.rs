//! The end of a look that nobody is there for.
//!
//! A controller may lower its limit for a moment, to see what fewer in flight do. It learns that from calls, so if the load ends
//! just then, the lowered limit would stay, and refuse the next who come. So a gauge that looks is looked after: when nothing was
//! admitted for a while and nothing is in flight, its controller decides without a call.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{adaptive::Adaptive, core::Core};
use crate::{
    clock::{Alarm, Ring},
    telemetry,
};

/// For how long nobody must come: so short that a line or a person hardly feels it. Whoever is refused by chance in between is
/// admitted when somebody is in flight, so under load this does not come to pass.
const REST: Duration = Duration::from_millis(100);

/// A gauge that looks, and how many calls it had admitted when it was last looked after.
pub(super) struct Rest {
    core: Weak<Core>,
    /// The move by which the look began; any other ends it.
    pub(super) number: u64,
    admitted: u64,
}

impl Core {
    /// Looks after a look that began with this move.
    pub(super) fn await_rest(self: &Arc<Self>, adaptive: &Adaptive, number: u64) {
        let when = self.clock.now() + REST;
        let admitted = self.at_rest().1;
        let rest: Arc<dyn Ring> = Arc::new(Rest { core: Arc::downgrade(self), number, admitted });
        let ring = Arc::downgrade(&rest);
        adaptive.keep(rest);
        self.clock.ring_at(when, Alarm::new(ring, when));
    }

    /// Whether nothing is in flight, and how many calls were admitted.
    pub(super) fn at_rest(&self) -> (bool, u64) {
        let _locked = self.lock();
        let (in_flight, admitted) = self.slots.in_flight_and_admitted();
        (in_flight <= 0, admitted)
    }
}

impl Ring for Rest {
    fn ring(self: Arc<Self>, _when: Instant) {
        let Some(core) = self.core.upgrade() else { return };
        let Some(adaptive) = core.adaptive.as_ref().filter(|adaptive| adaptive.is_in_force(self.number))
        else {
            return;
        };
        let (is_at_rest, admitted) = core.at_rest();
        if !is_at_rest || admitted != self.admitted {
            return core.await_rest(adaptive, self.number);
        }
        match adaptive.rest(core.clock.now(), core.counted()) {
            Ok(None) => (),
            Ok(Some(next)) => {
                let before = core.move_limit(&next);
                telemetry::limit_moved(core.name, before, next.limit, next.why.as_deref());
            }
            Err(_) => core.count_faults(1),
        }
    }
}
