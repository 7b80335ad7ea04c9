//! Where logs are written, and how.

use std::io::{self, Write};

use super::settings::Log;

pub(super) fn start(form: Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PUSHBACK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Visible(io::stderr()));
    // A log that is there already, as in a test, stays.
    let _ = match form {
        Log::Text => log.try_init(),
        Log::Json => log.json().flatten_event(true).try_init(),
    };
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
