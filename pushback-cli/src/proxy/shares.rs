//! Who may have how many of the files that the process may have: or clients who only connect would take those by which calls reach
//! their services, and all together those of probes.

use metrics::{describe_gauge, gauge};
use pushback_lab::count;
use tracing::{info, warn};

use super::settings::{Said, Settings};
use crate::{
    failure::Failure,
    files::{Share, raise_limit},
};

/// A worker's listener and its runtime's.
const OF_WORKER: u64 = 5;
/// What else there is: outputs, listeners, the runtime beside the workers, certificates and names that are looked up.
const BESIDE: u64 = 32;
/// With fewer for connections, a proxy is none.
const CONNECTIONS_MIN: u64 = 16;
/// How many are enough for probes, scrapers and people, on each of their listeners.
const VISITORS: u64 = 200;
const LISTENERS_OF_VISITORS: u64 = 2;

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    clients: u32,
    visitors: u64,
    services: u64,
}

/// Who may have how many connections.
pub(super) struct Shares {
    pub(super) clients: u32,
    /// On each of the listeners for probes and the admin.
    pub(super) visitors: usize,
    pub(super) services: Share,
    files: u64,
}

impl Shares {
    /// Raises the limit of open files as far as that goes, and shares what there is.
    pub(super) fn of_all_files(settings: &Settings) -> Result<Self, Failure> {
        // A system that does not say how many there are may have as many as are wanted.
        let files = raise_limit().unwrap_or(u64::MAX);
        let workers = settings.workers;
        let counts = Counts::of(files, workers as u64, settings.clients.connections).map_err(|least| {
            Failure::run(format!(
                "{files} open files are too few for {}: {least} are needed; raise the hard limit (ulimit -n)",
                count(workers as u64, "worker")
            ))
        })?;
        Ok(Shares {
            clients: counts.clients,
            visitors: usize::try_from(counts.visitors).unwrap_or(usize::MAX),
            services: Share::of(counts.services),
            files,
        })
    }

    /// Says how many files there are, and whether that is enough.
    pub(super) fn tell(&self, settings: &Settings, said: Said<'_>) {
        describe_gauge!("process_max_fds", "How many files the process may have open.");
        gauge!("process_max_fds").set(self.files as f64);
        let (files, connections, wanted) = (self.files, self.clients, settings.clients.connections);
        info!("this process may have {files} files open");
        if connections < wanted {
            let setting = said.name("--connections", "clients.connections");
            warn!(
                "clients get {connections} connections instead of the {wanted} of {setting}, because {files} open files \
                 are too few for more: raise the hard limit (ulimit -n), or ask for fewer"
            );
        }
    }
}

impl Counts {
    /// As many connections to services as from clients, or more: a call over HTTP/1 needs one of each. An error is how many files would do.
    fn of(files: u64, workers: u64, clients_wanted: u32) -> Result<Self, u64> {
        let beside = BESIDE + OF_WORKER * workers;
        let connections = files.saturating_sub(beside);
        if connections < CONNECTIONS_MIN {
            return Err(beside + CONNECTIONS_MIN);
        }
        let visitors = VISITORS.min(connections / 8);
        let connections = connections - LISTENERS_OF_VISITORS * visitors;
        let clients = u32::try_from(connections / 2).unwrap_or(u32::MAX).min(clients_wanted);
        Ok(Counts { clients, visitors, services: connections - u64::from(clients) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_have_no_more_than_there_are_and_each_has_some() {
        for files in [53, 64, 100, 1000, 1024, 20_000, 1 << 30] {
            for wanted in [1, 100, 20_000, u32::MAX] {
                let Counts { clients, visitors, services } = Counts::of(files, 1, wanted).unwrap();
                let all = u64::from(clients) + 2 * visitors + services + OF_WORKER + BESIDE;
                assert_eq!(all, files);
                assert!(clients >= 1 && visitors >= 2 && services >= u64::from(clients), "{files} {wanted}");
            }
        }
    }

    #[test]
    fn clients_have_what_they_want_where_there_is_enough() {
        let counts = |files| Counts::of(files, 2, 20_000);
        assert_eq!(counts(20_000), Ok(Counts { clients: 9779, visitors: 200, services: 9779 }));
        assert_eq!(counts(1 << 20), Ok(Counts { clients: 20_000, visitors: 200, services: 1_028_134 }));
        assert_eq!(counts(57), Err(58));
        assert!(counts(58).is_ok() && counts(0).is_err());
        assert!(counts(u64::MAX).is_ok());
    }
}
