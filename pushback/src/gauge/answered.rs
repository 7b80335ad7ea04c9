//! What becomes known of a call while it holds its place, or of one that holds it on: only an adapter knows.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    core::Core,
    held::{Began, Held},
    permit::OwnedPermit,
    span::Span,
};
use crate::outcome::Outcome;

impl OwnedPermit {
    /// Whether its controller wants to know of this call, and has not been told.
    pub(crate) fn is_timed(&self) -> bool {
        self.is_timed_as(self.held)
    }

    fn is_timed_as(&self, held: Held) -> bool {
        self.gauge.core.adaptive.is_some() && held.measure().is_some()
    }

    /// How it goes, as far as was said.
    pub(crate) fn outcome(&self) -> Outcome {
        self.held.outcome()
    }

    /// How long it had been held by then, if that is to be known.
    pub(crate) fn held_by(&self, now: Instant) -> Option<Duration> {
        let (began, _) = self.held.measure()?;
        Some(self.gauge.core.adaptive.as_ref()?.since(now).saturating_sub(began))
    }

    /// Nothing more is to be learned from the call than this, though its place may be held on.
    pub(crate) fn take_to_tell(&mut self, span: Span) -> ToTell {
        let held = self.held;
        self.held = held.told();
        ToTell { told: self.is_timed_as(held).then(|| (Arc::clone(&self.gauge.core), held, span)) }
    }

    /// The call begins later than the place was taken: what was before is not the service's time.
    pub(crate) fn begins_later(&mut self, by: Duration) {
        if let Some((began, in_flight)) = self.held.measure() {
            self.held = self.held.restarted(Began::after(began + by), in_flight);
        }
    }
}

/// What a limit that moves is to be told of a call, which may move it and wake others: no lock must be held then.
#[must_use = "what is not told is lost"]
pub(crate) struct ToTell {
    told: Option<(Arc<Core>, Held, Span)>,
}

impl ToTell {
    pub(crate) fn tell(self) {
        let Some((core, held, span)) = self.told else { return };
        if let Some(adaptive) = &core.adaptive {
            core.learn(held, span, adaptive);
        }
    }
}
