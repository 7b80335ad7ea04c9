//! The log, on standard error. It never decides over calls: a line that cannot be written is lost and counted.

use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal, Write, stderr},
};

use metrics::{counter, describe_counter};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::settings::Log;
use crate::{failure::Failure, output};

/// h2 warns of each connection that resets too many streams, which any client can have it do.
const FILTER: &str = "info,h2=error";

/// What is logged, if not that.
const VARIABLE: &str = "PUSHBACK_LOG";

pub(super) fn begin(form: Log) -> Result<(), Failure> {
    let filter = match env::var_os(VARIABLE) {
        Some(text) if !text.is_empty() => filter(&text)?,
        _ => EnvFilter::new(FILTER),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Visible(output::log()));
    // Its own words for what fails would go to standard error by another way.
    let log = log.log_internal_errors(false);
    // On a terminal, it looks itself whether NO_COLOR is set.
    let log = if stderr().is_terminal() { log } else { log.with_ansi(false) };
    // A log that is there already, as in a test, stays.
    let _ = match form {
        Log::Text => log.try_init(),
        Log::Json => log.json().flatten_event(true).try_init(),
    };
    output::tell_panics_by(|told| tracing::error!("{told}"));
    Ok(())
}

fn filter(text: &OsStr) -> Result<EnvFilter, Failure> {
    let filter = text.to_str().filter(|text| has_levels(text)).and_then(|text| EnvFilter::try_new(text).ok());
    filter.ok_or_else(|| {
        Failure::wrong(format!(
            "{VARIABLE} is {text:?}; allowed: off, error, warn, info, debug, trace, or several with commas, \
             such as {FILTER}"
        ))
    })
}

/// Whether what names no target is a level: the filter takes a level that is misspelt for a target, and would log nothing else.
fn has_levels(text: &str) -> bool {
    let mut parts = text.split(',').filter(|part| !part.contains(['=', '[', '{', '}', ']']));
    parts.all(|level| level.trim().parse::<LevelFilter>().is_ok())
}

/// Where the log is for programs, why the proxy ends is in it, as one line more of them.
pub(super) fn last(failure: Failure, form: Log) -> Failure {
    match (form, failure.message) {
        (Log::Json, Some(message)) => {
            tracing::error!("{message}");
            Failure { code: failure.code, message: None }
        }
        (_, message) => Failure { code: failure.code, message },
    }
}

pub(super) fn publish_metrics() {
    const DROPPED: &str = "pushback_log_lines_dropped_total";
    describe_counter!(DROPPED, "Lines of the log, and of standard output, that could not be written.");
    counter!(DROPPED).absolute(output::dropped());
}

/// Writes characters by number that would change how a line looks, whoever said them: tracing leaves them as they are, and a target may have
/// them.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    /// Whole lines come here.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.is_ascii() {
            self.0.write_all(line)?;
        } else {
            let mut visible = String::with_capacity(line.len());
            for character in String::from_utf8_lossy(line).chars() {
                if is_misleading(character) {
                    // As in JSON, too; all of them are four digits.
                    visible += &format!("\\u{:04x}", u32::from(character));
                } else {
                    visible.push(character);
                }
            }
            self.0.write_all(visible.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Controls beyond ASCII, those for the direction of writing (UAX 9, 2), and those that end lines.
fn is_misleading(character: char) -> bool {
    matches!(character, '\u{80}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_no_filter() {
        for right in ["debug", "INFO,h2=error", "off", "info,[call{a=1}]=debug", "h2=trace", ""] {
            assert!(filter(right.as_ref()).is_ok(), "{right}");
        }
        for wrong in ["inof", "info,h2=loud", "info h2", "==", "h2"] {
            assert!(filter(wrong.as_ref()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_would_turn_a_line_around_is_written_by_its_number() {
        let written = |line: &str| {
            let mut log = Visible(Vec::new());
            log.write_all(line.as_bytes()).unwrap();
            String::from_utf8(log.0).unwrap()
        };
        assert_eq!(written("/\u{202e}gpj.é\n"), "/\\u202egpj.é\n");
        for misleading in ['\u{202a}', '\u{2066}', '\u{2069}', '\u{9b}', '\u{200f}', '\u{2028}'] {
            assert_eq!(written(&misleading.to_string()), format!("\\u{:04x}", u32::from(misleading)));
        }
        assert_eq!(
            written("\u{1b}[2m a \u{1b}[0m\n"),
            "\u{1b}[2m a \u{1b}[0m\n",
            "the colours are tracing's own"
        );
    }
}
