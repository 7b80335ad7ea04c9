//! Where limits stood, kept in a file for the next start, which then goes on from there. What a limit has found out outlasts the process.
//!
//! A thread of its own writes it, for a disk may take long or for ever: no call waits for it, and neither does the end.

mod file;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use tracing::{debug, info, warn};

use self::file::Remembered;
use super::{
    front::{gauges::Stood, site::Sites},
    now,
};

/// How often it is looked whether limits have moved.
const LOOK: Duration = Duration::from_secs(10);
/// What stands still is written so often all the same, in seconds: or it would be too old one day.
const AGAIN: u64 = 3600;
/// How old it may be to be heeded, in seconds: services change.
const AGE_MAX: u64 = 24 * 3600;
/// How long the end waits for it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where limits stood when the last proxy with this file ended. Nothing, if that is not known or too long ago.
pub(super) fn read(file: &Path) -> Stood {
    let shown = file.display();
    match Remembered::read(file) {
        Ok(None) => info!(file = %shown, "the state file is not there yet: limits begin as usual"),
        Ok(Some(Remembered { time, limits })) => {
            let age = now::unix_time().abs_diff(time);
            if age <= AGE_MAX {
                info!(file = %shown, gauges = limits.len(), "limits go on from where the state file has them");
                return limits;
            }
            let hours = age / 3600;
            info!(file = %shown, hours, "the state file is older than a day and is ignored");
        }
        Err(reason) => warn!(file = %shown, reason, "the state file cannot be used: limits begin as usual"),
    }
    Stood::new()
}

/// Whether limits can be remembered in this file.
pub(super) fn check(file: &Path) -> Result<(), String> {
    let folder = file::folder(file);
    file::try_folder(file).map_err(|error| format!("{} cannot be written: {error}", folder.display()))
}

/// Who writes.
pub(super) struct Writer {
    wants_the_end: mpsc::Sender<()>,
    has_ended: oneshot::Receiver<()>,
}

impl Writer {
    /// Keeps in this file where the limits of these gauges stand; `stood` is what was read from it.
    pub(super) fn start(file: PathBuf, stood: Stood, sites: Arc<Sites>) -> std::io::Result<Self> {
        let (wants_the_end, end) = mpsc::channel();
        let (tell, has_ended) = oneshot::channel();
        thread::Builder::new().name("state".to_owned()).spawn(move || {
            let mut keeper = Keeper::new(file, stood);
            loop {
                keeper.look(&sites.now().found());
                keeper.write(now::unix_time());
                if end.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            keeper.look(&sites.now().found());
            keeper.write_again(now::unix_time());
            let _ = tell.send(()); // or nobody waits any more
        })?;
        Ok(Writer { wants_the_end, has_ended })
    }

    /// Has it look and write for the last time. When a drain begins, and not at its end: how limits follow a load that goes away says
    /// nothing of the service.
    pub(super) fn finish(&self) {
        let _ = self.wants_the_end.send(());
    }

    /// Waits a moment for what was written last.
    pub(super) async fn wait(self) {
        if timeout(LAST_WORDS, self.has_ended).await.is_err() {
            warn!("the state file is not written: the disk is too slow");
        }
    }
}

/// What is remembered, and what of it is written.
struct Keeper {
    file: PathBuf,
    limits: Stood,
    written: Option<Remembered>,
    /// It was said that it cannot be written.
    fails: bool,
}

impl Keeper {
    fn new(file: PathBuf, stood: Stood) -> Self {
        Keeper { file, limits: stood, written: None, fails: false }
    }

    /// Sees where limits stand now. What was known before stays where a limit says nothing new.
    fn look(&mut self, found: &[(&str, Option<u32>)]) {
        let limits = found.iter().filter_map(|(name, limit)| {
            let limit = limit.or_else(|| self.limits.get(*name).copied())?;
            Some(((*name).to_owned(), limit))
        });
        self.limits = limits.collect();
    }

    /// Writes what has changed, and what has not now and then.
    fn write(&mut self, now: u64) {
        let is_written = self
            .written
            .as_ref()
            .is_some_and(|written| written.limits == self.limits && now.abs_diff(written.time) < AGAIN);
        if !is_written {
            self.write_again(now);
        }
    }

    fn write_again(&mut self, now: u64) {
        let remembered = Remembered { time: now, limits: self.limits.clone() };
        let (shown, failed) = (self.file.display(), self.fails);
        match remembered.write(&self.file) {
            Ok(()) => {
                debug!(file = %shown, gauges = remembered.limits.len(), "the state file is written");
                if failed {
                    info!(file = %shown, "the state file can be written again");
                }
                self.written = Some(remembered);
                self.fails = false;
            }
            Err(error) => {
                if !failed {
                    warn!(file = %shown, %error, "the state file cannot be written; this is logged once until it works again");
                }
                self.fails = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn stood<const N: usize>(limits: [(&str, u32); N]) -> Stood {
        limits.into_iter().map(|(name, limit)| (name.to_owned(), limit)).collect()
    }

    #[test]
    fn a_limit_that_says_nothing_new_is_remembered_as_before_and_one_that_is_gone_is_not() {
        let mut keeper = Keeper::new(PathBuf::new(), stood([("pinned", 7), ("gone", 9)]));
        keeper.look(&[("pinned", None), ("new", None), ("moved", Some(30))]);
        assert_eq!(keeper.limits, stood([("pinned", 7), ("moved", 30)]));
        keeper.look(&[("pinned", Some(8)), ("new", None), ("moved", None)]);
        assert_eq!(keeper.limits, stood([("pinned", 8), ("moved", 30)]));
    }

    #[test]
    fn what_has_changed_is_written_and_what_has_not_once_an_hour() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let mut keeper = Keeper::new(file.clone(), Stood::new());
        let mut is_written_at = |time, limit| {
            let _ = fs::remove_file(&file);
            keeper.look(&[("a", limit)]);
            keeper.write(time);
            file.exists()
        };
        assert!(is_written_at(1000, None), "whether it can be written shows at the start");
        assert!(!is_written_at(1010, None));
        assert!(is_written_at(1020, Some(5)));
        assert!(!is_written_at(1030, Some(5)));
        assert!(is_written_at(1020 + AGAIN, Some(5)));
        assert!(is_written_at(1030 + AGAIN, Some(6)));
    }

    #[test]
    fn what_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gone").join("state.json");
        let mut keeper = Keeper::new(file.clone(), stood([("a", 5)]));
        keeper.write(1000);
        assert!(keeper.fails);
        fs::create_dir(folder.path().join("gone")).unwrap();
        keeper.write(1010);
        assert!(!keeper.fails);
        let limits = stood([("a", 5)]);
        assert_eq!(Remembered::read(&file), Ok(Some(Remembered { time: 1010, limits })));
    }
}
