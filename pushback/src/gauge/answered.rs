//! A call's two times. Its caller has what he waits for at one, and the service is done with it at another; between them and behind them
//! may be time that its client takes. Only an adapter knows.

use std::time::Duration;
#[cfg(feature = "http")]
use std::{sync::Arc, time::Instant};

#[cfg(feature = "http")]
use super::{
    core::Core,
    held::{Began, Held},
    permit::OwnedPermit,
};
#[cfg(feature = "http")]
use crate::outcome::Outcome;

/// What an adapter knows of a call's times; without one, both are from its admission to its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    /// What its client took to send and to read.
    pub(crate) not_ours: Duration,
    /// How long the service had it when the caller had what he waited for, if that was before its end.
    pub(crate) answered: Option<Duration>,
    /// Its end is its client's affair.
    pub(crate) is_open: bool,
}

impl Span {
    /// How long it was held, how long it took to be answered, and whether it is open, of a call that took so long in all.
    pub(super) fn of(self, all: Duration) -> (Duration, Duration, bool) {
        let held = all.saturating_sub(self.not_ours);
        let answered = self.answered.map_or(held, |answered| answered.min(held));
        let held = if self.is_open { answered } else { held };
        (held, answered, self.is_open)
    }
}

#[cfg(feature = "http")]
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
#[cfg(feature = "http")]
#[must_use = "what is not told is lost"]
pub(crate) struct ToTell {
    told: Option<(Arc<Core>, Held, Span)>,
}

#[cfg(feature = "http")]
impl ToTell {
    pub(crate) fn tell(self) {
        let Some((core, held, span)) = self.told else { return };
        if let Some(adaptive) = &core.adaptive {
            core.learn(held, span, adaptive);
        }
    }
}
