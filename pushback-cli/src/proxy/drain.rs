//! The clean end: no call is lost that somebody has sent.
//!
//! First the answers say that their connections end, and readiness says no, while new connections are still taken: clients
//! and balancers go elsewhere by themselves. Then nothing new is accepted, connections on which nothing runs are closed,
//! and what runs is finished.

use std::time::Duration;

use tokio::{sync::watch, time::timeout};

use super::{gate::Gates, worker::Workers};
use crate::failure::Failure;

/// How long clients have to hear that their connection ends.
const NOTICE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Noticing,
    Ending,
}

/// How far the drain is.
#[derive(Debug, Clone)]
pub(super) struct Draining(watch::Sender<Stage>);

impl Draining {
    pub(super) fn new() -> Self {
        Draining(watch::Sender::new(Stage::Serving))
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow() > Stage::Serving
    }

    /// Waits until nothing new is to be accepted.
    pub(super) async fn wants_the_end(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|stage| *stage == Stage::Ending).await;
    }

    fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}

pub(super) async fn run(gates: &Gates, workers: Workers, bound: Duration) -> Result<(), Failure> {
    gates.draining.enter(Stage::Noticing);
    tokio::time::sleep(NOTICE.min(bound)).await;
    gates.draining.enter(Stage::Ending);
    let ended = tokio::task::spawn_blocking(|| workers.join());
    match timeout(bound, ended).await {
        Ok(_) => Ok(()),
        // Connections may be left, but nobody on them waits for anything.
        Err(_) if gates.in_flight() == 0 => Ok(()),
        Err(_) => Err(Failure::run(format!(
            "{} still in flight after {}",
            gates.in_flight(),
            humantime::format_duration(bound)
        ))),
    }
}
