//! What is known of a call before it runs.

use std::time::Instant;

/// A call that asks to be admitted: what it costs, and until when its answer is of use.
///
/// ```
/// use pushback::{Arrival, PressureGauge};
///
/// let gauge = PressureGauge::new(10);
/// let report = gauge.try_acquire_for(Arrival::new().cost(8))?;
/// assert_eq!(gauge.snapshot().in_flight, 8);
/// # drop(report);
/// # Ok::<(), pushback::Rejected>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    cost: u32,
    deadline: Option<Instant>,
}

impl Arrival {
    /// A call that takes one place and has no deadline.
    pub const fn new() -> Self {
        Arrival { cost: 1, deadline: None }
    }

    /// How many places the call takes, 1 to [`u32::MAX`]. No call is free: 0 counts as 1, or calls of cost 0 would
    /// pass any limit. A cost above the limit is refused at once with [`Reason::CostAboveLimit`].
    ///
    /// [`Reason::CostAboveLimit`]: crate::Reason::CostAboveLimit
    pub const fn cost(mut self, places: u32) -> Self {
        self.cost = if places == 0 { 1 } else { places };
        self
    }

    /// When the caller stops waiting for the answer. A call that comes later, or whose turn has not come by then, is
    /// refused with [`Reason::DeadlinePassed`]. The gauge does not interrupt a call that already runs.
    ///
    /// [`Reason::DeadlinePassed`]: crate::Reason::DeadlinePassed
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    pub(crate) const fn places(&self) -> u32 {
        self.cost
    }

    pub(crate) const fn until(&self) -> Option<Instant> {
        self.deadline
    }
}

impl Default for Arrival {
    fn default() -> Self {
        Arrival::new()
    }
}
