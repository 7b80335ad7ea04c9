//! Clients that mean harm, and what the honest ones beside them notice of it.
//!
//! Each attack is bounded in count and time, and stays on this machine. Where a pause is awaited here, it is a client's own: the pace of
//! its attack, the length of a phase that is counted, or how long it stays before it leaves.

mod abandoned;
mod beside;
mod blame;
mod bodies;
mod counted;
mod drops;
mod files;
mod honest;
mod raw;
mod readers;
mod secure;
mod slow_clients;
mod streams;
mod time_outs;
mod within;

use std::{future::Future, time::Duration};

use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use self::{raw::Raw, within::within};
use crate::support::Proxy;

/// Does something so often a second, whether or not it has come to its end the last time, until this is dropped.
#[must_use = "an attack ends when this is dropped"]
fn often<Once>(rate: u32, attack: impl Fn() -> Once + Send + 'static) -> JoinSet<()>
where
    Once: Future<Output = ()> + Send + 'static,
{
    let mut all = JoinSet::new();
    all.spawn(async move {
        let mut running = JoinSet::new();
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            running.spawn(attack());
            while running.try_join_next().is_some() {}
        }
    });
    all
}

/// The sum of all of the proxy's metrics whose names begin so; 0 as long as there is none.
async fn metric(proxy: &Proxy, name: &str) -> f64 {
    let mut scraper = Raw::connect(&proxy.admin).await;
    let all = scraper.get(&proxy.admin, "/metrics").await.expect("the admin listener answers").body;
    let lines = all.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Requests that have a place.
const IN_FLIGHT: &str = "pushback_in_flight{";
const LIMIT: &str = "pushback_limit{gauge=\"upstream\"}";

/// Waits until nobody has a place any more.
async fn nobody_holds_a_place(proxy: &Proxy) {
    let free = async { while metric(proxy, IN_FLIGHT).await > 0.0 {} };
    within(Duration::from_secs(15), "all places are free", free).await;
}

/// In which time a probe wants its answer.
const PROBE_MAX: Duration = Duration::from_secs(2);

async fn is_alive(address: &str) -> bool {
    let asking = async { Raw::connect(address).await.get(address, "/healthz").await };
    matches!(timeout(PROBE_MAX, asking).await, Ok(Ok(answer)) if answer.status == 200)
}

/// A proxy by a settings file, which is in the folder.
fn proxy_by(folder: &TempDir, settings: &str) -> Proxy {
    let file = folder.path().join("pushback.toml");
    let usual = "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n";
    std::fs::write(&file, format!("{usual}{settings}")).unwrap();
    Proxy::start_with(&["--config", file.to_str().unwrap()], |_| ())
}
