//! How many files the process may have open, which sockets are too.

use std::io;

/// Raises the limit as far as whoever started the process allows, and says how many there may be now.
pub(crate) fn raise_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// Whether there are no more, for this process or for all of the system.
pub(crate) fn are_exhausted(error: &io::Error) -> bool {
    const PROCESS: i32 = 24; // EMFILE
    const SYSTEM: i32 = 23; // ENFILE
    cfg!(unix) && matches!(error.raw_os_error(), Some(PROCESS | SYSTEM))
}
