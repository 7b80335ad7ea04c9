//! Load on a service over HTTP/1.1, in a closed loop: so many callers, each of which sends its next request when it has
//! the answer to the last.
//!
//! A closed loop slows down with the service it measures. It shows who is admitted and who is refused, but not what
//! latency users would see who do not wait for each other.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt, io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, Uri, body::Bytes, header::USER_AGENT, http::uri::Scheme};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use pushback::{Clock, SystemClock};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// How long the first connection may take; a service that cannot be reached is an error and not a result.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Where the load goes: an `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Uri);

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Says what is wrong with an address that is no URL, has no host, or wants anything but `http`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let allowed = "allowed: http://HOST[:PORT][/PATH]";
        let uri: Uri = url.parse().map_err(|error| format!("{error}; {allowed}"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => (),
            Some(scheme) => return Err(format!("the scheme is {scheme}; {allowed}")),
            None => return Err(format!("it has no scheme; {allowed}")),
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("it has a user name, which is not supported; {allowed}"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("it has no host; {allowed}"));
        }
        // `Uri` takes any digits for a port and then knows none, so that 99999 would become 80.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
        match after_host.rsplit_once(':') {
            Some((_, port)) if uri.port_u16().is_none() => {
                Err(format!("the port is '{port}', and not 0 to 65535; {allowed}"))
            }
            _ => Ok(Target(uri)),
        }
    }

    fn address(&self) -> (&str, u16) {
        // Brackets belong to the URL's form of an IPv6 address, not to the address.
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.0.port_u16().unwrap_or(80))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A closed loop: how many requests, by how many callers at once.
#[derive(Debug, Clone)]
pub struct Closed {
    /// Where they go.
    pub target: Target,
    /// How many requests in all.
    pub requests: u64,
    /// How many callers; each waits for its answer before it sends again.
    pub callers: u64,
    /// After how long a caller gives up.
    pub timeout: Duration,
}

/// One request, from its sending to the last byte of its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    /// When it was sent, since the run began.
    pub start: Duration,
    /// How long it took.
    pub time: Duration,
    /// How it ended.
    pub end: End,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// With an answer of this status.
    Status(u16),
    /// The caller gave up.
    TimedOut,
    /// No connection could be made.
    NotConnected,
    /// The connection broke before the answer's end.
    Broken,
}

impl End {
    /// Whether the service said that it is busy: 429 or 503.
    pub fn is_refused(self) -> bool {
        matches!(self, End::Status(429 | 503))
    }

    /// Whether the service took it on, whatever it answered in the end.
    pub fn is_admitted(self) -> bool {
        matches!(self, End::Status(_)) && !self.is_refused()
    }

    /// Whether there was no answer.
    pub fn is_lost(self) -> bool {
        !matches!(self, End::Status(_))
    }
}

/// All requests of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where they went.
    pub target: Target,
    /// How many callers there were.
    pub callers: u64,
    /// The requests, in the order of their start.
    pub calls: Vec<Call>,
    /// How long all of it took.
    pub time: Duration,
    /// What was wrong the first time that a request ended so.
    pub causes: BTreeMap<End, String>,
}

/// The service cannot be reached.
#[derive(Debug)]
pub struct LoadError {
    target: Target,
    cause: io::Error,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.target, self.cause)
    }
}

impl Error for LoadError {}

impl Closed {
    /// Sends all requests. `each` is told of every one that ended, from the caller's task.
    ///
    /// # Errors
    ///
    /// If the service cannot be reached at all. Later failures are results.
    pub async fn run(&self, each: impl Fn(&Call) + Send + Sync + 'static) -> Result<Run, LoadError> {
        self.reach().await?;
        let callers = self.callers.min(self.requests);
        let loop_ = Arc::new(Loop {
            client: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(usize::try_from(callers).unwrap_or(usize::MAX))
                .build_http(),
            load: self.clone(),
            begin: SystemClock.now(),
            sent: AtomicU64::new(0),
            calls: Mutex::new(Vec::new()),
            causes: Mutex::new(BTreeMap::new()),
            each,
        });
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let loop_ = Arc::clone(&loop_);
            tasks.spawn(async move { loop_.call_until_all_are_sent().await });
        }
        tasks.join_all().await;
        let time = SystemClock.now() - loop_.begin;
        let mut calls = std::mem::take(&mut *locked(&loop_.calls));
        let causes = std::mem::take(&mut *locked(&loop_.causes));
        calls.sort_by_key(|call| call.start);
        Ok(Run { target: self.target.clone(), callers, calls, time, causes })
    }

    async fn reach(&self) -> Result<(), LoadError> {
        let reached = match timeout(CONNECT_MAX, TcpStream::connect(self.target.address())).await {
            Ok(connected) => connected.map(drop),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5s")),
        };
        reached.map_err(|cause| LoadError { target: self.target.clone(), cause })
    }
}

/// What the callers of one run share.
struct Loop<F> {
    client: Client<HttpConnector, Empty<Bytes>>,
    load: Closed,
    begin: Instant,
    sent: AtomicU64,
    calls: Mutex<Vec<Call>>,
    causes: Mutex<BTreeMap<End, String>>,
    each: F,
}

impl<F: Fn(&Call)> Loop<F> {
    async fn call_until_all_are_sent(&self) {
        while self.sent.fetch_add(1, Ordering::Relaxed) < self.load.requests {
            let start = SystemClock.now();
            let end = timeout(self.load.timeout, self.call()).await.unwrap_or(End::TimedOut);
            let call = Call { start: start - self.begin, time: SystemClock.now() - start, end };
            (self.each)(&call);
            locked(&self.calls).push(call);
        }
    }

    async fn call(&self) -> End {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.load.target.0.clone();
        request.headers_mut().insert(USER_AGENT, hyper::header::HeaderValue::from_static("pushback-load"));
        match self.client.request(request).await {
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
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_say_what_is_allowed() {
        assert_eq!(Target::parse("http://[::1]:81/x").unwrap().address(), ("::1", 81));
        assert_eq!(Target::parse("http://localhost").unwrap().address(), ("localhost", 80));
        for (url, problem) in [
            ("https://a/", "the scheme is https"),
            ("localhost:8080/x", "invalid"),
            ("/path", "it has no scheme"),
            ("http://", "empty"),
            ("", "empty"),
            ("http://localhost:99999/", "the port is '99999'"),
            ("http://[::1]:/", "the port is ''"),
            ("http://user:secret@localhost/", "it has a user name"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(error.contains(problem) && error.ends_with("[/PATH]"), "{url}: {error}");
        }
    }

    #[test]
    fn each_end_is_admitted_or_refused_or_lost() {
        let kinds = |end: End| [end.is_admitted(), end.is_refused(), end.is_lost()];
        for status in [200, 304, 404, 500] {
            assert_eq!(kinds(End::Status(status)), [true, false, false], "{status}");
        }
        for status in [429, 503] {
            assert_eq!(kinds(End::Status(status)), [false, true, false], "{status}");
        }
        for end in [End::TimedOut, End::NotConnected, End::Broken] {
            assert_eq!(kinds(end), [false, false, true], "{end:?}");
        }
    }
}
