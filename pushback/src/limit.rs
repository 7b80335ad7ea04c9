//! How many calls may run: settings of limits, and what moves them.
//!
//! A [`Limit`] is settings. A gauge makes a [`Controller`] from them, tells it of each call that
//! ended, and does what it decides.
//!
//! *The controller does not own the limit.* With each call it is told the limit in force, which an
//! operator may have changed. The gauge clamps what it decides and throws away what is no number,
//! so that nothing can wind up.
//!
//! An algorithm is one file in `limit/`, and here its `mod`, its `use` and its line in `NAMED`.

mod aimd;
mod auto;
mod gradient2;
#[cfg(all(test, not(pushback_loom)))]
mod testing;
mod vegas;
mod window;

use std::{borrow::Cow, fmt::Debug, ops::RangeInclusive, time::Duration};

pub use aimd::Aimd;
pub use auto::{Auto, AutoPart};
pub use gradient2::Gradient2;
pub use vegas::Vegas;
pub use window::{Seen, Window};

use crate::{outcome::Outcome, settings::BuildError};

/// Settings of a limit.
///
/// A number is the simplest: so many places, and nothing moves them. A limit of your own:
///
/// ```
/// use pushback::{BuildError, Outcome, PressureGauge, limit::{Controller, Decision, Limit, Sample, Start}};
///
/// /// Half as much after each overload.
/// #[derive(Debug, Clone)]
/// struct Halves;
///
/// impl Limit for Halves {
///     fn start(&self) -> Result<Start, BuildError> {
///         Ok(Start::moving(8, Halves))
///     }
/// }
///
/// impl Controller for Halves {
///     fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
///         (sample.outcome == Outcome::Overload).then(|| Decision::new(limit / 2.0, "overloaded"))
///     }
/// }
///
/// let gauge = PressureGauge::builder().limit(Halves).build()?;
/// gauge.process_with(|| "503", |_| Outcome::Overload)?;
/// assert_eq!(gauge.snapshot().limit, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Limit: Debug + Send + Sync + 'static {
    /// The first limit, and what moves it from there.
    ///
    /// # Errors
    ///
    /// If a setting is wrong.
    fn start(&self) -> Result<Start, BuildError>;
}

/// A first limit, and what moves it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Start {
    /// The first limit, 0 to [`u32::MAX`] places.
    pub limit: u32,
    /// What moves it. `None` if it is fixed.
    pub controller: Option<Box<dyn Controller>>,
}

impl Start {
    /// A fixed limit of so many places, 0 to [`u32::MAX`].
    pub fn fixed(limit: u32) -> Self {
        Start { limit, controller: None }
    }

    /// A first limit of so many places, 0 to [`u32::MAX`], and what moves it from there.
    pub fn moving(limit: u32, controller: impl Controller + 'static) -> Self {
        Start { limit, controller: Some(Box::new(controller)) }
    }
}

/// What moves a limit while a gauge runs.
///
/// It has no clock and no randomness of its own. Time comes with each call, and a controller that
/// needs chance takes a seed among its settings. So the same calls always give the same decisions.
pub trait Controller: Debug + Send {
    /// A call ended. Returns the next limit, or `None` to leave it.
    ///
    /// `limit` is the one in force, with the fraction that was last decided if nobody else has
    /// changed it since. Calls come in the order of their end, as far as threads let them.
    ///
    /// The gauge clamps what is decided to [`bounds`](Self::bounds). A decision that is no finite
    /// number changes nothing and is counted as a fault. So is a panic, after which the limit stays
    /// where it is until the next decision.
    ///
    /// This, [`is_looking`](Self::is_looking), [`rest`](Self::rest) and
    /// [`measure_anew`](Self::measure_anew) run under a lock of the gauge, so they must not ask the
    /// gauge for anything.
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision>;

    /// Whether it must be told of each call.
    ///
    /// If not, only some are timed where there are thousands a second, chosen by chance when they
    /// are admitted.
    fn needs_every_call(&self) -> bool {
        true
    }

    /// Whether what was decided last is a look: a lower limit for a moment, to see what fewer in
    /// flight do.
    ///
    /// If the load ends in the middle of a look, the gauge asks [`rest`](Self::rest).
    fn is_looking(&self) -> bool {
        false
    }

    /// Whether a look is at fewer calls of all priorities.
    ///
    /// If not, and calls of several priorities come, the gauge lets fewer of the less important ones
    /// in, and the most important do not feel it. Fewer of those alone may be no fewer.
    fn looks_at_all(&self) -> bool {
        true
    }

    /// The load ended in the middle of a look: nothing is in flight, and nobody came for a tenth of
    /// a second.
    ///
    /// No call will say what came of the look, so it should go back to what was known before.
    fn rest(&mut self, _now: Duration, _totals: Totals) -> Option<Decision> {
        None
    }

    /// An operator has set the limit, or has unpinned it.
    ///
    /// What it was measuring was of another limit. So it should measure anew from the limit in
    /// force, and not go back to one from before. What it has learned of the service stays.
    fn measure_anew(&mut self, _now: Duration, _totals: Totals) {}

