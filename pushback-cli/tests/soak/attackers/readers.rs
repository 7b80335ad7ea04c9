//! Clients that ask for long answers, and read little of them or nothing.

use std::time::Duration;

use tokio::time::interval;

use super::Attackers;
use crate::{raw::Raw, support::request};

/// More than the system takes off the proxy's hands.
const LONG: &str = "/big?bytes=20000000";
/// What a slow reader reads at a time, and how often: 16 KiB a second.
const STEP: usize = 4 << 10;
const EVERY: Duration = Duration::from_millis(250);
const STEPS: u32 = 60;

pub(super) fn start(attackers: &mut Attackers, address: &str) {
    let second = Duration::from_secs(1);
    attackers.add("answers not read", 3, second, read_nothing, address);
    attackers.add("answers read slowly", 3, second, read_slowly, address);
}

async fn ask(address: &str) -> Option<Raw> {
    let mut client = Raw::connect_narrow(address).await;
    client.write(request(address, LONG).as_bytes()).await.ok()?;
    client.head().await.is_ok_and(|answer| answer.status == 200).then_some(client)
}

async fn read_nothing(address: String) {
    let Some(mut client) = ask(&address).await else { return };
    // What it writes is another request, which nobody reads before the answer is over: so it hears of its end and reads nothing.
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        if client.write(b"\r\n").await.is_err() {
            return;
        }
    }
}

async fn read_slowly(address: String) {
    let Some(mut client) = ask(&address).await else { return };
    let mut ticks = interval(EVERY);
    for _ in 0..STEPS {
        ticks.tick().await;
        if client.read(STEP).await.is_err() {
            return;
        }
    }
}
