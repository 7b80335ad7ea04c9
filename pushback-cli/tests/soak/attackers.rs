//! Clients that mean harm, all at once. They are so many and no more, and each of them does what it does no more often than at its pace:
//! it is not the processors of this machine that are attacked.

mod leavers;
mod readers;
mod silent;
mod uploads;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{proxy::Soaked, raw::Raw};

pub(crate) struct Attackers {
    clients: JoinSet<()>,
    begun: Vec<(&'static str, Arc<AtomicU32>)>,
}

impl Attackers {
    pub(crate) fn start(soaked: &Soaked) -> Self {
        let mut attackers = Attackers { clients: JoinSet::new(), begun: Vec::new() };
        let address = soaked.proxy.address.as_str();
        uploads::start(&mut attackers, address);
        leavers::start(&mut attackers, address);
        readers::start(&mut attackers, address);
        silent::start(&mut attackers, soaked);
        for path in FAULTS {
            attackers.add(path, 1, Duration::from_millis(250), move |address| fault(address, path), address);
        }
        attackers
    }

    /// So many clients, each of which does this at this pace, or as soon as it has come to its end.
    fn add<Once>(
        &mut self,
        what: &'static str,
        clients: u32,
        pace: Duration,
        attack: impl Fn(String) -> Once + Clone + Send + 'static,
        address: &str,
    ) where
        Once: Future<Output = ()> + Send + 'static,
    {
        let begun = self.count(what);
        for number in 0..clients {
            let (attack, address, begun) = (attack.clone(), address.to_owned(), Arc::clone(&begun));
            self.clients.spawn(async move {
                sleep(pace * number / clients).await; // not all at once
                let mut ticks = interval(pace);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    begun.fetch_add(1, Ordering::Relaxed);
                    attack(address.clone()).await;
                }
            });
        }
    }

    fn count(&mut self, what: &'static str) -> Arc<AtomicU32> {
        let known = self.begun.iter().find(|(known, _)| *known == what);
        if let Some((_, begun)) = known {
            return Arc::clone(begun);
        }
        let begun = Arc::default();
        self.begun.push((what, Arc::clone(&begun)));
        begun
    }

    /// Ends all, and says how often each attack has begun.
    pub(crate) async fn stop(self) -> Vec<(&'static str, u32)> {
        crate::stop(self.clients).await;
        let begun = self.begun.iter().map(|(what, times)| (*what, times.load(Ordering::Relaxed)));
        let begun: Vec<_> = begun.collect();
        assert!(begun.iter().all(|(_, times)| *times > 0), "not all have attacked: {begun:?}");
        begun
    }
}

/// Where the service goes wrong. The first three are calls of the honest clients' gauge: who breaks off is not overloaded.
const FAULTS: [&str; 5] = ["/close", "/garbage", "/half", "/unavailable", "/slow?ms=2000"];

async fn fault(address: String, path: &str) {
    let mut client = Raw::connect(&address).await;
    let answer = client.get(&address, path).await;
    // What is broken off is broken off here too.
    let status = answer.map_or(0, |answer| answer.status);
    let meant = match path {
        "/half" => 0,
        "/unavailable" => 503,
        "/slow?ms=2000" => 504,
        _ => 502,
    };
    assert!([meant, 429].contains(&status), "{path}: {status}");
}