    /// The bounds within which the limit is kept, unless an operator sets another. Asked for once,
    /// when the gauge is built.
    fn bounds(&self) -> RangeInclusive<u32> {
        1..=u32::MAX
    }
}

/// A call that ended, as a controller sees it.
///
/// One call gives at most one. Tests of a controller make one by [`new`](Self::new), and set the
/// fields that matter.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// When it was admitted, after its wait in line. From when the gauge was built.
    pub began: Duration,
    /// When it ended, or when its end was left to its client. From when the gauge was built.
    pub ended: Duration,
    /// How long the service had it: from its admission to its end, without what its client took to
    /// send and to read.
    ///
    /// This is the time of Little's law.
    pub held: Duration,
    /// How long its caller waited for what it asked for, 0 to `held`. For a stream, that is its
    /// first part. Judge latencies by this.
    pub answered: Duration,
    /// Whether it is answered and how long it goes on is up to its client, which left in the
    /// middle, reads slowly, or listens for minutes.
    ///
    /// Then `held` is `answered`.
    pub is_open: bool,
    /// The places that were taken right after it was admitted, including its own: 1 or more.
    ///
    /// Calls that waited then for their client to send or to read on are not among them.
    pub in_flight: u32,
    /// The places of calls that wait for their client, and keep them from others, when this one
    /// ends.
    pub awaiting_client: u32,
    /// How long three of four callers wait for their answers at least, from their admission on.
    ///
    /// Known from the deadlines of calls ([`Arrival::deadline`](crate::Arrival::deadline)). `None`
    /// if none has one, or hardly any.
    pub patience: Option<Duration>,
    /// How it went. [`Outcome::Ignore`] is never shown to a controller.
    pub outcome: Outcome,
    /// What the gauge had counted by the time it ended.
    pub totals: Totals,
}

/// What a gauge has counted since it was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Totals {
    /// Calls that were admitted.
    pub admitted: u64,
    /// Calls that were refused, without the outranked.
    pub refused: u64,
    /// Calls that were refused though places were free, which are kept for more important ones:
    /// [`Reason::Outranked`](crate::Reason::Outranked). A higher limit is not what they need.
    pub outranked: u64,
    /// Admitted calls that are timed: all, unless the controller needs fewer.
    pub timed: u64,
    /// Timed calls that ended and are not shown, because they say nothing about the load.
    pub unshown: u64,
}

impl Sample {
    /// A success of one place, whose caller waited for all of it. All totals are 0.
    pub fn new(began: Duration, ended: Duration) -> Self {
        let held = ended.saturating_sub(began);
        Sample {
            began,
            ended,
            held,
            answered: held,
            is_open: false,
            in_flight: 1,
            awaiting_client: 0,
            patience: None,
            outcome: Outcome::Success,
            totals: Totals::default(),
        }
    }

    /// How long it took: the same as [`held`](Self::held).
    pub fn time(&self) -> Duration {
        self.held
    }
}

/// The next limit, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The limit from now on; the gauge admits the whole places of it.
    pub limit: f64,
    /// Why in a few words, for counters: `a queue`. There should be few different causes.
    pub cause: &'static str,
    /// Why, with figures, for an operator. For example:
    /// `calls take 2.1 times as long as without a queue; about 8 are worked on at once (372 a second, 21.5 ms each without a queue): aims at 17`.
    pub why: Cow<'static, str>,
}

impl Decision {
    /// A decision whose reason is always the same text.
    pub fn new(limit: f64, why: &'static str) -> Self {
        Decision { limit, cause: why, why: Cow::Borrowed(why) }
    }

    /// A decision for one of few causes, and a reason with figures.
    pub fn with_cause(limit: f64, cause: &'static str, why: impl Into<Cow<'static, str>>) -> Self {
        Decision { limit, cause, why: why.into() }
    }
}

/// The moving limit of this name, such as `auto`, with the settings of its own `new`.
pub fn named(name: &str) -> Option<Box<dyn Limit>> {
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, new)| new())
}

/// The names that [`named`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMED.iter().map(|(name, _)| *name)
}

type New = fn() -> Box<dyn Limit>;

const NAMED: &[(&str, New)] = &[
    ("auto", || Box::new(Auto::new())),
    ("aimd", || Box::new(Aimd::new())),
    ("vegas", || Box::new(Vegas::new())),
    ("gradient2", || Box::new(Gradient2::new())),
];

impl Limit for u32 {
    fn start(&self) -> Result<Start, BuildError> {
        Ok(Start::fixed(*self))
    }
}

/// For those who choose by name.
impl Limit for Box<dyn Limit> {
    fn start(&self) -> Result<Start, BuildError> {
        (**self).start()
    }
}

/// The first limit of a setting, if its bounds are in order and it lies within them.
fn checked(initial: u32, bounds: &RangeInclusive<u32>) -> Result<u32, BuildError> {
    if *bounds.start() == 0 || bounds.is_empty() {
        let value = format!("{} to {}", bounds.start(), bounds.end());
        return Err(BuildError::new("bounds", value, "1 or more places, the smaller first"));
    }
    if !bounds.contains(&initial) {
        return Err(BuildError::new("initial", initial.to_string(), "a limit within its bounds"));
    }
    Ok(initial)
}
