//! Settings of a gauge, checked before there is one.

use std::sync::Arc;

use super::{DryRunMode, PressureGauge, core::Core, names::interned};
use crate::{
    clock::{Clock, SystemClock},
    limit::{Limit, Start},
    line::Line,
    settings::BuildError,
};

/// The longest name of a gauge, in bytes: it stands in logs, labels and errors.
const NAME_MAX: usize = 64;

/// Settings for a [`PressureGauge`], from [`PressureGauge::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder builds nothing until `build`"]
pub struct Builder {
    name: String,
    limit: Option<Arc<dyn Limit>>,
    line: Line,
    mode: DryRunMode,
    clock: Option<Arc<dyn Clock>>,
    seed: Option<u64>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            name: "gauge".to_owned(),
            limit: None,
            line: Line::default(),
            mode: DryRunMode::Off,
            clock: None,
            seed: None,
        }
    }

    /// Names the gauge, in errors, logs, metrics and on the live page. Default: `gauge`.
    ///
    /// 1 to 64 bytes without control characters. Where several gauges have one name, metrics and
    /// page number the second, `gauge #2`; errors and logs do not. Names are kept for the life of
    /// the process, so name what a gauge protects, and not each call.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many places there are. Required.
    ///
    /// A number, 0 to [`u32::MAX`], is fixed, and 0 admits nothing. A [`Limit`] such as
    /// [`Auto`](crate::limit::Auto) moves.
    pub fn limit(mut self, limit: impl Limit) -> Self {
        self.limit = Some(Arc::new(limit));
        self
    }

    /// The line for the entry points that wait. Default: as long as the limit, with a longest wait
    /// of 1 s.
    pub fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// Whether the gauge begins in dry run. Default: off.
    pub fn dry_run(mut self, mode: DryRunMode) -> Self {
        self.mode = mode;
        self
    }

    /// The source of time. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Makes what the gauge does by chance repeat, for tests and simulations.
    ///
    /// By chance is which calls it times under a limit that moves. On several threads, a seed costs
    /// somewhat more.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the gauge.
    ///
    /// # Errors
    ///
    /// Which setting is missing or wrong, its value, and what is allowed.
    pub fn build(self) -> Result<PressureGauge, BuildError> {
        if self.name.is_empty() || self.name.len() > NAME_MAX || self.name.contains(char::is_control) {
            let allowed = "1 to 64 bytes without control characters";
            return Err(BuildError::new("name", format!("{:?}", self.name), allowed));
        }
        let Some(limit) = self.limit else {
            return Err(BuildError::new("limit", "not set", "0 to 4294967295 places"));
        };
        self.line.check()?;
        let Start { limit, controller } = limit.start()?;
        let clock = self.clock.unwrap_or_else(SystemClock::shared);
        let moves = controller.map(|controller| (controller, self.seed));
        let core = Core::new(interned(&self.name), limit, moves, self.line, clock);
        let gauge = PressureGauge { core };
        if self.mode == DryRunMode::On {
            gauge.set_dry_run(DryRunMode::On);
        }
        Ok(gauge)
    }
}
