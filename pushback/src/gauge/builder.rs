//! Settings of a gauge, checked before there is one.

use std::{
    collections::HashSet,
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{DryRunMode, PressureGauge, core::Core};
use crate::{
    clock::{Clock, SystemClock},
    line::Line,
};

/// The longest name of a gauge, in bytes: it stands in logs, labels and errors.
const NAME_MAX: usize = 64;

/// Settings for a [`PressureGauge`]; [`PressureGauge::builder`] begins them.
#[derive(Debug, Clone)]
#[must_use = "a builder builds nothing until `build`"]
pub struct Builder {
    name: String,
    limit: Option<u32>,
    line: Line,
    mode: DryRunMode,
    clock: Option<Arc<dyn Clock>>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            name: "gauge".to_owned(),
            limit: None,
            line: Line::default(),
            mode: DryRunMode::Off,
            clock: None,
        }
    }

    /// What the gauge is called in errors, logs and metrics; `gauge` if nothing is said. 1 to 64 bytes without control
    /// characters. Names are kept for the life of the process, so name what a gauge protects, and not each call.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many places there are, 0 to [`u32::MAX`]; this must be said. 0 admits nothing.
    pub fn limit(mut self, places: u32) -> Self {
        self.limit = Some(places);
        self
    }

    /// The line for the entry points that wait; as long as the limit if nothing is said.
    pub fn line(mut self, line: Line) -> Self {
        self.line = line;
        self
    }

    /// Whether the gauge begins in dry run; off if nothing is said.
    pub fn dry_run(mut self, mode: DryRunMode) -> Self {
        self.mode = mode;
        self
    }

    /// The source of time; [`SystemClock`] if nothing is said.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Builds the gauge, or says which setting is wrong.
    pub fn build(self) -> Result<PressureGauge, BuildError> {
        if self.name.is_empty() || self.name.len() > NAME_MAX || self.name.contains(char::is_control) {
            return Err(BuildError {
                key: "name",
                value: format!("{:?}", self.name),
                allowed: "1 to 64 bytes without control characters",
            });
        }
        let Some(limit) = self.limit else {
            return Err(BuildError {
                key: "limit",
                value: "not set".to_owned(),
                allowed: "0 to 4294967295 places",
            });
        };
        let clock = self.clock.unwrap_or_else(SystemClock::shared);
        let core = Core::new(interned(&self.name), limit, self.line, clock);
        let gauge = PressureGauge { core };
        if self.mode == DryRunMode::On {
            gauge.set_dry_run(DryRunMode::On);
        }
        Ok(gauge)
    }
}

/// A setting is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    key: &'static str,
    value: String,
    allowed: &'static str,
}

impl BuildError {
    #[cfg(feature = "http")]
    pub(crate) fn new(key: &'static str, value: String, allowed: &'static str) -> Self {
        BuildError { key, value, allowed }
    }

    /// The setting's name.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; allowed: {}", self.key, self.value, self.allowed)
    }
}

impl Error for BuildError {}

/// Names live as long as the process, so that a refusal can carry its gauge's name and still be copied.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}
