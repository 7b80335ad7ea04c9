//! Clients that leave beside honest ones, while the limit finds itself: they must not talk it down.

use std::time::Duration;

use tokio::time::sleep;

use super::{honest::Honest, often, raw::Raw};
use crate::support::{Proxy, Service, request};

/// How long the service takes, usually.
const USUAL: Duration = Duration::from_millis(20);
const HONEST: usize = 8;
const ATTACKS_A_SECOND: u32 = 100;
/// What must be left of goodput and limit.
const SHARE: f64 = 0.95;
/// The best of so many counts, for other programs run on this machine too.
const TRIES: usize = 3;

/// Honest clients alone, and then beside the attack, each try before a proxy of its own.
async fn is_hardly_noticed<Once>(attack: impl Fn(String) -> Once + Clone + Send + 'static)
where
    Once: Future<Output = ()> + Send + 'static,
{
    let service = Service::start();
    let mut tries = Vec::new();
    for _ in 0..TRIES {
        let proxy = Proxy::start(&service.url(), &[]);
        let honest = Honest::start(&proxy, "/?ms=20", HONEST);
        honest.serve(100).await;
        let without = honest.phase(&proxy).await;
        let (address, attack) = (proxy.address.clone(), attack.clone());
        let attacks = often(ATTACKS_A_SECOND, move || attack(address.clone()));
        let with = honest.phase(&proxy).await;
        drop(attacks);
        #[expect(clippy::cast_precision_loss, reason = "some hundred answers")]
        let served = with.served as f64 / without.served as f64;
        if served >= SHARE && with.limit >= without.limit * SHARE {
            return;
        }
        tries.push(format!("without {without:?}, with {with:?}, not served {}", honest.not_served()));
    }
    panic!("{tries:#?}");
}

#[tokio::test]
async fn clients_that_hang_up_after_the_usual_time_do_not_talk_the_limit_down() {
    is_hardly_noticed(async |address: String| {
        let client = Raw::send(&address, request(&address, "/?ms=20").as_bytes()).await;
        sleep(USUAL).await;
        client.reset();
    })
    .await;
}

#[tokio::test]
async fn bad_uploads_do_not_talk_the_limit_down() {
    is_hardly_noticed(async |address: String| {
        let upload = b"POST /?ms=20 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nbad";
        let client = Raw::send(&address, upload).await;
        sleep(USUAL).await;
        client.reset();
    })
    .await;
}
