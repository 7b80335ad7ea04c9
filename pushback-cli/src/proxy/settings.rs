//! What the proxy is to do, whether flags said it or a file.

mod file;
mod itself;
mod nearest;
mod origin;
mod remarks;
mod section;
mod show;
mod token;
mod values;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::ValueEnum;
use hyper::{Method, StatusCode, header::HeaderName};
use ipnet::IpNet;
use pushback::{
    Line, Priority,
    http::{Answered, Classify, Hold},
};

pub(super) use self::{
    file::{named_files, read},
    itself::Listeners,
    values::answered,
};
pub(crate) use self::{origin::Origin, token::Token};
use crate::settings::{self, LimitChoice};

/// All settings of a proxy, each in its range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    /// Where clients come in.
    pub(super) listen: SocketAddr,
    /// How many threads serve.
    pub(super) workers: usize,
    /// How long a drain waits for requests that run.
    pub(super) drain: Duration,
    pub(super) has_access_log: bool,
    pub(super) log: Log,
    /// Where it is written where limits stand, for the next start.
    pub(super) state: Option<PathBuf>,
    /// Without it, clients come in without TLS.
    pub(super) tls: Option<Identity>,
    pub(super) clients: Clients,
    pub(super) admin: Admin,
    pub(super) trust: Trust,
    /// Those that routes name, and each route's own under the route's name.
    pub(super) gauges: Vec<GaugeSettings>,
    /// The first one that matches a request is its route.
    pub(super) routes: Vec<RouteSettings>,
}

impl Settings {
    /// An address that two listeners would have, of which the system gives each to one.
    fn shared_address(&self) -> Option<SocketAddr> {
        let all = [Some(self.listen), self.admin.listen, self.admin.probes];
        let all: Vec<_> = all.into_iter().flatten().filter(|address| address.port() != 0).collect();
        let takes = |one: &SocketAddr, other: &SocketAddr| {
            // `[::]` is for IPv4 too, unless the system says otherwise.
            let has = |all: &SocketAddr, one: &SocketAddr| {
                all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4())
            };
            let is_same = one.ip() == other.ip() || has(one, other) || has(other, one);
            is_same && one.port() == other.port()
        };
        let is_taken = |index: &usize| all[..*index].iter().any(|other| takes(&all[*index], other));
        (0..all.len()).find(is_taken).map(|index| all[index])
    }
}

/// How settings are said, by which errors name them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'a> {
    ByFlags,
    In(&'a Path),
}

impl Said<'_> {
    /// What a setting is called, with its value.
    pub(super) fn name(self, flag: &str, key: &str) -> String {
        match self {
            Said::ByFlags => flag.to_owned(),
            Said::In(file) => format!("{key} in {}", file.display()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Log {
    Text,
    Json,
}

/// Who a server is: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The certificate, and those that it needs behind it.
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What clients may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clients {
    /// How many connections they may have open.
    pub(super) connections: u32,
    /// How long nothing may move on a connection.
    pub(super) idle: Duration,
    /// How long they may take for the head of a request, and between two requests; and for TLS to be agreed on.
    pub(super) head: Duration,
    /// The most that the head of a request may be long, in bytes.
    pub(super) head_size: u32,
    /// How many fields it may have.
    pub(super) fields: u32,
    /// How many requests one HTTP/2 connection may have open.
    pub(super) streams: u32,
    /// How much of a request's body is read before its gauge is asked, in bytes.
    pub(super) body_buffer: u32,
}

impl Clients {
    /// How many fields the head of a request may have.
    pub(super) fn fields_max(&self) -> usize {
        usize::try_from(self.fields).unwrap_or(usize::MAX)
    }
}

/// Who may look at the proxy, and change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Admin {
    pub(super) listen: Option<SocketAddr>,
    /// Where health, readiness and metrics are served beside that, for everybody who reaches it.
    pub(super) probes: Option<SocketAddr>,
    /// A file with the word that changes are made with.
    pub(super) token: Option<PathBuf>,
    pub(super) tls: Option<Identity>,
}

impl Admin {
    /// Whether nobody gets at it who should not.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.listen {
            Some(address) if !address.ip().is_loopback() && (self.tls.is_none() || self.token.is_none()) => {
                Err(format!(
                    "listen is {address}, which is no loopback address; allowed: 127.0.0.1:PORT, [::1]:PORT, off, and \
                     others with TLS and a token only (probes may be anywhere)"
                ))
            }
            _ => Ok(()),
        }
    }
}

