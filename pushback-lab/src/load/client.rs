//! One run's client: it sends requests and keeps what became of them.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Mutex, MutexGuard, PoisonError},
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
use tokio::time::timeout;

use super::{Call, End, Run, Target};

/// What the requests of one run share.
pub(super) struct Client<F> {
    pool: legacy::Client<HttpConnector, Empty<Bytes>>,
    target: Target,
    timeout: Duration,
    begin: Instant,
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
            calls: Mutex::new(Vec::new()),
            causes: Mutex::new(BTreeMap::new()),
            each,
        }
    }

    /// Sends a request that starts now, and waits for its end.
    pub(super) async fn call(&self, start: Instant) {
        let end = timeout(self.timeout, self.answer()).await.unwrap_or(End::TimedOut);
        let call = Call { start: start - self.begin, time: SystemClock.now() - start, end };
        (self.each)(&call);
        locked(&self.calls).push(call);
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
            Err(error) if error.is_connect() => self.lost(End::NotConnected, &error),
            Err(error) => self.lost(End::Broken, &error),
        }
    }

    /// Keeps the innermost cause of the first request that ended so.
    fn lost(&self, end: End, error: &dyn Error) -> End {
        locked(&self.causes).entry(end).or_insert_with(|| {
            let mut innermost = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            innermost.to_string()
        });
        end
    }

    /// All that happened until now.
    pub(super) fn run(&self, callers: u64) -> Run {
        let time = SystemClock.now() - self.begin;
        let mut calls = std::mem::take(&mut *locked(&self.calls));
        let causes = std::mem::take(&mut *locked(&self.causes));
        calls.sort_by_key(|call| call.start);
        Run { target: self.target.clone(), callers, calls, time, causes }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
