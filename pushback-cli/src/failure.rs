//! What the program says when it fails: one line that names the thing, and an exit code.

use std::fmt;

use clap::error::ErrorKind;

/// A failure: 2 for how the program was called, 1 for what happened when it ran.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Nothing, if it is in the log already.
    pub(crate) message: Option<String>,
}

impl Failure {
    /// The program was called the wrong way. clap's explanation is brought into one line; help is a command away.
    pub(crate) fn usage(wrong: &clap::Error) -> Self {
        if wrong.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Failure { code: 2, message: Some(format!("no command was given\n\n{wrong}")) };
        }
        let text = wrong.to_string();
        let problem = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
        let message = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        Failure { code: 2, message: Some(format!("{message} (--help tells more)")) }
    }

    /// What the program was given is wrong.
    pub(crate) fn wrong(message: impl fmt::Display) -> Self {
        Failure { code: 2, message: Some(message.to_string()) }
    }

    /// The run failed.
    pub(crate) fn run(message: impl fmt::Display) -> Self {
        Failure { code: 1, message: Some(message.to_string()) }
    }
}
