//! A gauge at one moment, for people and for metrics.

use std::{borrow::Cow, collections::BTreeMap, fmt, time::Duration};

use crate::rejected::Reason;

/// A gauge at one moment.
///
/// All fields belong to the same moment, but for the counters of refusals and outcomes, which are
/// read one after the other.
///
/// With the feature `serde` it can be serialized. Times are then seconds, and their names say so.
/// Reasons that have refused nobody are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The gauge's name.
    pub name: &'static str,
    /// How many places there are.
    pub limit: u32,
    /// How many places are taken. More than `limit` only after the limit was lowered, until enough
    /// calls end.
    pub in_flight: u32,
    /// How many places belong to calls that wait for their client to send or to read on.
    ///
    /// Calls that wait for a reader lend their place, and are not in flight meanwhile. Under a
    /// fixed limit this is 0, for nothing depends on it.
    pub awaiting_client: u32,
    /// How many calls wait in line.
    pub in_line: u32,
    /// How long the call that came first among those in line has waited.
    #[cfg_attr(
        feature = "serde",
        serde(rename = "oldest_wait_seconds", serialize_with = "serde_as::seconds_if_any")
    )]
    pub oldest_wait: Option<Duration>,
    /// How many calls were ever admitted, without the phantoms of a dry run.
    pub admitted: u64,
    /// How many calls were ever refused, by reason.
    pub refused: Refusals,
    /// How many calls left the line before their turn, because the caller gave up.
    pub left_line: u64,
    /// How many calls in line were served before more important ones, so that they do not starve:
    /// [`Line::starvation_grants`](crate::Line::starvation_grants).
    pub starvation_grants: u64,
    /// How many turns in line went to others, because their callers did not look after their calls
    /// for a second: [`Acquire`](crate::Acquire). Such a call counts as cancelled, and is admitted
    /// once more if it is looked after again.
    pub turns_passed_on: u64,
    /// How many calls said that they were [retries](crate::Arrival::retry), admitted or refused.
    pub retries: u64,
    /// How many admitted calls ended with [`Outcome::Overload`](crate::Outcome::Overload).
    pub overloaded: u64,
    /// How many admitted calls ended with [`Outcome::Ignore`](crate::Outcome::Ignore), including
    /// panics.
    pub ignored: u64,
    /// How many admitted calls ended with [`Outcome::Cancelled`](crate::Outcome::Cancelled).
    pub cancelled: u64,
    /// Whether the gauge was closed.
    pub closed: bool,
    /// Whether it is paused, by [`PressureGauge::pause`](crate::PressureGauge::pause).
    pub paused: bool,
    /// Whether a limit that moves is pinned, by [`PressureGauge::pin`](crate::PressureGauge::pin).
    pub pinned: bool,
    /// Why the limit stands where it does, if it moves.
    pub why: Option<Why>,
    /// What a dry run saw, if there ever was one.
    pub dry_run: Option<DryRun>,
    /// Faults that the gauge recovered from: a poisoned lock, an impossible count. Anything but 0
    /// is a bug, either in this library or in a [`Clock`](crate::Clock).
    pub faults: u64,
}

/// Why a limit that moves stands where it does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Why {
    /// What was last decided, and why. For example:
    /// `calls take 2.1 times as long as without a queue; about 8 are worked on at once (372 a second, 21.5 ms each without a queue): aims at 17`.
    /// `None` before the first decision.
    pub reason: Option<Cow<'static, str>>,
    /// How long ago that was.
    #[cfg_attr(feature = "serde", serde(rename = "seconds_ago", serialize_with = "serde_as::seconds"))]
    pub ago: Duration,
    /// How many times the limit moved, by cause, such as `a queue` or `idle at times`. There are
    /// few causes.
    pub moves: BTreeMap<&'static str, u64>,
    /// How many of the admitted calls were timed for it.
    pub timed: u64,
}

/// What a dry run saw: calls that would not have been admitted at once, but were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DryRun {
    /// Whether the gauge is in dry run now.
    pub on: bool,
    /// How many calls run now although they did not fit.
    pub phantoms: u32,
    /// How many calls would have been refused, by reason.
    pub would_refuse: Refusals,
    /// How many calls would have had to wait in line. A dry run cannot know what would have become
    /// of them there.
    pub would_wait: u64,
}

/// Counts of refusals by reason.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; Reason::COUNT],
}

impl Refusals {
    pub(crate) fn from_counts(counts: [u64; Reason::COUNT]) -> Self {
        Refusals { counts }
    }

    pub(crate) fn count(&mut self, reason: Reason) {
        self.counts[reason.index()] += 1;
    }

    /// How many calls were refused for this reason.
    pub fn by(&self, reason: Reason) -> u64 {
        self.counts[reason.index()]
    }

    /// How many calls were refused for any reason.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.counts)
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().filter(|(_, count)| *count > 0)).finish()
    }
}

#[cfg(feature = "serde")]
mod serde_as {
    use std::time::Duration;

    use serde::{Serialize, Serializer};

    use super::Refusals;

    pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    #[expect(clippy::ref_option, reason = "serde asks for it so")]
    pub(super) fn seconds_if_any<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(serializer)
    }

    impl Serialize for Refusals {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(
                self.iter().filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.as_str(), count)),
            )
        }
    }
}
