//! Callers of the demo's service, in this process, over real connections: all at once or so many a second, whether or not there are
//! answers, and they give up when it takes too long.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{StatusCode, Uri};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use pushback::{Clock, SystemClock};
use tokio::{
    sync::Notify,
    time::{interval, timeout},
};

use super::service::Work;

/// So many of the last calls are shown one by one.
const SHOWN: usize = 120;
/// So many callers may be there at once; a machine has ports for more.
const CALLERS_MAX: usize = 2_000;
/// The highest rate, as a multiple of what the service can do, and at all.
const OVERLOAD_MAX: f64 = 8.0;
const RATE_MAX: f64 = 400.0;
/// How long callers wait, as a multiple of the work's time, and at least.
const PATIENCE: f64 = 2.5;
const PATIENCE_MIN: Duration = Duration::from_millis(100);

/// Who calls the service.
pub(super) struct Callers {
    uri: Uri,
    pool: Client<HttpConnector, Empty<Bytes>>,
    pub(super) patience: Duration,
    pub(super) rate_max: u32,
    /// Calls a second.
    rate: AtomicU32,
    rate_changed: Notify,
    board: Mutex<Board>,
}

/// What became of the calls.
#[derive(Debug, Default, Clone)]
pub(super) struct Board {
    /// The number of the first call that is shown.
    first: u64,
    /// The last calls, in the order in which they were made.
    last: VecDeque<State>,
    waiting: usize,
    /// One of the times between two changes; what began before one says nothing about what comes after it.
    pub(super) episode: u64,
    pub(super) seen: Seen,
}

/// What became of the calls that began in this episode.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    pub(super) failed: u64,
    /// How long those that were answered had waited for it, together.
    pub(super) waited: Duration,
}

/// A call that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    number: u64,
    episode: u64,
}

/// What became of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    Refused,
    GaveUp,
    Failed,
}

impl Callers {
    pub(super) fn of(address: SocketAddr, work: Work) -> Arc<Self> {
        let most = (work.capacity() * OVERLOAD_MAX).clamp(1.0, RATE_MAX);
        let callers = Arc::new(Callers {
            uri: Uri::builder()
                .scheme("http")
                .authority(reachable(address).to_string())
                .path_and_query("/request")
                .build()
                .expect("an address is an authority"),
            pool: Client::builder(TokioExecutor::new()).build_http(),
            patience: work.time.mul_f64(PATIENCE).max(PATIENCE_MIN),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
            rate_max: most.ceil() as u32,
            rate: AtomicU32::new(0),
            rate_changed: Notify::new(),
            board: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&callers).come());
        callers
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate.load(Ordering::Relaxed)
    }

    pub(super) fn set_rate(&self, rate: u32) {
        if self.rate.swap(rate, Ordering::Relaxed) != rate {
            self.begin_anew();
            self.rate_changed.notify_one();
        }
    }

    /// What is seen from now on is to be told from what was before.
    pub(super) fn begin_anew(&self) {
        let mut board = self.locked();
        board.episode += 1;
        board.seen = Seen::default();
    }

    pub(super) fn board(&self) -> Board {
        self.locked().clone()
    }

    /// So many calls at once; those for which there is no room are not made.
    pub(super) fn send(self: &Arc<Self>, count: u32) {
        for _ in 0..count {
            let Some(waiting) = self.locked().begin() else { return };
            let callers = Arc::clone(self);
            tokio::spawn(async move {
                let start = SystemClock.now();
                let state = timeout(callers.patience, callers.call()).await.unwrap_or(State::GaveUp);
                let time = SystemClock.now().saturating_duration_since(start);
                callers.locked().end(waiting, state, time);
            });
        }
    }

    async fn call(&self) -> State {
        match self.pool.get(self.uri.clone()).await.map(|answer| answer.status()) {
            Ok(StatusCode::TOO_MANY_REQUESTS) => State::Refused,
            Ok(status) if status.is_success() => State::Answered,
            Ok(_) | Err(_) => State::Failed,
        }
    }

    /// Calls at the rate, evenly. What is late is caught up with, since timers are no finer than a millisecond.
    async fn come(self: Arc<Self>) {
        loop {
            let rate = self.rate();
            if rate == 0 {
                self.rate_changed.notified().await;
                continue;
            }
            let mut due = interval(Duration::from_secs(1) / rate);
            loop {
                tokio::select! {
                    _ = due.tick() => self.send(1),
                    () = self.rate_changed.notified() => break,
                }
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn begin(&mut self) -> Option<Waiting> {
        if self.waiting >= CALLERS_MAX {
            return None;
        }
        self.waiting += 1;
        if self.last.len() >= SHOWN {
            self.last.pop_front();
            self.first += 1;
        }
        self.last.push_back(State::Waiting);
        Some(Waiting { number: self.first + self.last.len() as u64 - 1, episode: self.episode })
    }

    fn end(&mut self, Waiting { number, episode }: Waiting, state: State, time: Duration) {
        self.waiting -= 1;
        let shown = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(shown) = shown.and_then(|index| self.last.get_mut(index)) {
            *shown = state;
        }
        if episode != self.episode {
            return;
        }
        match state {
            State::Waiting => (),
            State::Answered => {
                self.seen.answered += 1;
                self.seen.waited += time;
            }
            State::Refused => self.seen.refused += 1,
            State::GaveUp => self.seen.gave_up += 1,
            State::Failed => self.seen.failed += 1,
        }
    }

    /// The last calls, a letter each.
    pub(super) fn letters(&self) -> String {
        let letter = |state: &State| match state {
            State::Waiting => 'w',
            State::Answered => 'a',
            State::Refused => 'r',
            State::GaveUp => 'g',
            State::Failed => 'f',
        };
        self.last.iter().map(letter).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_shown_in_its_place_as_long_as_it_is_among_the_last() {
        let mut board = Board::default();
        let first = board.begin().unwrap();
        let second = board.begin().unwrap();
        board.end(second, State::Refused, Duration::ZERO);
        assert_eq!(board.letters(), "wr");
        for _ in 0..SHOWN - 1 {
            board.begin().unwrap();
        }
        board.end(first, State::Answered, Duration::from_secs(2));
        assert_eq!(board.letters(), format!("r{}", "w".repeat(SHOWN - 1)), "the first is not shown any more");
        assert_eq!((board.seen.answered, board.seen.refused, board.waiting), (1, 1, SHOWN - 1));
    }

    #[test]
    fn there_is_a_bound_on_callers() {
        let mut board = Board::default();
        assert_eq!((0..CALLERS_MAX + 10).filter_map(|_| board.begin()).count(), CALLERS_MAX);
    }
}
