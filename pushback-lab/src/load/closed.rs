//! A closed loop: so many callers, each of which sends its next request when it has the answer to the last.
//!
//! A closed loop slows down with the service it measures. It shows who is admitted and who is refused, but not what
//! latency users would see who do not wait for each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pushback::{Clock, SystemClock};
use tokio::task::JoinSet;

use super::{
    Call, Load, Run, Target,
    client::{Client, RunEnd},
};

/// A closed loop: how many requests, by how many callers at once.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Where they go.
    pub target: Target,
    /// How many requests in all.
    pub requests: u64,
    /// How many callers; each waits for its answer before it sends again.
    pub callers: u64,
    /// After how long a caller gives up.
    pub timeout: Duration,
}

impl Closed {
    pub(super) async fn run(
        &self,
        stop: impl Future<Output = ()>,
        each: impl Fn(&Call) + Send + Sync + 'static,
    ) -> Run {
        let callers = self.callers.min(self.requests);
        let client = Arc::new(Client::new(&self.target, self.timeout, callers, each));
        let taken = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (client, taken, requests) = (Arc::clone(&client), Arc::clone(&taken), self.requests);
            tasks.spawn(async move {
                while taken.fetch_add(1, Ordering::Relaxed) < requests {
                    client.call(SystemClock.now()).await;
                }
            });
        }
        let end = tokio::select! {
            _ = tasks.join_all() => RunEnd::Finished,
            () = stop => RunEnd::Stopped,
        };
        client.run(Load::Closed(Closed { callers, ..self.clone() }), end)
    }
}
