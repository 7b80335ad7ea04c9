//! Clients that ask, wait for the answer, and ask again at a steady pace.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::interval};

use super::{metric, raw::Raw};
use crate::support::Proxy;

/// How often each of them asks. Above the time that their calls take, so that what is served does not depend on how busy this machine is.
const PACE: Duration = Duration::from_millis(40);
/// How long a phase is, in which answers are counted.
const PHASE: Duration = Duration::from_secs(2);

/// They go on until this is dropped.
pub(super) struct Honest {
    answers: Arc<Answers>,
    _clients: JoinSet<()>,
}

#[derive(Default)]
struct Answers {
    served: AtomicU64,
    /// Anything but 200.
    other: AtomicU64,
}

impl Honest {
    pub(super) fn start(proxy: &Proxy, path: &'static str, count: usize) -> Self {
        let answers = Arc::new(Answers::default());
        let mut clients = JoinSet::new();
        for _ in 0..count {
            clients.spawn(ask_again_and_again(proxy.address.clone(), path, Arc::clone(&answers)));
        }
        Honest { answers, _clients: clients }
    }

    /// How many were answered by the service.
    pub(super) fn served(&self) -> u64 {
        self.answers.served.load(Ordering::Relaxed)
    }

    /// How many were answered otherwise, or not at all.
    pub(super) fn not_served(&self) -> u64 {
        self.answers.other.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered by the service.
    pub(super) async fn serve(&self, more: u64) {
        let enough = self.served() + more;
        while self.served() < enough {
            tokio::task::yield_now().await;
        }
    }

    /// What is served in a phase, and where the limit is in it.
    pub(super) async fn phase(&self, proxy: &Proxy) -> Phase {
        const LOOKS: u32 = 20;
        let mut ticks = interval(PHASE / LOOKS);
        ticks.tick().await; // which comes at once
        let before = self.served();
        let mut limits = 0.0;
        for _ in 0..LOOKS {
            ticks.tick().await;
            limits += metric(proxy, super::LIMIT).await;
        }
        Phase { served: self.served() - before, limit: limits / f64::from(LOOKS) }
    }
}

#[derive(Debug)]
pub(super) struct Phase {
    pub(super) served: u64,
    /// On average.
    pub(super) limit: f64,
}

async fn ask_again_and_again(address: String, path: &'static str, answers: Arc<Answers>) {
    let mut ticks = interval(PACE);
    loop {
        let mut client = Raw::connect(&address).await;
        loop {
            ticks.tick().await;
            let asked = client.get(&address, path).await;
            let is_served = asked.as_ref().is_ok_and(|answer| answer.status == 200);
            let count = if is_served { &answers.served } else { &answers.other };
            count.fetch_add(1, Ordering::Relaxed);
            if asked.is_err() {
                break; // with its connection
            }
        }
    }
}
