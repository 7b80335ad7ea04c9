//! What is known of a call before it runs.

use std::time::{Duration, Instant};

/// What a gauge should know of a call: its cost, priority, deadline, and how long it may wait.
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
    wait_max: Option<Duration>,
    priority: Priority,
}

impl Arrival {
    /// A call of normal priority that takes one place and has no deadline.
    pub const fn new() -> Self {
        Arrival { cost: 1, deadline: None, wait_max: None, priority: Priority::Normal }
    }

    /// How many places the call takes, 1 to [`u32::MAX`]. 0 counts as 1.
    ///
    /// - Under a fixed limit, a cost above the limit is refused at once with
    ///   [`Reason::CostAboveLimit`].
    /// - Under a limit that moves, so is a cost above the most that the limit may become. A call
    ///   that costs more than the limit is at the moment runs alone, once nothing else is in
    ///   flight.
    ///
    /// What a call costs never moves a limit.
    ///
    /// [`Reason::CostAboveLimit`]: crate::Reason::CostAboveLimit
    pub const fn cost(mut self, places: u32) -> Self {
        self.cost = if places == 0 { 1 } else { places };
        self
    }

    /// When the caller stops waiting for the answer.
    ///
    /// A call that comes later, or whose turn has not come by then, is refused with
    /// [`Reason::DeadlinePassed`]. The gauge does not interrupt a call that runs.
    /// [`Auto`](crate::limit::Auto) learns from deadlines how long callers wait, and lets calls
    /// queue for no longer than that allows.
    ///
    /// [`Reason::DeadlinePassed`]: crate::Reason::DeadlinePassed
    pub const fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long the call waits in line at most, if the line lets it wait as long. Default: as long
    /// as the line lets anybody wait.
    ///
    /// Then it is refused with [`Reason::WaitedTooLong`]. [`Duration::ZERO`] refuses it unless it
    /// is served at once. It needs no clock, and says nothing of how long the work may take: that
    /// is what a [`deadline`](Self::deadline) says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pushback::{Arrival, PressureGauge, Reason};
    ///
    /// let gauge = PressureGauge::new(1);
    /// let busy = gauge.try_acquire()?;
    /// let impatient = Arrival::new().wait_at_most(Duration::from_millis(5));
    /// let refused = gauge.acquire_blocking_for(impatient).unwrap_err();
    /// assert_eq!(refused.reason, Reason::WaitedTooLong);
    /// # drop(busy);
    /// # Ok::<(), pushback::Rejected>(())
    /// ```
    ///
    /// [`Reason::WaitedTooLong`]: crate::Reason::WaitedTooLong
    pub const fn wait_at_most(mut self, wait_max: Duration) -> Self {
        self.wait_max = Some(wait_max);
        self
    }

    /// How important the call is. It counts in line, and only there: see [`Priority`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) const fn places(&self) -> u32 {
        self.cost
    }

    pub(crate) const fn until(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) const fn wait_max(&self) -> Option<Duration> {
        self.wait_max
    }

    /// How important the call is, as it was said.
    #[cfg(feature = "dashboard")]
    pub(crate) const fn importance(&self) -> Priority {
        self.priority
    }

    /// Whether somebody said how important it is, and not that it is as all others.
    #[cfg(feature = "tracing")]
    pub(crate) const fn has_priority(&self) -> bool {
        !matches!(self.priority, Priority::Normal)
    }

    pub(crate) const fn level(&self) -> u8 {
        self.priority as u8
    }
}

impl Default for Arrival {
    fn default() -> Self {
        Arrival::new()
    }
}

/// How important a call is, compared with others in line.
///
/// - In line, more important calls come first. Calls of one priority come in the order of their
///   arrival.
/// - At a full line, a more important call displaces the least important one, of those the one that
///   came last. That one is refused with [`Reason::Displaced`].
/// - The order is strict: while more important calls keep coming, others wait as long as the line
///   lets anybody wait, and are then refused.
///
/// Without a line all calls are equal: a place is free or not. The first call with a priority that
/// a gauge refuses there is a warning in the log (feature `tracing`).
///
/// [`Reason::Displaced`]: crate::Reason::Displaced
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Priority {
    /// Must be served if anything is: a checkout, a login.
    Critical,
    /// Somebody waits for it.
    High,
    /// The default.
    #[default]
    Normal,
    /// Can wait or be repeated: a prefetch.
    Low,
    /// Nobody waits for it: a batch, a crawler.
    Background,
}

impl Priority {
    /// All priorities, the most important first.
    pub const ALL: &'static [Priority] =
        &[Priority::Critical, Priority::High, Priority::Normal, Priority::Low, Priority::Background];

    /// The priority as a word: `critical`, `high`, `normal`, `low`, `background`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Priority::Critical => "critical",
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
            Priority::Background => "background",
        }
    }

    /// How many priorities there are.
    pub(crate) const COUNT: u8 = Priority::Background as u8 + 1;
}
