//! `pushback demo`: a protected service to try things on, and callers that put it under pressure.

mod board;
mod callers;
mod controls;
mod figures;
mod presence;
mod press;
mod service;
mod sharing;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use pushback::PressureGauge;
use tokio::{sync::oneshot, time::timeout};

use self::{
    callers::Callers,
    presence::{Presence, set_back_when_left},
    service::{Beyond, Work},
};

use crate::{
    failure::Failure,
    files,
    listen::{self, Listener, listen as listen_on},
    output::say,
    settings::{self, LimitChoice},
    shutdown::Shutdown,
};

/// The longest work the demo does.
const WORK_MAX: Duration = Duration::from_secs(3600);
/// How long callers wait, as a multiple of the work's time, unless it is said; and at least and at most.
const PATIENCE: f64 = 2.5;
const PATIENCE_MIN: Duration = Duration::from_millis(100);
const PATIENCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long a drain waits beyond the work itself, for answers to reach their callers.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// How long connections have to close once nothing runs any more.
const CONNECTIONS_GRACE: Duration = Duration::from_secs(1);

/// Run a small service behind a gauge, and see it refuse what it cannot do.
///
/// `/` is a page that shows it live, with a button that sends 50 requests, a slider that sends so many a second, and a switch that takes the gauge away: what callers get with backpressure and without it stands beside each other. Three seconds after the last page is closed, the slider is at 0 and backpressure on again. `GET /request` works for a while inside the gauge and answers `200 done`; above the limit it answers 429 at once.
/// Ctrl-C and SIGTERM drain: what runs is finished, nothing new is admitted.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000", value_parser = settings::address)]
    listen: SocketAddr,
    /// How many requests may run at once, 0 to 4294967295; 0 admits nothing. Or a limit that moves, by its name: auto, aimd, vegas, …
    #[arg(long, value_name = "N|NAME", default_value = "10", value_parser = settings::limit_choice, allow_hyphen_values = true)]
    limit: LimitChoice,
    /// How long the work of a request takes, 0s to 1h
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = work, allow_hyphen_values = true)]
    work: Duration,
    /// How many requests the service works on at full speed, 1 to 100000
    #[arg(long, value_name = "N", default_value = "10", value_parser = workers, allow_hyphen_values = true)]
    workers: usize,
    /// What the service does with requests that are admitted beyond its workers
    ///
    /// Most services fall over because all that they have let in gets slower together. In a plain queue, two rounds of work fit into the callers' patience, so that one press of the button never looks worse without a limit.
    #[arg(long, value_enum, default_value_t = Beyond::Share)]
    beyond: Beyond,
    /// How long the page's callers wait before they give up, 1ms to 24h [default: 2.5 times the work]
    #[arg(long, value_name = "TIME", value_parser = patience, allow_hyphen_values = true)]
    patience: Option<Duration>,
}

const WORKERS_MAX: u64 = 100_000;

fn workers(text: &str) -> Result<usize, String> {
    let number = settings::number(text, 1..=WORKERS_MAX)?;
    usize::try_from(number).map_err(|error| error.to_string())
}

fn work(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::ZERO..=WORK_MAX)
}

fn patience(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=PATIENCE_MAX)
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { listen, limit, work, workers, beyond, patience } = arguments;
    let work = Work { time: work, workers, beyond };
    let patience = patience.unwrap_or(work.time.mul_f64(PATIENCE).max(PATIENCE_MIN));
    let gauge = PressureGauge::builder().name("demo").limit(limit.clone()).build().map_err(Failure::run)?;
    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    let cannot_listen = |error| listen::cannot_listen(listen, "--listen HOST:PORT", &error);
    let listener = listen_on(listen).map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let listener = Listener::new(listener, "demo").map_err(cannot_listen)?;
    // Its callers need files too; with fewer, fewer come.
    let _ = files::raise_limit();
    introduce(address, &limit, work, patience);

    let (stop, stopped) = oneshot::channel::<()>();
    let callers = Callers::of(address, &gauge, work.capacity(), patience);
    let presence = Presence::default();
    tokio::spawn(set_back_when_left(callers.watch_rate(), 0, presence.watch(), {
        let callers = Arc::clone(&callers);
        move || callers.set_rate(0)
    }));
    tokio::spawn(set_back_when_left(callers.watch_backpressure(), true, presence.watch(), {
        let callers = Arc::clone(&callers);
        move || callers.set_backpressure(true)
    }));
    let controls = controls::router(&gauge, &callers, work, &presence, address);
    let pages = service::router(&gauge, work).merge(controls);
    let server = axum::serve(listener, pages).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let mut server = tokio::spawn(server.into_future());
    let signal = tokio::select! {
        signal = shutdown.next() => signal,
        ended = &mut server => return Err(Failure::run(format!("the server ended by itself: {ended:?}"))),
    };

    callers.set_rate(0);
    let _ = stop.send(());
    say(&format!(
        "{signal}: draining, {} in flight. Another signal ends at once.",
        gauge.snapshot().in_flight
    ));
    let longest = work.time + DRAIN_GRACE;
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

fn introduce(address: SocketAddr, limit: &LimitChoice, work: Work, patience: Duration) {
    let program = std::env::args().next().unwrap_or_else(|| "pushback".to_owned());
    let time = humantime::format_duration(work.time);
    let run = match limit {
        LimitChoice::Fixed(places) => format!("At most {places} run"),
        LimitChoice::Moving(name) => format!("As many as '{name}' finds right run"),
    };
    let capacity = (10.0 * work.capacity()).round() / 10.0;
    let capacity = if capacity.is_finite() { format!(", {capacity} a second") } else { String::new() };
    let beyond = match work.beyond {
        Beyond::Share => "With more than that, all get slower.",
        Beyond::Queue => "The others that are admitted wait for a worker.",
    };
    say(&format!(
        "pushback demo on http://{address}\n\
         Open it in a browser, press the button, switch backpressure off, and press again.\n\
         GET /request works for {time}, on {} requests at full speed{capacity}. {beyond}\n\
         {run} at once; whoever comes above that gets 429 at once. The page's callers give up after {}.\n\
         In another terminal, one of these:\n  \
           {program} load http://{address}/request -n 50 -c 50\n  \
           hey -n 50 -c 50 http://{address}/request\n\
         Ctrl-C drains and ends.",
        work.workers,
        humantime::format_duration(patience),
    ));
    if matches!(limit, LimitChoice::Fixed(0)) {
        say("Warning: a limit of 0 admits nothing. Every request will be refused.");
    }
}
