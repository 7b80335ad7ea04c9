//! Five traps of the usual recipes, reproduced with their own crates (tower 0.5.3, axum 0.8.9, tower-resilience-adaptive 0.14.0),
//! and beside each of them the same situation with this crate's layer. docs/compare.md tells them.
#![cfg(feature = "http")]

#[expect(dead_code, reason = "other tests need the rest of it")]
mod support;
#[expect(dead_code, reason = "other tests need the rest of it")]
#[path = "support/wire.rs"]
mod wire;

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{MethodRouter, get},
};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use pushback::{PressureGauge, http::BackpressureLayer};
use support::Task;
use tokio::sync::watch;
use tower::{
    Service, ServiceBuilder, ServiceExt,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    service_fn,
};
use tower_resilience_adaptive::{AdaptiveLimiterLayer, Aimd};
use wire::{ask, line, serve};

type Answer = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

/// Answers at once, but for `/stuck`, which never ends.
fn handler<Q: Send + 'static>(request: Request<Q>) -> Answer {
    Box::pin(async move {
        if request.uri().path() == "/stuck" {
            pending::<()>().await;
        }
        Ok(Response::new("done".to_owned()))
    })
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

/// Calls a service as hyper does: when it is ready, whatever that takes.
async fn call<S: Service<Request<Empty<Bytes>>>>(
    service: &mut S,
    path: &str,
) -> Result<S::Response, S::Error> {
    service.ready().await?.call(request(path)).await
}

/// Trap 1. A clone that was shed stays in the semaphore's line. The next free place is given to it, who has no request, and
/// from then on everybody else is shed while nothing runs.
#[test]
fn after_a_shed_towers_recipe_refuses_everybody_while_nothing_runs() {
    let service = ServiceBuilder::new().load_shed().concurrency_limit(1).service(service_fn(handler));
    let mut running = service.clone();
    let mut task = Task::new(async move { call(&mut running, "/stuck").await });
    assert!(task.poll().is_pending());
    let mut shed_once = service.clone();
    let shed = Task::new(call(&mut shed_once, "/")).poll();
    assert!(matches!(shed, Poll::Ready(Err(_))), "the limit is reached");
    drop(task);
    let refused = (0..1_000)
        .filter(|_| matches!(Task::new(call(&mut service.clone(), "/")).poll(), Poll::Ready(Err(_))))
        .count();
    assert_eq!(refused, 1_000, "nothing runs, and everybody is refused");
    drop(shed_once);
    assert!(matches!(Task::new(call(&mut service.clone(), "/")).poll(), Poll::Ready(Ok(_))));
}

#[test]
fn after_a_refusal_the_next_one_is_served() {
    let gauge = PressureGauge::new(1);
    let service =
        ServiceBuilder::new().layer(BackpressureLayer::new(gauge.clone())).service(service_fn(handler));
    let mut running = service.clone();
    let mut task = Task::new(async move { call(&mut running, "/stuck").await });
    assert!(task.poll().is_pending());
    let mut refused_once = service.clone();
    assert_eq!(status(Task::new(call(&mut refused_once, "/")).poll()), StatusCode::TOO_MANY_REQUESTS);
    drop(task);
    for _ in 0..1_000 {
        assert_eq!(status(Task::new(call(&mut service.clone(), "/")).poll()), StatusCode::OK);
    }
    assert_eq!(gauge.snapshot().refused.total(), 1);
}

fn status<B>(answer: Poll<Result<Response<B>, Infallible>>) -> StatusCode {
    match answer {
        Poll::Ready(Ok(response)) => response.status(),
        Poll::Ready(Err(error)) => match error {},
        Poll::Pending => panic!("it did not answer at once"),
    }
}

/// Trap 2. tokio lets a task go on for a while and then makes everything it polls seem not ready, so that others have their
/// turn. A shedding layer takes that for overload.
#[tokio::test]
async fn a_busy_task_makes_towers_shedding_refuse_with_capacity_to_spare() {
    let service = ServiceBuilder::new().load_shed().buffer(1_000_000).service(service_fn(handler));
    let shed = in_one_poll(move |cx| {
        let mut call = Box::pin({
            let mut service = service.clone();
            async move { call(&mut service, "/").await.map(drop) }
        });
        matches!(call.as_mut().poll(cx), Poll::Ready(Err(_)))
    });
    let shed = shed.await;
    println!("{shed} of 1000 calls were shed by a buffer of a million");
    assert!(shed > 500);
}

#[tokio::test]
async fn a_busy_task_is_no_overload() {
    let gauge = PressureGauge::new(1_000);
    for layer in [BackpressureLayer::new(gauge.clone()), BackpressureLayer::waiting(gauge.clone())] {
        let service = ServiceBuilder::new().layer(layer).service(service_fn(handler));
        let refused = in_one_poll(move |cx| {
            let mut call = Box::pin({
                let mut service = service.clone();
                async move { call(&mut service, "/").await }
            });
            matches!(call.as_mut().poll(cx), Poll::Ready(Ok(response)) if response.status() != StatusCode::OK)
        });
        assert_eq!(refused.await, 0);
    }
    assert_eq!(gauge.snapshot().refused.total(), 0);
}

