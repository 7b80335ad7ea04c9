//! A limit that finds itself is about the service: clients that read or send slowly do not raise it, and do not lower it.

use std::time::Duration;

use tokio::time::{interval, sleep};

use super::{honest::Honest, often, raw::Raw};
use crate::support::{Proxy, Service, request};

/// How many of them come each second: so many senders that others still find places between them.
const READERS: u32 = 30;
const SENDERS: u32 = 5;
/// How long each of them stays, which is less than the bound of `--stall`.
const STAYS: Duration = Duration::from_secs(8);
/// Honest clients, of whom more than these are never in flight.
const HONEST: usize = 4;
/// Where the limit begins. It goes no higher where so few are in flight.
const BEGINS: f64 = 20.0;

/// The highest limit while honest clients and these are there.
async fn attacked<Once>(rate: u32, attack: impl Fn(String) -> Once + Clone + Send + 'static) -> (f64, Honest)
where
    Once: Future<Output = ()> + Send + 'static,
{
    let service = Service::start();
    let proxy = Proxy::start(&service.url(), &[]);
    let honest = Honest::start(&proxy, "/?ms=20", HONEST);
    honest.phase(&proxy).await;
    let address = proxy.address.clone();
    let slow = often(rate, move || attack(address.clone()));
    let mut highest: f64 = 0.0;
    for _ in 0..3 {
        highest = highest.max(honest.phase(&proxy).await.limit);
    }
    drop(slow);
    (highest, honest)
}

async fn read_nothing(address: String) {
    let mut client = Raw::connect_narrow(&address).await;
    let asked = request(&address, "/big?bytes=4000000");
    if client.write(asked.as_bytes()).await.is_ok() && client.head().await.is_ok() {
        sleep(STAYS).await;
    }
}

#[tokio::test]
async fn readers_who_do_not_read_move_no_limit_and_take_no_place() {
    let (limit, honest) = attacked(READERS, read_nothing).await;
    assert!(limit <= BEGINS, "the limit went to {limit}");
    assert_eq!(honest.not_served(), 0, "their places are lent to others");
}

/// More than is read before the gauge is asked, and then more than the least rate.
async fn send_slowly(address: String) {
    const FIRST: usize = 100_000;
    const STEP: usize = 4_000;
    let mut upload = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n".to_vec();
    upload.resize(upload.len() + FIRST, b'x');
    let mut client = Raw::send(&address, &upload).await;
    let mut ticks = interval(Duration::from_millis(500));
    let steps = async {
        loop {
            ticks.tick().await;
            if client.write(&[b'x'; STEP]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = steps => (),
        () = sleep(STAYS) => (),
    }
}

#[tokio::test]
async fn senders_who_send_slowly_move_no_limit() {
    let (limit, honest) = attacked(SENDERS, send_slowly).await;
    assert!(limit <= BEGINS, "the limit went to {limit}");
    // They take places, as they do under a limit that is fixed: what they send may be all that the work needs.
    assert!(honest.served() > 0);
}
