//! Services behind a limit, whose goodput is measured: `cargo xtask bench goodput` does.
//!
//! Arguments: the service and the limit, a number of places or the name of one that moves. It prints its address and serves
//! until its standard input ends. Each is what a scenario of the lab can say, and no more.
//!
//! Times vary by far more than the timers' millisecond: limits that look at the shortest time would find another service in
//! one whose times are all the same.

use std::{convert::Infallible, env, hint::black_box, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{Response, header::CONTENT_TYPE},
    routing::get,
};
use http_body_util::{Channel, channel::Sender};
use pushback::{BuildError, PressureGauge, http::BackpressureLayer, limit};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    sync::{Mutex, Semaphore},
    task::yield_now,
    time::sleep,
};

/// Which part of the requests passes through the lock.
const LOCKED: f64 = 0.3;
const HELD: Duration = Duration::from_millis(5);
/// How long a request takes before that: exponentially distributed, with this mean.
const WORK: Duration = Duration::from_millis(4);

/// A request's computing, some 5 ms: always the same work, and not the same time, so that whoever shares the core gets slower.
const SLICES: u32 = 50;
/// Between slices the others have their turn, as threads would that share the core. Each is some 0.1 ms.
const STEPS: u64 = 400_000;

/// A stream runs in one of so many places, and has so many events on average, so long after each other.
const PLACES: usize = 8;
const EVENTS: f64 = 10.0;
const EVENT: Duration = Duration::from_millis(50);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [service, limit] = &arguments[..] else {
        println!(
            "say what to serve (cpu, lock, stream-head-first, stream-head-late), and its limit (a number or a name)"
        );
        return Ok(());
    };
    let app = match service.as_str() {
        "cpu" => Router::new().route("/", get(compute)),
        "lock" => {
            let lock = Arc::new(Mutex::new(()));
            let locked = Arc::clone(&lock);
            // The lock alone, so that it can be measured what holding it costs.
            let hold = get(async move || hold(&locked).await);
            Router::new().route("/", get(async move || share(&lock).await)).route("/hold", hold)
        }
        "stream-head-first" | "stream-head-late" => {
            let places = Arc::new(Semaphore::new(PLACES));
            let is_late = service == "stream-head-late";
            Router::new().route("/", get(async move || stream(places, is_late).await))
        }
        _ => return Err(io::Error::other(format!("there is no '{service}'"))),
    };
    let app = app.layer(BackpressureLayer::new(gauge(limit).map_err(io::Error::other)?));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    server.abort();
    Ok(())
}

fn gauge(limit: &str) -> Result<PressureGauge, BuildError> {
    if let Ok(places) = limit.parse() {
        return Ok(PressureGauge::new(places));
    }
    let limit = limit::named(limit)
        .ok_or_else(|| BuildError::new("limit", limit, "a number of places, or the name of a limit"))?;
    PressureGauge::builder().limit(limit).build()
}

/// One core is shared by all that run.
async fn compute() -> &'static str {
    for slice in 0..SLICES {
        // First of all, so that whoever comes meanwhile is admitted or refused before the work begins.
        yield_now().await;
        black_box((0..STEPS).fold(u64::from(slice), |sum, step| black_box(sum ^ step)));
    }
    "done"
}

/// Some wait for one lock, which is taken in the order of coming.
async fn share(lock: &Mutex<()>) -> &'static str {
    sleep(WORK.mul_f64(-(1.0 - fastrand::f64()).ln())).await;
    if fastrand::f64() < LOCKED { hold(lock).await } else { "done" }
}

/// Events as a language model sends them. Most servers send the head at once, some with the first event.
async fn stream(places: Arc<Semaphore>, is_late: bool) -> Response<Body> {
    let (sender, body) = Channel::<Bytes>::new(1);
    let place = Arc::clone(&places).acquire_owned();
    if is_late {
        let place = place.await;
        sleep(EVENT).await;
        tokio::spawn(async move {
            let _place = place;
            send(sender).await;
        });
    } else {
        tokio::spawn(async move {
            let _place = place.await;
            sleep(EVENT).await;
            send(sender).await;
        });
    }
    let response = Response::builder().header(CONTENT_TYPE, "text/event-stream");
    response.body(Body::new(body)).expect("the head is right")
}

/// To the end, or until nobody reads.
async fn send(mut sender: Sender<Bytes, Infallible>) {
    let mut left = EVENTS * (0.5 + fastrand::f64());
    while sender.send_data(Bytes::from_static(b"data: a token\n\n")).await.is_ok() && left > 1.0 {
        sleep(EVENT).await;
        left -= 1.0;
    }
}

async fn hold(lock: &Mutex<()>) -> &'static str {
    let _held = lock.lock().await;
    sleep(HELD).await;
    "done"
}