/// Whose word counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trust {
    /// The hops before this proxy that are known: whoever connects from there.
    pub(super) hops: Vec<IpNet>,
    /// Where they say how many milliseconds they still wait.
    pub(super) deadline_header: Option<String>,
    /// What nobody else may say.
    pub(super) headers: Vec<HeaderName>,
}

impl Trust {
    pub(super) fn knows(&self, peer: IpAddr) -> bool {
        self.hops.iter().any(|hop| hop.contains(&peer))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct GaugeSettings {
    pub(super) name: String,
    pub(super) limit: LimitChoice,
    /// How long callers wait before they give up, if a limit of `auto` is told that.
    pub(super) patience: Option<Duration>,
    /// How long calls may take on average, if it is told that.
    pub(super) time_max: Option<Duration>,
    /// How many requests may wait for a place.
    pub(super) line: u32,
    /// And for how long.
    pub(super) line_wait: Duration,
    /// Who of them is next.
    pub(super) line_discipline: Discipline,
    pub(super) is_dry_run: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteSettings {
    pub(super) name: String,
    pub(super) asked: Asked,
    pub(super) service: ServiceSettings,
    /// The name of its gauge.
    pub(super) gauge: String,
    /// Paths that always pass.
    pub(super) exempt: Vec<String>,
    /// How important its requests are.
    pub(super) priority: Priority,
    /// Whether those that are retries are less so.
    pub(super) retries_rank_lower: bool,
    /// How long the service has for the head of its answer.
    pub(super) timeout: Duration,
    /// How long a client may make no progress with a body.
    pub(super) stall: Duration,
    /// How many bytes a second a client must send of a body.
    pub(super) least_rate: u32,
    pub(super) on_leave: OnLeave,
    /// When a client has what it waits for.
    pub(super) answered: Answered,
    pub(super) hold: Hold,
    /// What connections may become, by names in small letters.
    pub(super) upgrades: Vec<String>,
    /// How many connections that have become something else may be open at once; as many as clients may have, if nothing is said.
    pub(super) upgraded_limit: Option<u32>,
    /// How long nothing may move on one of them.
    pub(super) upgraded_idle: Duration,
    /// The status of refusals; 429, if nothing is said.
    pub(super) refuse_with: Option<StatusCode>,
}

/// Who of those that wait in line is next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Discipline {
    /// Whoever came first.
    #[default]
    Fifo,
    /// Whoever came last.
    Lifo,
    /// Whoever came first, and nobody waits for long in a line that stands.
    Codel,
    /// Whoever came first, and in a line that stands whoever came last.
    AdaptiveLifo,
}

impl Discipline {
    /// As they are written, in the order of the values.
    pub(super) const NAMES: [&str; 4] = ["fifo", "lifo", "codel", "adaptive-lifo"];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(super) fn line(self, places: u32) -> Line {
        match self {
            Discipline::Fifo => Line::fifo(places),
            Discipline::Lifo => Line::lifo(places),
            Discipline::Codel => Line::codel(places),
            Discipline::AdaptiveLifo => Line::adaptive_lifo(places),
        }
    }
}

/// What becomes of a call whose client goes away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OnLeave {
    /// The service finishes it, and keeps its place as long.
    #[default]
    Finish,
    /// The service is told, and its place is free at once.
    Cancel,
}

/// Which requests a route is for: all that is said must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) host: Option<Host>,
    /// What the path begins with, by whole segments.
    pub(super) path: Option<String>,
    /// All, if there is none.
    pub(super) methods: Vec<Method>,
    /// A header that the request must have, with one of its values.
    pub(super) header: Option<(HeaderName, String)>,
}

/// Hosts by name, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Is(String),
    /// Every name below this one: it begins with a point.
    EndsWith(String),
}

/// How long connections to a service live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lives {
    /// How long one is kept on which nothing runs.
    pub(crate) keep_alive: Duration,
    /// How old one may be that another call goes out on.
    pub(crate) age: Duration,
}

/// Shorter than most services keep theirs, so that calls meet few that are just being closed. And what a service's name means may change
/// while connections are kept.
impl Default for Lives {
    fn default() -> Self {
        Lives { keep_alive: Duration::from_secs(4), age: Duration::from_secs(300) }
    }
}

