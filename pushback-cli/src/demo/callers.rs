//! Callers of the demo's service, in this process, over real connections: all at once or so many a second, whether or not there are
//! answers, and they give up when it takes too long.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{StatusCode, Uri};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use pushback::{Clock, DryRunMode, PressureGauge, SystemClock};
use tokio::{
    sync::watch,
    time::{interval, timeout},
};

use super::{
    board::{Board, Waiting},
    figures::{End, Figures},
    press::Pressed,
};

/// The highest rate, as a multiple of what the service can do, and at all.
const OVERLOAD_MAX: f64 = 8.0;
const RATE_MAX: f64 = 400.0;

/// Who calls the service.
pub(super) struct Callers {
    /// What admits them.
    gauge: PressureGauge,
    uri: Uri,
    pool: Client<HttpConnector, Empty<Bytes>>,
    /// How long each waits. Whoever is answered is answered in time, for nobody waits for longer.
    pub(super) patience: Duration,
    pub(super) rate_max: u32,
    /// Calls a second.
    rate: watch::Sender<u32>,
    has_backpressure: watch::Sender<bool>,
    board: Mutex<Board>,
}

/// Why no callers can be sent at once: they would find places taken by others, and what they got would say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Others come all the time.
    Streaming,
    /// Some of those who came before still wait, or run.
    Serving,
}

impl Busy {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Busy::Streaming => "Not while the slider sends requests: set it to 0 for a press.",
            Busy::Serving => "Not while requests still run: a press begins with an empty service.",
        }
    }
}

/// What there is to be seen of the calls.
pub(super) struct Seen {
    /// Why a press has to wait, if it has to.
    pub(super) busy: Option<Busy>,
    /// The last presses, the newest first.
    pub(super) presses: Vec<Pressed>,
    /// The last calls of those who come all the time, a letter each.
    pub(super) letters: String,
    pub(super) with: Option<Figures>,
    pub(super) without: Option<Figures>,
}

impl Callers {
    /// Callers of a service at this address, behind this gauge, which can do so many requests a second.
    pub(super) fn of(
        address: SocketAddr,
        gauge: &PressureGauge,
        capacity: f64,
        patience: Duration,
    ) -> Arc<Self> {
        let most = (capacity * OVERLOAD_MAX).clamp(1.0, RATE_MAX);
        let callers = Arc::new(Callers {
            gauge: gauge.clone(),
            uri: Uri::builder()
                .scheme("http")
                .authority(reachable(address).to_string())
                .path_and_query("/request")
                .build()
                .expect("an address is an authority"),
            pool: Client::builder(TokioExecutor::new()).build_http(),
            patience,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
            rate_max: most.ceil() as u32,
            rate: watch::Sender::new(0),
            has_backpressure: watch::Sender::new(true),
            board: Mutex::new(Board::new()),
        });
        tokio::spawn(Arc::clone(&callers).come());
        callers
    }

    pub(super) fn rate(&self) -> u32 {
        *self.rate.borrow()
    }

    pub(super) fn watch_rate(&self) -> watch::Receiver<u32> {
        self.rate.subscribe()
    }

    pub(super) fn watch_backpressure(&self) -> watch::Receiver<bool> {
        self.has_backpressure.subscribe()
    }

    pub(super) fn set_rate(&self, rate: u32) {
        if self.rate.send_replace(rate) != rate {
            let mut board = self.locked();
            let has_backpressure = board.has_backpressure();
            board.begin_anew(SystemClock.now(), has_backpressure, rate > 0);
        }
    }

    /// Without backpressure, all are admitted, whatever the limit.
    pub(super) fn set_backpressure(&self, is_on: bool) {
        if self.has_backpressure.send_replace(is_on) != is_on {
            self.gauge.set_dry_run(if is_on { DryRunMode::Off } else { DryRunMode::On });
            self.locked().begin_anew(SystemClock.now(), is_on, self.rate() > 0);
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let board = self.locked();
        let [with, without] = board.figures(SystemClock.now());
        Seen { busy: self.busy(&board), presses: board.presses(), letters: board.letters(), with, without }
    }

    /// So many calls at once, to an empty service.
    pub(super) fn press(self: &Arc<Self>, count: u32) -> Result<(), Busy> {
        // All in one hold of the lock, so that of two presses at one moment, one finds the other's callers.
        let press: Vec<Waiting> = {
            let mut board = self.locked();
            if let Some(busy) = self.busy(&board) {
                return Err(busy);
            }
            board.press(count as usize).collect()
        };
        press.into_iter().for_each(|waiting| self.send(waiting));
        Ok(())
    }

    fn busy(&self, board: &Board) -> Option<Busy> {
        if self.rate() > 0 {
            return Some(Busy::Streaming);
        }
        let now = self.gauge.snapshot();
        // Those who are let in without backpressure, and those of other programs, run as well.
        let runs = now.in_flight > 0 || now.dry_run.is_some_and(|dry_run| dry_run.phantoms > 0);
        (board.has_waiting() || runs).then_some(Busy::Serving)
    }

    fn send(self: &Arc<Self>, waiting: Waiting) {
        let callers = Arc::clone(self);
        tokio::spawn(async move {
            let start = SystemClock.now();
            // Whoever gives up drops the request, and so closes its connection.
            let end = timeout(callers.patience, callers.call()).await.unwrap_or(End::GaveUp);
            let now = SystemClock.now();
            callers.locked().end(now, waiting, end, now.saturating_duration_since(start));
        });
    }

    async fn call(&self) -> End {
        match self.pool.get(self.uri.clone()).await.map(|answer| answer.status()) {
            Ok(StatusCode::TOO_MANY_REQUESTS) => End::Refused,
            Ok(status) if status.is_success() => End::Answered,
            Ok(_) | Err(_) => End::Failed,
        }
    }

    /// Calls at the rate, evenly. What is late is caught up with, since timers are no finer than a millisecond.
    async fn come(self: Arc<Self>) {
        let mut rates = self.rate.subscribe();
        loop {
            let rate = *rates.borrow_and_update();
            let mut due = match rate {
                0 => None,
                rate => Some(interval(Duration::from_secs(1) / rate)),
            };
            loop {
                let next = async {
                    match &mut due {
                        Some(due) => due.tick().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    // First, for behind the end of the rate a press may begin.
                    biased;
                    _ = rates.changed() => break,
                    _ = next => {
                        let waiting = self.locked().begin();
                        waiting.into_iter().for_each(|waiting| self.send(waiting));
                    }
                }
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address by which one gets to a listener: all of a machine's addresses are none to connect to.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}
