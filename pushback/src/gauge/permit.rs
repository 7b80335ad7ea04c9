//! The place in flight.

use std::{fmt, mem::ManuallyDrop};

use super::{PressureGauge, held::Held};
use crate::outcome::Outcome;

/// A place in flight, borrowed from its gauge. Dropping it gives the place back.
///
/// That happens exactly once, whatever ends the call: a return, `?`, a panic, a cancelled future.
///
/// Work that outlives its caller must take the permit along, or the place is free while the work
/// still runs. An example is `spawn_blocking`: when the caller's future is dropped, the closure
/// runs on.
///
/// ```
/// # use pushback::PressureGauge;
/// # async fn handler(gauge: PressureGauge) -> Result<(), Box<dyn std::error::Error>> {
/// let permit = gauge.try_acquire()?.into_owned();
/// let report = tokio::task::spawn_blocking(move || {
///     let _permit = permit; // moved in: the place is held until the work ends, not until the caller goes
///     expensive_report()
/// })
/// .await?;
/// # let () = report;
/// # Ok(())
/// # }
/// # fn expensive_report() {}
/// ```
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct Permit<'gauge> {
    gauge: &'gauge PressureGauge,
    held: Held,
}

/// A place in flight that can be moved anywhere: into another thread, a task, a response's body.
///
/// Otherwise it is like a [`Permit`].
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct OwnedPermit {
    pub(super) gauge: PressureGauge,
    pub(super) held: Held,
}

impl<'gauge> Permit<'gauge> {
    #[inline]
    pub(super) fn new(gauge: &'gauge PressureGauge, held: Held) -> Self {
        Permit { gauge, held }
    }

    /// How many places the call takes.
    pub fn cost(&self) -> u32 {
        self.held.cost()
    }

    /// Says how the call went. The last one before the drop counts; see [`Outcome`] for what counts
    /// without one.
    pub fn record(&mut self, outcome: Outcome) {
        self.held.record(outcome);
    }

    /// The same place, free to be moved.
    #[inline]
    pub fn into_owned(self) -> OwnedPermit {
        // The place goes over to the new permit, so this one must not give it back.
        let this = ManuallyDrop::new(self);
        OwnedPermit { gauge: this.gauge.clone(), held: this.held }
    }
}

impl OwnedPermit {
    pub(super) fn new(gauge: PressureGauge, held: Held) -> Self {
        OwnedPermit { gauge, held }
    }

    /// How many places the call takes.
    pub fn cost(&self) -> u32 {
        self.held.cost()
    }

    /// Says how the call went. The last one before the drop counts; see [`Outcome`] for what counts
    /// without one.
    pub fn record(&mut self, outcome: Outcome) {
        self.held.record(outcome);
    }

    /// The gauge that the place belongs to.
    pub fn gauge(&self) -> &PressureGauge {
        &self.gauge
    }

    /// How many places it is about when the call waits for its client: none if it runs beside the limit, or that is fixed.
    #[cfg(feature = "http")]
    pub(crate) fn places_that_move(&self) -> u32 {
        let is_within = self.held.standing() == crate::outcome::Standing::Real;
        if is_within && self.gauge.core.adaptive.is_some() { self.cost() } else { 0 }
    }

    /// Whether a dry run lets the call run beside the limit.
    #[cfg(feature = "dashboard")]
    pub(crate) fn is_phantom(&self) -> bool {
        self.held.standing() == crate::outcome::Standing::Phantom
    }
}

impl Drop for Permit<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.gauge.core.give_back(self.held);
    }
}

impl Drop for OwnedPermit {
    #[inline(always)]
    fn drop(&mut self) {
        self.gauge.core.give_back(self.held);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("gauge", &self.gauge.name()).field("cost", &self.cost()).finish()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("gauge", &self.gauge.name()).field("cost", &self.cost()).finish()
    }
}