/// How many of a thousand calls, all begun in one poll of one task, have the property.
async fn in_one_poll(mut begin: impl FnMut(&mut Context<'_>) -> bool) -> usize {
    poll_fn(|cx| Poll::Ready((0..1_000).filter(|_| begin(cx)).count())).await
}

const CONNECTIONS: u32 = 10;

/// A handler that counts who is inside, and holds them until it is told.
#[derive(Clone)]
struct Room {
    inside: Arc<AtomicU32>,
    peak: watch::Sender<u32>,
    open: watch::Sender<bool>,
}

impl Room {
    fn new() -> Self {
        Room { inside: Arc::default(), peak: watch::Sender::new(0), open: watch::Sender::new(false) }
    }

    async fn stay(self) -> &'static str {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.send_if_modified(|peak| std::mem::replace(peak, inside.max(*peak)) < inside);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        self.inside.fetch_sub(1, Ordering::SeqCst);
        "done"
    }

    fn route(&self) -> MethodRouter {
        let room = self.clone();
        get(move || room.clone().stay())
    }

    /// Waits until this many have been inside at once.
    async fn peak_reaches(&self, count: u32) {
        self.peak.subscribe().wait_for(|peak| *peak >= count).await.unwrap();
    }
}

/// Trap 3. The example in axum's documentation makes one limit for each connection, for it applies the layer again for each.
#[tokio::test]
async fn axums_documented_example_does_not_limit() {
    let room = Room::new();
    let app = Router::new().route("/", room.route().layer(ConcurrencyLimitLayer::new(1)));
    let address = serve(app).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(ask(&address).await);
    }
    room.peak_reaches(CONNECTIONS).await;
}

#[tokio::test]
async fn one_layer_is_one_limit_for_all_connections() {
    let room = Room::new();
    let layer = || BackpressureLayer::new(PressureGauge::new(1));
    for app in [
        Router::new().route("/", room.route().layer(layer())),
        Router::new().route("/", room.route()).layer(layer()),
        Router::new().route("/", room.route()).route_layer(layer()),
    ] {
        room.open.send_replace(false);
        let address = serve(app).await;
        let mut first = ask(&address).await;
        room.peak_reaches(1).await;
        for _ in 1..CONNECTIONS {
            assert_eq!(line(&mut ask(&address).await).await, "HTTP/1.1 429 Too Many Requests\r\n");
        }
        room.open.send_replace(true);
        assert_eq!(line(&mut first).await, "HTTP/1.1 200 OK\r\n");
        assert_eq!(*room.peak.borrow(), 1);
        room.peak.send_replace(0);
    }
}

/// An answer whose head comes at once and whose body never ends.
fn streaming() -> MethodRouter {
    get(async || Body::new(Endless))
}

struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Trap 4. The place is given back at the response's head, so that any number of bodies stream at once.
#[tokio::test]
async fn towers_limit_is_given_back_while_the_body_still_streams() {
    let app = Router::new().route("/", streaming()).layer(GlobalConcurrencyLimitLayer::new(1));
    let address = serve(app).await;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = ask(&address).await;
        assert_eq!(line(&mut connection).await, "HTTP/1.1 200 OK\r\n");
        open.push(connection);
    }
    assert_eq!(open.len(), 10, "behind a limit of one");
}

#[tokio::test]
async fn a_streaming_body_holds_its_place() {
    let gauge = PressureGauge::new(1);
    let app = Router::new().route("/", streaming()).layer(BackpressureLayer::new(gauge));
    let address = serve(app).await;
    let mut first = ask(&address).await;
    assert_eq!(line(&mut first).await, "HTTP/1.1 200 OK\r\n");
    for _ in 1..CONNECTIONS {
        assert_eq!(line(&mut ask(&address).await).await, "HTTP/1.1 429 Too Many Requests\r\n");
    }
}

/// A service that can do nothing more and says so.
async fn exhausted<Q>(_request: Request<Q>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    Ok(response)
}

/// Trap 5. A 503 that comes as a response, as it does in HTTP, counts as a success, so that a limit that finds itself grows while
/// the service says that it can do no more.
#[tokio::test]
async fn an_adaptive_limit_takes_503_for_success_and_grows() {
    let aimd = Aimd::builder().initial_limit(10).max_limit(100).build().unwrap();
    let mut service = ServiceBuilder::new()
        .layer(AdaptiveLimiterLayer::new(aimd))
        .service(service_fn(exhausted::<Empty<Bytes>>));
    for _ in 0..1_000 {
        let response = call(&mut service, "/").await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(service.limit(), 100, "it began at 10, and every answer was 503");
}

#[tokio::test]
async fn a_503_is_an_overload_and_no_success() {
    let gauge = PressureGauge::new(10);
    let mut service =
        ServiceBuilder::new().layer(BackpressureLayer::new(gauge.clone())).service(service_fn(exhausted));
    for _ in 0..1_000 {
        drop(call(&mut service, "/").await.unwrap());
    }
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.admitted, snapshot.overloaded, snapshot.in_flight), (1_000, 1_000, 0));
}