/// A service, and the way to it. Routes that say the same of it share its connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceSettings {
    pub(crate) origin: Origin,
    /// How long a connection may take.
    pub(crate) connect: Duration,
    pub(crate) lives: Lives,
    /// Whose certificates are believed; the system's, if nothing is said.
    pub(crate) ca: Option<PathBuf>,
}

// What holds if nothing is said. The flags' help says them again, and a test holds that against these.
pub(super) const LISTEN: &str = "127.0.0.1:8080";
pub(super) const ADMIN: &str = "127.0.0.1:9900";
const LINE_WAIT: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const CONNECT: Duration = Duration::from_secs(5);
const STALL: Duration = Duration::from_secs(10);
const LEAST_RATE: u32 = 4 << 10;
pub(super) const UPGRADED_IDLE: Duration = Duration::from_secs(3600);
const DRAIN: Duration = Duration::from_secs(30);

impl Default for Clients {
    fn default() -> Self {
        Clients {
            connections: 20_000,
            idle: Duration::from_secs(300),
            head: Duration::from_secs(60),
            head_size: 64 << 10,
            fields: 100,
            streams: 250,
            body_buffer: 64 << 10,
        }
    }
}

/// WebSocket, if nothing is said: what a service agrees to without meaning to would pass its gauge by.
pub(super) fn upgrades() -> Vec<String> {
    vec!["websocket".to_owned()]
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Where the admin listener is, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Somewhere(pub(super) Option<SocketAddr>);

pub(super) fn address_or_off(text: &str) -> Result<Somewhere, String> {
    if text == "off" {
        return Ok(Somewhere(None));
    }
    settings::address(text)
        .map(|address| Somewhere(Some(address)))
        .map_err(|error| format!("{error}, or off"))
}

/// What a limit of `auto` is told of times.
pub(super) fn time_of_calls(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=Duration::from_secs(3600))
}

/// Whether a limit can be told of times.
pub(super) fn hears_of_times(limit: &LimitChoice) -> Result<(), String> {
    if *limit == LimitChoice::AUTO {
        return Ok(());
    }
    Err(format!("allowed: only with the limit auto, and it is {limit}"))
}

pub(super) fn line(text: &str) -> Result<u32, String> {
    small(text, 0..=1_000_000)
}

pub(super) fn state(text: &str) -> Result<PathBuf, String> {
    state_file(PathBuf::from(text))
}

/// A file that may not be there yet.
fn state_file(file: PathBuf) -> Result<PathBuf, String> {
    if file.file_name().is_none() || (file.exists() && !file.is_file()) {
        return Err(
            "allowed: a file to write, which need not exist yet, such as /var/lib/pushback/state.json"
                .to_owned(),
        );
    }
    Ok(file)
}

pub(super) fn exempt(text: &str) -> Result<String, String> {
    match Classify::new().exempt([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("allowed: a path that begins with '/', without '?' and '#'".to_owned()),
    }
}

pub(super) fn wait(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=Duration::from_secs(60))
}

pub(super) fn workers(text: &str) -> Result<usize, String> {
    settings::number(text, 1..=1024).map(|count| usize::try_from(count).unwrap_or(1))
}

/// How long the service may take, to connect or to answer.
pub(super) fn service_time(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(10)..=Duration::from_secs(3600))
}

pub(super) fn idle(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_secs(1)..=Duration::from_secs(24 * 3600))
}

/// How long a connection to a service is kept on which nothing runs.
pub(super) fn keep_alive(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(100)..=Duration::from_secs(3600))
}

/// How old a connection to a service may become.
pub(super) fn connection_age(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_secs(1)..=Duration::from_secs(24 * 3600))
}

pub(super) fn connections(text: &str) -> Result<u32, String> {
    small(text, 1..=u32::MAX)
}

pub(super) fn stall(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=Duration::from_secs(24 * 3600))
}

/// In bytes a second.
pub(super) fn least_rate(text: &str) -> Result<u32, String> {
    small(text, 0..=1 << 30)
}

pub(super) fn drain_time(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::ZERO..=Duration::from_secs(3600))
}

fn small(text: &str, allowed: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    let number = settings::number(text, u64::from(*allowed.start())..=u64::from(*allowed.end()))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX)) // it is in its range
}
