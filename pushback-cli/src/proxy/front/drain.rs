//! The clean end: no call is lost that somebody has sent.
//!
//! First the answers say that their connections end, and readiness says no, while new connections are still taken: clients
//! and balancers go elsewhere by themselves. Then nothing new is accepted, connections on which nothing runs are closed,
//! and what runs is finished.

use std::time::Duration;

use pushback_lab::count;
use tokio::time::timeout;

use super::{draining::Stage, site::Sites, worker::Workers};
use crate::{failure::Failure, output::say};

/// How long clients have to hear that their connection ends.
const NOTICE: Duration = Duration::from_secs(1);

pub(in crate::proxy) async fn run(sites: &Sites, workers: Workers, bound: Duration) -> Result<(), Failure> {
    sites.draining.enter(Stage::Noticing);
    tokio::time::sleep(NOTICE.min(bound)).await;
    sites.draining.enter(Stage::Ending);
    let ended = tokio::task::spawn_blocking(|| workers.join());
    if timeout(bound, ended).await.is_ok() {
        return Ok(());
    }
    let bound = humantime::format_duration(bound);
    // WebSockets outlive most drains, and their clients connect anew: they are told, and are no failure.
    match sites.upgraded() {
        0 => (),
        open => say(&format!("Cut after {bound}: {}.", count(open, "upgraded connection"))),
    }
    match sites.in_flight() {
        // Connections may be left, but nobody on them waits for anything.
        0 => Ok(()),
        left => Err(Failure::run(format!("{left} still in flight after {bound}"))),
    }
}
