//! How many files the process may have open, which sockets are too.

use std::{fs, io};

use metrics::{describe_gauge, gauge};

/// Raises the limit as far as whoever started the process allows, and says how many there may be now.
pub(crate) fn raise_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// Says how many are open, where that is simple to know: Linux has them in a folder. A crate that knows other systems as well would need
/// clang to be built there.
pub(crate) fn publish_metrics() {
    const OPEN: &str = "process_open_fds";
    let Ok(files) = fs::read_dir("/proc/self/fd") else { return };
    describe_gauge!(OPEN, "How many files the process has open.");
    gauge!(OPEN).set(files.count().saturating_sub(1) as f64); // without the folder itself
}

/// Whether there are no more, for this process or for all of the system.
pub(crate) fn are_exhausted(error: &io::Error) -> bool {
    const PROCESS: i32 = 24; // EMFILE
    const SYSTEM: i32 = 23; // ENFILE
    cfg!(unix) && matches!(error.raw_os_error(), Some(PROCESS | SYSTEM))
}
