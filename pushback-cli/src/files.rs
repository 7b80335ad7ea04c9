//! How many files the process may have open, which sockets are too, and who may have how many of them.

use std::{fs, io, sync::Arc};

use metrics::{describe_gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const PROCESS: i32 = 24; // EMFILE
const SYSTEM: i32 = 23; // ENFILE

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
    cfg!(unix) && matches!(error.raw_os_error(), Some(PROCESS | SYSTEM))
}

/// As many files as somebody may have, so that others have theirs.
#[derive(Clone)]
pub(crate) struct Share(Arc<Semaphore>);

/// A file of a share, which has it back when this is dropped.
pub(crate) struct Taken(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl Share {
    pub(crate) fn of(files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        Share(Arc::new(Semaphore::new(files.min(Semaphore::MAX_PERMITS))))
    }

    /// Whoever is alone needs no share.
    pub(crate) fn of_all() -> Self {
        Share::of(u64::MAX)
    }

    /// Fails as the system does for a process that has no more.
    pub(crate) fn take(&self) -> io::Result<Taken> {
        let taken = Arc::clone(&self.0).try_acquire_owned();
        taken.map(Taken).map_err(|_| io::Error::from_raw_os_error(PROCESS))
    }
}
