//! What the program says when it fails: one line that names the thing, and an exit code.

use std::fmt;

/// A failure: 2 for how the program was called, 1 for what happened when it ran.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Nothing, if it is in the log already.
    pub(crate) message: Option<String>,
}

impl Failure {
    /// What the program was given is wrong.
    pub(crate) fn wrong(message: impl fmt::Display) -> Self {
        Failure { code: 2, message: Some(message.to_string()) }
    }

    /// The run failed.
    pub(crate) fn run(message: impl fmt::Display) -> Self {
        Failure { code: 1, message: Some(message.to_string()) }
    }
}
