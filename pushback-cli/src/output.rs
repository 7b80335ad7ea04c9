//! Standard output and standard error, which may be full, closed, or read by somebody who has stopped reading.
//!
//! An answer waits for its reader, as whoever asked for it does. What is said beside the work waits for nobody: it must never decide over
//! calls, or over how the program ends.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{ErrorKind, Write, stderr, stdout},
    panic::{self, PanicHookInfo},
    process::ExitCode,
    sync::OnceLock,
    time::Duration,
};

use self::lines::Lines;
use crate::failure::Failure;

/// How long the end waits for what was said, on each output.
const LAST_WORDS: Duration = Duration::from_secs(1);

static OUT: OnceLock<Lines> = OnceLock::new();
static ERR: OnceLock<Lines> = OnceLock::new();

/// Prints an answer. A reader that has seen enough (`| head`) is no failure; a full disk is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::run(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Says something about the run on standard output, if anybody listens there.
pub(crate) fn say(text: &str) {
    OUT.get_or_init(|| Lines::to(stdout())).say(text);
}

/// Says something beside an answer, on standard error.
pub(crate) fn tell(text: &str) {
    errors().say(text);
}

/// Standard error, for whole lines.
pub(crate) fn log() -> impl Write {
    errors()
}

fn errors() -> &'static Lines {
    ERR.get_or_init(|| Lines::to(stderr()))
}

/// Says why the program fails. If standard error is gone too, the exit code is all that is left to say it.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    if let Some(message) = &failure.message {
        errors().say(&format!("error: {message}"));
    }
    ExitCode::from(failure.code)
}

/// Has `tell` say what is known of a panic. The standard hook would wait for whoever reads standard error, in the middle of a call.
pub(crate) fn tell_panics_by(tell: impl Fn(&str) + Send + Sync + 'static) {
    let told = move |panicked: &PanicHookInfo<'_>| {
        let thread = std::thread::current();
        let backtrace = Backtrace::capture();
        let backtrace = match backtrace.status() {
            BacktraceStatus::Captured => format!("\n{backtrace}"),
            _ => String::new(),
        };
        tell(&format!("thread '{}' {panicked}{backtrace}", thread.name().unwrap_or("without a name")));
    };
    panic::set_hook(Box::new(told));
}

/// How many lines could not be written since the start, or not as fast as they came.
pub(crate) fn dropped() -> u64 {
    [&OUT, &ERR].into_iter().filter_map(OnceLock::get).map(Lines::dropped).sum()
}

/// When it is dropped, waits a little for what was said to be written.
pub(crate) struct LastWords;

impl LastWords {
    /// From now on, panics are told without waiting for a reader.
    pub(crate) fn begin() -> Self {
        tell_panics_by(|told| errors().say(told));
        LastWords
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        for lines in [&OUT, &ERR].into_iter().filter_map(OnceLock::get) {
            lines.finish(LAST_WORDS);
        }
    }
}
