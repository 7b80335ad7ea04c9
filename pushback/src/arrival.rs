//! What is known of a call before it runs.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use crate::settings::BuildError;

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
    is_retry: bool,
}

impl Arrival {
    /// A call of normal priority that takes one place and has no deadline.
    pub const fn new() -> Self {
        Arrival { cost: 1, deadline: None, wait_max: None, priority: Priority::Normal, is_retry: false }
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

    /// How important the call is, compared with others: see [`Priority`].
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Whether the caller has tried before and tries again. Default: `false`.
    ///
    /// Under pressure a retry comes after first attempts of its own [`Priority`], and before those
    /// of the next lower one: work that is new goes before work that was refused once, so that
    /// retries do not keep a service busy that is over its capacity.
    pub const fn retry(mut self, is_retry: bool) -> Self {
        self.is_retry = is_retry;
        self
    }

    pub(crate) const fn is_retry(&self) -> bool {
        self.is_retry
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

    /// The place in the order of importance, 0 to below [`RANKS`]: by priority, and among equals first attempts before retries.
    pub(crate) const fn rank(&self) -> u8 {
        2 * self.priority as u8 + self.is_retry as u8
    }
}

impl Default for Arrival {
    fn default() -> Self {
        Arrival::new()
    }
}

/// How many ranks of calls there are.
pub(crate) const RANKS: u8 = 2 * Priority::COUNT;

/// How important a call is, compared with others.
///
/// **Where nobody waits** (`try_acquire`, `process`, a line of 0), the less important calls leave
/// places free for the more important ones. How many follows from the refusals: each time a call is
/// refused, those below it leave more free; while nobody is, they leave fewer. So without pressure
/// every call may have every place, and under pressure the least important are refused first, with
/// [`Reason::Outranked`].
///
/// **In line**:
///
/// - More important calls come first. Calls of one priority come in the order of the line.
/// - At a full line, a more important call displaces the least important one, of those the one that
///   came last. That one is refused with [`Reason::Displaced`].
/// - While more important calls keep coming, two of a hundred places go to the least important, and
///   others wait as long as the line lets anybody wait: [`Line::starvation_grants`].
///
/// [`Line::starvation_grants`]: crate::Line::starvation_grants
/// [`Reason::Displaced`]: crate::Reason::Displaced
/// [`Reason::Outranked`]: crate::Reason::Outranked
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

impl FromStr for Priority {
    type Err = BuildError;

    /// The priority of a word, as [`as_str`](Priority::as_str) has it.
    fn from_str(word: &str) -> Result<Self, BuildError> {
        let known = Priority::ALL.iter().find(|priority| priority.as_str() == word);
        known.copied().ok_or_else(|| {
            BuildError::new("priority", format!("{word:?}"), "critical, high, normal, low, background")
        })
    }
}
