//! Other settings while the proxy runs: at SIGHUP, and when the file or a file that it names has changed. Wrong ones change nothing and
//! are told.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sd_notify::NotifyState;

use super::{
    front::site::Sites,
    settings::{self, Settings},
    systemd,
};
use crate::shutdown::Hangups;

/// How often files are looked at. By their content: what tells of changes does not tell of all, such as a folder's that
/// is replaced by way of a link.
const LOOK: Duration = Duration::from_secs(1);

/// Runs beside the proxy, until that ends.
pub(super) async fn watch(file: Option<PathBuf>, sites: Arc<Sites>, mut hangups: Hangups) {
    let Some(file) = file else {
        loop {
            hangups.next().await;
            tracing::warn!(
                "SIGHUP changes nothing, for the settings are flags; only --config FILE is read again"
            );
        }
    };
    let mut files = Files::of(&file, &sites);
    loop {
        tokio::select! {
            () = hangups.next() => (),
            () = files.change() => (),
        }
        systemd::tell(NotifyState::Reloading);
        // Looked at before they are read, so that what is written in the meantime is a change.
        let file_before = fs::read(&file).ok();
        reload(&file, &sites);
        systemd::tell(NotifyState::Ready);
        files = Files::of(&file, &sites);
        files.0[0].1 = file_before;
    }
}

fn reload(file: &Path, sites: &Sites) {
    let changed = settings::read(file).and_then(|mut settings| {
        let kept = settings.keep(&sites.now().settings);
        sites.change(settings).map_err(|problem| vec![format!("{}: {problem}", file.display())])?;
        Ok(kept)
    });
    match changed {
        Ok(kept) => {
            tracing::info!(file = %file.display(), "settings read again");
            sites.now().settings.tell_remarks();
            for key in kept {
                tracing::warn!(key, "this takes effect at the next start only");
            }
        }
        Err(problems) => {
            for problem in &problems {
                tracing::error!("{problem}");
            }
            tracing::error!(problems = problems.len(), "the settings are wrong and stay as they were");
        }
    }
}

impl Settings {
    /// Keeps of the others what cannot change while the proxy runs; names what was to change.
    fn keep(&mut self, running: &Settings) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let mut keep = |key, differs: bool| {
            if differs {
                kept.push(key);
            }
        };
        keep("listen", self.listen != running.listen);
        keep("workers", self.workers != running.workers);
        keep("log", self.log != running.log);
        keep("state", self.state != running.state);
        keep("clients.connections", self.clients.connections != running.clients.connections);
        keep("clients.idle", self.clients.idle != running.clients.idle);
        keep("admin", self.admin != running.admin);
        self.listen = running.listen;
        self.workers = running.workers;
        self.log = running.log;
        self.state.clone_from(&running.state);
        self.clients.connections = running.clients.connections;
        self.clients.idle = running.clients.idle;
        self.admin = running.admin.clone();
        kept
    }
}

/// What was read, as it was then.
struct Files(Vec<(PathBuf, Option<Vec<u8>>)>);

impl Files {
    fn of(file: &Path, sites: &Sites) -> Self {
        let mut files = settings::named_files(&sites.now().settings);
        files.insert(0, file.to_owned());
        Files(
            files
                .into_iter()
                .map(|file| (fs::read(&file).ok(), file))
                .map(|(text, file)| (file, text))
                .collect(),
        )
    }

    /// Waits until they are others, and have been so for a moment: whoever writes a file may be in the middle of it.
    async fn change(&self) {
        let read = || self.0.iter().map(|(file, _)| fs::read(file).ok()).collect::<Vec<_>>();
        let before: Vec<_> = self.0.iter().map(|(_, text)| text.clone()).collect();
        let mut last = before.clone();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = read();
            if now != before && now == last {
                return;
            }
            last = now;
        }
    }
}
