//! Fewer calls after many.
//!
//! Where thousands a second are admitted, few are timed, and only those say how many there are. If they became fewer suddenly, nobody would
//! say so for minutes. So as long as only some are timed, somebody looks each second.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{adaptive::Adaptive, core::Core};
use crate::clock::{Alarm, Ring};

const LOOKS: Duration = Duration::from_secs(1);

struct Pacing {
    core: Weak<Core>,
}

impl Core {
    /// Looks after which calls are timed, from now on until all are.
    pub(super) fn look_after_pace(self: &Arc<Self>, adaptive: &Adaptive) {
        let pacing: Arc<dyn Ring> = Arc::new(Pacing { core: Arc::downgrade(self) });
        let ring = Arc::downgrade(&pacing);
        adaptive.keep_pacing(pacing);
        self.look_at_pace_later(ring);
    }

    fn look_at_pace_later(&self, ring: Weak<dyn Ring>) {
        let when = self.clock.now() + LOOKS;
        self.clock.ring_at(when, Alarm::new(ring, when));
    }
}

impl Ring for Pacing {
    fn ring(self: Arc<Self>, _when: Instant) {
        let Some(core) = self.core.upgrade() else { return };
        let Some(adaptive) = &core.adaptive else { return };
        let admitted = core.at_rest().1;
        if adaptive.looks_at_pace(core.clock.now(), admitted) {
            core.look_at_pace_later(Arc::downgrade(&self) as Weak<dyn Ring>);
        }
    }
}
