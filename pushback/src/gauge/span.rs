//! A call's two times. Its caller has what he waits for at one, and the service is done with it at another; between them and behind them
//! may be time that its client takes.

use std::time::Duration;

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
