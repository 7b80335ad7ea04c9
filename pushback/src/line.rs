//! The line: calls that wait for their turn.

pub(crate) mod call;
mod decided;
mod discipline;
mod forecast;
mod pace;
pub(crate) mod queue;
mod waiting;

use std::time::Duration;

use self::discipline::Kind;
use crate::settings::BuildError;

/// How long a call waits at most if nothing else is said: long enough for a burst, short enough that most callers are still there, and that
/// a place that is never given back shows as refusals at once and not as a service that hangs.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How many of a hundred places go to the least important, if nothing else is said, and at most.
const GRANTS: u32 = 2;
const GRANTS_MAX: u32 = 50;

/// How many calls may wait, and for how long.
///
/// A line absorbs short bursts. It does not raise what a service can do: under lasting overload,
/// every place in it only makes all calls wait longer. So keep it short, and bound the wait by what
/// callers still find useful.
///
/// The longest wait is 1 s by default: whoever waits for an answer has mostly gone by then. For
/// work that nobody waits for, say `wait_at_most(Duration::MAX)`.
///
/// ```
/// use std::time::Duration;
/// use pushback::{Line, PressureGauge};
///
/// let gauge = PressureGauge::builder()
///     .limit(10)
///     .line(Line::fifo(100).wait_at_most(Duration::from_millis(50)))
///     .build()?;
/// # let _ = gauge;
/// # Ok::<(), pushback::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    capacity: u32,
    is_as_long_as_the_limit: bool,
    discipline: Kind,
    wait_max: Duration,
    grants_percent: u32,
}

impl Line {
    /// A line in which up to `capacity` calls may wait, 0 to [`u32::MAX`].
    ///
    /// Among calls of one [`Priority`], whoever came first is next. With 0, the entry points that
    /// wait refuse at once too. The longest wait is 1 s unless [`wait_at_most`](Line::wait_at_most)
    /// says otherwise.
    ///
    /// [`Priority`]: crate::Priority
    pub const fn fifo(capacity: u32) -> Self {
        Line::of(Kind::Fifo, capacity)
    }

    /// A line whose newest call is next, of up to `capacity` calls, 0 to [`u32::MAX`].
    ///
    /// Under overload most calls so hardly wait, and some wait until they are refused. A full line
    /// refuses its oldest call, with [`Reason::Displaced`], and takes the new one. Without overload
    /// it is unfair for nothing: prefer [`adaptive_lifo`](Line::adaptive_lifo).
    ///
    /// [`Reason::Displaced`]: crate::Reason::Displaced
    pub const fn lifo(capacity: u32) -> Self {
        Line::of(Kind::Lifo, capacity)
    }

    /// A line that takes bursts and does not stand, of up to `capacity` calls, 0 to [`u32::MAX`].
    ///
    /// Whoever came first is next. Once everybody has waited for longer than the *target* for three
    /// targets on end, nobody waits for more than two, and whoever does is refused with
    /// [`Reason::WaitedTooLong`]. The target is the time of ten turns, or that of a call if that is
    /// longer, and is measured while calls wait. So there is nothing to set.
    ///
    /// From "Controlling Queue Delay" (Nichols and Jacobson, ACM Queue 2012), with the rule of
    /// Facebook's folly for requests.
    ///
    /// [`Reason::WaitedTooLong`]: crate::Reason::WaitedTooLong
    pub const fn codel(capacity: u32) -> Self {
        Line::of(Kind::Codel, capacity)
    }

    /// A line whose newest call is next while it stands, of up to `capacity` calls, 0 to
    /// [`u32::MAX`].
    ///
    /// Whoever came first is next, as long as the line becomes empty again and again. When somebody
    /// has been waiting for four targets on end (as in [`codel`](Line::codel)), the newest call is
    /// next, and nobody waits for more than two. Under overload half of the answers then come nearly
    /// at once.
    ///
    /// From "Fail at Scale" (Facebook, ACM Queue 2015).
    pub const fn adaptive_lifo(capacity: u32) -> Self {
        Line::of(Kind::AdaptiveLifo, capacity)
    }

    const fn of(discipline: Kind, capacity: u32) -> Self {
        Line {
            capacity,
            is_as_long_as_the_limit: false,
            discipline,
            wait_max: WAIT_MAX,
            grants_percent: GRANTS,
        }
    }

    /// A line as long as the limit is at the time, with a longest wait of 1 s: the default of every
    /// gauge.
    pub const fn as_long_as_the_limit() -> Self {
        Line { is_as_long_as_the_limit: true, ..Line::fifo(0) }
    }

    /// How long a call waits at most.
    ///
    /// Then it is refused with [`Reason::WaitedTooLong`]. [`Duration::ZERO`] refuses whoever is not
    /// served at once; [`Duration::MAX`] waits without a bound.
    ///
    /// [`Reason::WaitedTooLong`]: crate::Reason::WaitedTooLong
    pub const fn wait_at_most(mut self, wait_max: Duration) -> Self {
        self.wait_max = wait_max;
        self
    }

    /// How many of a hundred places that are handed on while less important calls wait go to the
    /// least important of them, 0 to 50. Default: 2.
    ///
    /// So calls of a low [`Priority`] are not starved by a stream of more important ones.
    /// [`Snapshot::starvation_grants`] counts them. With 0, the order is strict.
    ///
    /// [`Priority`]: crate::Priority
    /// [`Snapshot::starvation_grants`]: crate::Snapshot::starvation_grants
    pub const fn starvation_grants(mut self, percent: u32) -> Self {
        self.grants_percent = percent;
        self
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.grants_percent > GRANTS_MAX {
            let value = format!("{} %", self.grants_percent);
            return Err(BuildError::new("starvation_grants", value, "0 to 50 %"));
        }
        Ok(())
    }

    /// The part of the places.
    pub(crate) fn granted_part(&self) -> f64 {
        f64::from(self.grants_percent) / 100.0
    }

    pub(crate) fn capacity(&self, limit: u32) -> u32 {
        if self.is_as_long_as_the_limit { limit } else { self.capacity }
    }

    /// Whether it was made so that nobody waits in it.
    pub(crate) fn is_for_nobody(&self) -> bool {
        !self.is_as_long_as_the_limit && self.capacity == 0
    }

    pub(crate) fn wait_max(&self) -> Duration {
        self.wait_max
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::as_long_as_the_limit()
    }
}
