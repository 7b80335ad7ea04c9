//! A call's time may end before its place comes back: an answer is there, and its reader takes the time that it likes. Only an
//! adapter knows.

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    held::{Began, Held, Measure},
    permit::OwnedPermit,
};

impl OwnedPermit {
    /// The call is answered: its time ends here, less what was not the service's. If it is known how it went, a limit that moves
    /// learns it now, and else when the place comes back.
    pub(crate) fn answered(&mut self, not_ours: Duration, is_known: bool) {
        self.gauge.core.answered(&mut self.held, not_ours, is_known);
    }
}

impl OwnedPermit {
    /// The call begins later than the place was taken: what was before is not the service's time.
    pub(crate) fn begins_later(&mut self, by: Duration) {
        if let Some((Measure::Began(began), in_flight)) = self.held.measure() {
            self.held = self.held.restarted(Began::after(began + by), in_flight);
        }
    }
}

impl Core {
    fn answered(self: &Arc<Self>, held: &mut Held, not_ours: Duration, is_known: bool) {
        let (Some(adaptive), Some((Measure::Began(began), _))) = (&self.adaptive, held.measure()) else {
            return;
        };
        let took = adaptive.since(self.clock.now()).saturating_sub(began);
        held.answered(took.saturating_sub(not_ours));
        if is_known {
            self.learn(*held, adaptive);
            held.told();
        }
    }
}
