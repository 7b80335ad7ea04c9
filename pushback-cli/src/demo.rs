//! `pushback demo`: a protected service to try things on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use pushback::{PressureGauge, http::BackpressureLayer};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    time::timeout,
};

use crate::{
    failure::Failure,
    output::say,
    settings::{self, LimitChoice},
    shutdown::Shutdown,
};

/// The longest work the demo does.
const WORK_MAX: Duration = Duration::from_secs(3600);
/// How long a drain waits beyond the work itself, for answers to reach their callers.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// How long connections have to close once nothing runs any more.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(1);

/// Run a small service behind a gauge, and see it refuse what it cannot do.
///
/// `GET /request` works for a while inside the gauge and answers `200 done`; above the limit it answers 429 at once.
/// Ctrl-C and SIGTERM drain: what runs is finished, nothing new is admitted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = settings::address)]
    listen: SocketAddr,
    /// How many requests may run at once, 0 to 4294967295; 0 admits nothing. Or a limit that moves, by its name: aimd, vegas, …
    #[arg(long, value_name = "N|NAME", default_value = "10", value_parser = settings::limit_choice, allow_hyphen_values = true)]
    limit: LimitChoice,
    /// How long the work of a request takes, 0s to 1h
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = work, allow_hyphen_values = true)]
    work: Duration,
    /// How many requests the service works on at once, 1 to 100000, the others queue in it; all that are admitted, if nothing is said
    #[arg(long, value_name = "N", value_parser = workers, allow_hyphen_values = true)]
    workers: Option<usize>,
}

const WORKERS_MAX: u64 = 100_000;

fn workers(text: &str) -> Result<usize, String> {
    let number = settings::number(text, 1..=WORKERS_MAX)?;
    usize::try_from(number).map_err(|error| error.to_string())
}

fn work(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::ZERO..=WORK_MAX)
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { listen, limit, work, workers } = arguments;
    let gauge = PressureGauge::builder().name("demo").limit(limit.clone()).build().map_err(Failure::run)?;
    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    let cannot_listen = |error| Failure::run(format!("cannot listen on {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
    introduce(listener.local_addr().map_err(cannot_listen)?, &limit, work);

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(gauge.clone(), Work { time: work, workers }))
        .with_graceful_shutdown(async {
            let _ = stopped.await;
        });
    let mut server = tokio::spawn(server.into_future());
    let signal = tokio::select! {
        signal = shutdown.next() => signal,
        ended = &mut server => return Err(Failure::run(format!("the server ended by itself: {ended:?}"))),
    };

    let _ = stop.send(());
    say(&format!(
        "{signal}: draining, {} in flight. Another signal ends at once.",
        gauge.snapshot().in_flight
    ));
    let longest = work + DRAIN_GRACE;
    tokio::select! {
        drained = timeout(longest, gauge.drain()) => drained.map_err(|_| Failure::run(format!(
            "{} still in flight after {}",
            gauge.snapshot().in_flight,
            humantime::format_duration(longest)
        )))?,
        signal = shutdown.next() => {
            return Err(Failure::run(format!("{signal} again: ended with {} in flight", gauge.snapshot().in_flight)));
        }
    }
    // What was admitted is done. Connections that hold no place, such as one with half a request, do not hold this up.
    let closed = timeout(CONNECTIONS_GRACE, server).await;
    let snapshot = gauge.snapshot();
    say(&format!("Drained: {} admitted, {} refused.", snapshot.admitted, snapshot.refused.total()));
    if closed.is_err() {
        say("Some connections were still open; nothing ran on them.");
    }
    Ok(())
}

/// What the service does for a request.
#[derive(Clone, Copy)]
struct Work {
    time: Duration,
    workers: Option<usize>,
}

fn router(gauge: PressureGauge, work: Work) -> Router {
    let workers = Arc::new(Semaphore::new(work.workers.unwrap_or(Semaphore::MAX_PERMITS)));
    let do_thing_that_should_be_limited = move || {
        let workers = Arc::clone(&workers);
        async move {
            // It is never closed, so this waits and nothing else.
            let _worker = workers.acquire().await;
            tokio::time::sleep(work.time).await;
            "done"
        }
    };
    Router::new()
        // On the route and not on the whole router, or unknown paths and methods would be refused too.
        .route(
            "/request",
            get(do_thing_that_should_be_limited).route_layer(BackpressureLayer::new(gauge.clone())),
        )
        .route("/", get(async move || state(&gauge)))
}

fn state(gauge: &PressureGauge) -> String {
    let snapshot = gauge.snapshot();
    format!(
        "GET /request works inside a pressure gauge; above its limit it answers 429.\n\
         In flight {} of {}, {} admitted, {} refused.\n",
        snapshot.in_flight,
        snapshot.limit,
        snapshot.admitted,
        snapshot.refused.total()
    )
}

fn introduce(address: SocketAddr, limit: &LimitChoice, work: Duration) {
    let program = std::env::args().next().unwrap_or_else(|| "pushback".to_owned());
    let work = humantime::format_duration(work);
    let run = match limit {
        LimitChoice::Fixed(places) => format!("At most {places} run"),
        LimitChoice::Moving(name) => format!("As many as '{name}' finds right run"),
    };
    say(&format!(
        "pushback demo on http://{address}\n\
         GET /request works for {work}. {run} at once; whoever comes above that gets 429 at once.\n\
         GET / tells how many run now.\n\
         In another terminal, one of these:\n  \
           {program} load http://{address}/request -n 50 -c 50\n  \
           hey -n 50 -c 50 http://{address}/request\n\
         Ctrl-C drains and ends."
    ));
    if matches!(limit, LimitChoice::Fixed(0)) {
        say("Warning: a limit of 0 admits nothing. Every request will be refused.");
    }
}
