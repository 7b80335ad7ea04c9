//! A place is free when the work is over, and not when its client has left: for what clients leave behind, the service does all the
//! same. Cheap calls beside it make the typical call short, which says nothing about these.

use std::time::Duration;

use tempfile::tempdir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{
    IN_FLIGHT, counted::Counted, honest::Honest, metric, nobody_holds_a_place, often, proxy_by, raw::Raw,
    streams::Streams, within,
};
use crate::support::{Proxy, Service, request};

const LIMIT: u32 = 8;
/// What the count may be off by: calls that are just being counted.
const OFF: u32 = 2;
const ATTACKS_A_SECOND: u32 = 100;
const ATTACK: Duration = Duration::from_secs(4);
/// How long a client waits before it leaves.
const STAYS: Duration = Duration::from_millis(6);
const DEAR: &str = "/?ms=500";
const DEAR_BODY: &str = "/late-body?ms=500";
const DEAR_EVENT: &str = "/late-body?ms=500&type=text/event-stream";

/// Over HTTP/1, by a reset of its connection.
async fn leave(address: String) {
    let client = Raw::send(&address, request(&address, DEAR).as_bytes()).await;
    sleep(STAYS).await;
    client.reset();
}

/// The same, when the head of the answer is there.
async fn leave_after_the_head(address: String, path: &str) {
    let mut client = Raw::send(&address, request(&address, path).as_bytes()).await;
    let _ = client.head().await;
    client.reset();
}

/// Over HTTP/2, by a reset of its stream.
async fn reset_a_stream(streams: Streams) {
    let _ = timeout(STAYS, streams.get(DEAR)).await;
}

/// The same, when the head of the answer is there.
async fn reset_a_stream_after_the_head(streams: Streams) {
    let _ = streams.get(DEAR_BODY).await;
}

fn proxy_to(url: &str) -> Proxy {
    Proxy::start(url, &["--limit", &LIMIT.to_string()])
}

/// The attack, beside cheap calls.
async fn attack<Once>(proxy: &Proxy, once: impl Fn() -> Once + Send + 'static)
where
    Once: Future<Output = ()> + Send + 'static,
{
    let cheap = Honest::start(proxy, "/?ms=1", 2);
    cheap.serve(20).await;
    let attacks = often(ATTACKS_A_SECOND, once);
    sleep(ATTACK).await;
    drop((attacks, cheap));
    nobody_holds_a_place(proxy).await;
}

/// The most that ran in this service at once, when all has come to its end.
fn most(service: &Service) -> u32 {
    while service.ask("/running") != "0" {
        std::thread::yield_now();
    }
    service.ask("/most").parse().unwrap()
}

#[track_caller]
fn assert_within_the_limit(most: u32) {
    assert!(most >= LIMIT / 2, "only {most} ran at once, which was no attack");
    assert!(most <= LIMIT + OFF, "{most} ran at once, where {LIMIT} may");
}

#[tokio::test]
async fn clients_that_leave_early_do_not_fill_the_service_above_its_limit() {
    let service = Service::start();
    let proxy = proxy_to(&service.url());
    let address = proxy.address.clone();
    attack(&proxy, move || leave(address.clone())).await;
    assert_within_the_limit(most(&service));
}

#[tokio::test]
async fn clients_that_leave_after_the_head_do_not_fill_the_service_above_its_limit() {
    for path in [DEAR_BODY, DEAR_EVENT] {
        let service = Service::start();
        let proxy = proxy_to(&service.url());
        let address = proxy.address.clone();
        attack(&proxy, move || leave_after_the_head(address.clone(), path)).await;
        assert_within_the_limit(most(&service));
    }
}

#[tokio::test]
async fn streams_that_are_reset_early_do_not_fill_the_service_above_its_limit() {
    let service = Service::start();
    let proxy = proxy_to(&service.url());
    let (streams, _ended) = Streams::connect(&proxy.address).await;
    attack(&proxy, move || reset_a_stream(streams.clone())).await;
    assert_within_the_limit(most(&service));
}

#[tokio::test]
async fn streams_that_are_reset_after_the_head_do_not_fill_the_service_above_its_limit() {
    let service = Service::start();
    let proxy = proxy_to(&service.url());
    let (streams, _ended) = Streams::connect(&proxy.address).await;
    attack(&proxy, move || reset_a_stream_after_the_head(streams.clone())).await;
    assert_within_the_limit(most(&service));
}

#[tokio::test]
async fn a_service_over_http2_that_works_on_is_not_filled_above_its_limit() {
    let service = Counted::start().await;
    let proxy = proxy_to(&service.url);
    let (streams, _ended) = Streams::connect(&proxy.address).await;
    attack(&proxy, move || reset_a_stream(streams.clone())).await;
    assert_within_the_limit(service.most().await);
}

#[tokio::test]
async fn a_service_over_http2_that_works_on_after_the_head_is_not_filled_above_its_limit() {
    let service = Counted::start().await;
    let proxy = proxy_to(&service.url);
    let (streams, _ended) = Streams::connect(&proxy.address).await;
    attack(&proxy, move || reset_a_stream_after_the_head(streams.clone())).await;
    assert_within_the_limit(service.most().await);
}

/// For services that look whether their caller is still there, the setting that gives the place back with it.
#[tokio::test]
async fn with_on_leave_cancel_the_service_is_told_and_the_place_is_free_at_once() {
    is_told("limit = 1\non_leave = \"cancel\"", 1.0).await;
}

/// What is not bounded by a limit must not be finished for nobody, or it would be bounded by nothing.
#[tokio::test]
async fn what_holds_no_place_ends_with_its_client() {
    is_told("limit = 1\nexempt = [\"/before-the-head\", \"/after-the-head\"]", 0.0).await;
}

/// A service whose client leaves hears of it, before its answer and in the middle of that, and no place is kept. Before that, so many
/// are.
async fn is_told(settings: &str, places: f64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempdir().unwrap();
    let proxy = proxy_by(&folder, &format!("[[routes]]\nname = \"all\"\n{settings}\nto = \"{url}\"\n"));
    for path in ["/before-the-head", "/after-the-head"] {
        let mut client = Raw::send(&proxy.address, request(&proxy.address, path).as_bytes()).await;
        let (mut service, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = service.read(&mut asked).await.unwrap();
        assert!(asked[..length].starts_with(format!("GET {path} ").as_bytes()), "{asked:?}");
        if path == "/after-the-head" {
            service.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await.unwrap();
            client.head().await.unwrap();
        }
        assert!((metric(&proxy, IN_FLIGHT).await - places).abs() < f64::EPSILON, "{path}");
        client.reset();
        let bound = Duration::from_secs(2);
        let closed =
            within(bound, "the end of the connection to the service", service.read(&mut asked)).await;
        assert!(matches!(closed, Ok(0) | Err(_)), "{path}: {closed:?}");
        let free = async { while metric(&proxy, IN_FLIGHT).await > 0.0 {} };
        within(bound, "a place that is free", free).await;
    }
}
