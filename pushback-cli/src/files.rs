//! How many files the process may have open, which sockets are too, and who may have how many of them.

use std::{
    fs, io,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use metrics::{describe_gauge, gauge};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

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
pub(crate) struct Share {
    files: Arc<Semaphore>,
    spares: Arc<Mutex<Vec<Weak<dyn Spare>>>>,
}

/// Has files of a share that nobody needs now.
pub(crate) trait Spare: Send + Sync {
    /// Gives one of them back, if there is one; it may be free a moment later.
    fn give_back_one(&self) -> bool;
}

/// A file of a share, which has it back when this is dropped.
pub(crate) struct Taken(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

/// In which time a file is free that was given back.
const FREE_WITHIN: Duration = Duration::from_millis(500);

impl Share {
    pub(crate) fn of(files: u64) -> Self {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        Share { files: Arc::new(Semaphore::new(files.min(Semaphore::MAX_PERMITS))), spares: Arc::default() }
    }

    /// Whoever is alone needs no share.
    pub(crate) fn of_all() -> Self {
        Share::of(u64::MAX)
    }

    /// Where files may be that nobody needs, for as long as that is there.
    pub(crate) fn ask_if_needed(&self, spare: Weak<dyn Spare>) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.retain(|spare| spare.strong_count() > 0);
        spares.push(spare);
    }

    /// If none is left and none can be given back, fails as the system does for a process that has no more.
    pub(crate) async fn take(&self) -> io::Result<Taken> {
        let files = || Arc::clone(&self.files);
        if let Ok(taken) = files().try_acquire_owned() {
            return Ok(Taken(taken));
        }
        let none = || io::Error::from_raw_os_error(PROCESS);
        if !self.makes_room() {
            return Err(none());
        }
        match timeout(FREE_WITHIN, files().acquire_owned()).await {
            Ok(Ok(taken)) => Ok(Taken(taken)),
            _ => Err(none()),
        }
    }

    fn makes_room(&self) -> bool {
        // Not under the lock, for these have locks of their own.
        let spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner).clone();
        spares.iter().filter_map(Weak::upgrade).any(|spare| spare.give_back_one())
    }
}
