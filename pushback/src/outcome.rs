//! How an admitted call went.

/// How an admitted call went, as [`Permit::record`] tells the gauge.
///
/// A permit that is dropped without an outcome counts as [`Success`](Outcome::Success), or as
/// [`Ignore`](Outcome::Ignore) while its thread panics. A fixed limit only counts outcomes. A limit
/// that moves learns from them.
///
/// [`Permit::record`]: crate::Permit::record
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The call was served. Its time says something about the load.
    Success,
    /// The callee could not keep up: it answered 429, 503 or RESOURCE_EXHAUSTED, or timed out.
    Overload,
    /// The call says nothing about the load: bad input, a panic, a failure before any work.
    Ignore,
    /// The caller went away before the end. The time it took is a lower bound.
    Cancelled,
}

/// Where an admitted call runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In the places that the limit counts.
    Real,
    /// Beside them: a dry run admitted a call that did not fit.
    Phantom,
}
