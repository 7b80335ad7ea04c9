//! One run's client: it sends requests and keeps what became of them.

use std::{
    collections::BTreeMap,
    error::Error,
    io,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::Bytes,
    header::{HeaderValue, USER_AGENT},
};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use pushback::{Clock, SystemClock};
use tokio::time::timeout_at;

use super::{Call, End, Load, Run, Target};

/// What the requests of one run share.
pub(super) struct Client<F> {
    pool: legacy::Client<HttpConnector, Empty<Bytes>>,
    target: Target,
    timeout: Duration,
    begin: Instant,
    /// How many requests were begun.
    sent: AtomicU64,
    calls: Mutex<Vec<Call>>,
    causes: Mutex<BTreeMap<End, String>>,
    each: F,
}

impl<F: Fn(&Call)> Client<F> {
    /// A client that keeps so many connections, and tells `each` of every request that ended.
    pub(super) fn new(target: &Target, timeout: Duration, connections: u64, each: F) -> Self {
        Client {
            pool: legacy::Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(usize::try_from(connections).unwrap_or(usize::MAX))
                .build_http(),
            target: target.clone(),
            timeout,
            begin: SystemClock.now(),
            sent: AtomicU64::new(0),
            calls: Mutex::new(Vec::new()),
            causes: Mutex::new(BTreeMap::new()),
            each,
        }
    }

    /// When the run began.
    pub(super) fn begin(&self) -> Instant {
        self.begin
    }

    /// Sends a request that was meant to be sent at `start`, and waits for its end.
    pub(super) async fn call(&self, start: Instant) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let lag = SystemClock.now().saturating_duration_since(start);
        let give_up = start + self.timeout;
        let end = timeout_at(give_up.into(), self.answer()).await.unwrap_or(End::TimedOut);
        self.note(start, Some(lag), end);
    }

    /// Counts a request as lost that was meant to be sent at `start`, and is not.
    pub(super) fn give_up(&self, start: Instant, cause: &(dyn Error + 'static)) {
        let end = self.lost(End::NotSent, cause);
        self.note(start, None, end);
    }

    fn note(&self, start: Instant, lag: Option<Duration>, end: End) {
        let time = SystemClock.now().saturating_duration_since(start);
        let call = Call { start: start.saturating_duration_since(self.begin), lag, time, end };
        // In this order, so that whoever stops the run when told of a call finds it in the run.
        locked(&self.calls).push(call);
        (self.each)(&call);
    }

    async fn answer(&self) -> End {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.target.0.clone();
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("pushback-load"));
        match self.pool.request(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                let mut body = response.into_body();
                while let Some(frame) = body.frame().await {
                    if let Err(error) = frame {
                        return self.lost(End::Broken, &error);
                    }
                }
                End::Status(status)
            }
            Err(error) if is_ours(&error) => self.lost(End::NotSent, &error),
            Err(error) if error.is_connect() => self.lost(End::NotConnected, &error),
            Err(error) => self.lost(End::Broken, &error),
        }
    }

    /// Keeps the innermost cause of the first request that ended so.
    fn lost(&self, end: End, error: &(dyn Error + 'static)) -> End {
        locked(&self.causes).entry(end).or_insert_with(|| innermost(error).to_string());
        end
    }

    /// All that happened until now.
    pub(super) fn run(&self, load: Load, end: RunEnd) -> Run {
        let time = SystemClock.now() - self.begin;
        let mut calls = std::mem::take(&mut *locked(&self.calls));
        let causes = std::mem::take(&mut *locked(&self.causes));
        calls.sort_by_key(|call| call.start);
        let unfinished = match end {
            RunEnd::Finished => None,
            RunEnd::Stopped => {
                let ended = calls.iter().filter(|call| call.lag.is_some()).count() as u64;
                Some(self.sent.load(Ordering::Relaxed).saturating_sub(ended))
            }
        };
        Run { load, calls, time, causes, unfinished }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunEnd {
    /// All requests were sent and ended.
    Finished,
    /// Somebody stopped it.
    Stopped,
}

/// Whether it is not the service's fault that a request failed: this process may open no more files, or all ports are taken.
fn is_ours(error: &legacy::Error) -> bool {
    const PROCESS_FILES: i32 = 24; // EMFILE
    const SYSTEM_FILES: i32 = 23; // ENFILE
    innermost(error).downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::AddrNotAvailable
            || cfg!(unix) && matches!(error.raw_os_error(), Some(PROCESS_FILES | SYSTEM_FILES))
    })
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
