//! What is wrong with a setting.

use std::{error::Error, fmt};

/// A setting is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildError {
    key: &'static str,
    value: String,
    allowed: &'static str,
}

impl BuildError {
    /// This setting has a value that is not among those allowed.
    pub fn new(key: &'static str, value: impl Into<String>, allowed: &'static str) -> Self {
        BuildError { key, value: value.into(), allowed }
    }

    /// The setting's name.
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// What it may be, in words.
    pub fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; allowed: {}", self.key, self.value, self.allowed)
    }
}

impl Error for BuildError {}
