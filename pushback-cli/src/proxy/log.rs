//! The log, on standard error. It never decides over calls: a line that cannot be written is lost and counted.

use std::io::{IsTerminal, stderr};

use metrics::{counter, describe_counter};
use tracing_subscriber::EnvFilter;

use super::settings::Log;
use crate::output;

/// h2 warns of each connection that resets too many streams, which any client can have it do.
const FILTER: &str = "info,h2=error";

pub(super) fn begin(form: Log) {
    let filter = EnvFilter::try_from_env("PUSHBACK_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(output::log);
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
}

pub(super) fn publish_metrics() {
    const DROPPED: &str = "pushback_log_lines_dropped_total";
    describe_counter!(DROPPED, "Lines of the log, and of standard output, that could not be written.");
    counter!(DROPPED).absolute(output::dropped());
}
