//! The proxy's settings as flags: one service, one gauge.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgMatches, parser::ValueSource};
use pushback::http::Answered;

use super::settings::{
    self, Admin, Asked, CONNECT, Clients, Discipline, GaugeSettings, Listeners, Lives, Log, OnLeave, Origin,
    RouteSettings, ServiceSettings, Settings, Somewhere, Trust, hears_of_times,
};
use crate::settings::{LimitChoice, address, limit_choice};

/// Stand in front of a service: let as many requests through as it can do, refuse or queue the
/// rest.
///
/// For example: pushback proxy --to http://127.0.0.1:3000. Without --limit, the limit finds itself.
/// A refused request gets 429 within microseconds, or what its protocol has for that. All answers
/// of the proxy's own have a Proxy-Status field (RFC 9209): refusals, and errors in reaching the
/// service.
///
/// A settings file (--config) adds routes, TLS and trusted hops. SIGTERM and Ctrl-C drain: requests
/// in flight are finished, then the program ends. A second signal ends it at once.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The service: http://HOST[:PORT], https://, h2c:// (HTTP/2 without TLS, as gRPC servers speak
    /// it), h2:// (HTTP/2 with TLS)
    #[arg(long, value_name = "URL", value_parser = Origin::parse, required_unless_present = "config")]
    to: Option<Origin>,
    /// A settings file, instead of all flags. It is read again on SIGHUP, or when it changes
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Where to listen for clients
    #[arg(long, value_name = "HOST:PORT", default_value = settings::LISTEN, value_parser = address)]
    listen: SocketAddr,
    /// How many requests may be in flight at once, 0 to 4294967295, or what finds that: auto, aimd,
    /// vegas, …
    #[arg(long, value_name = "N|NAME", default_value = "auto", value_parser = limit_choice, allow_hyphen_values = true)]
    limit: LimitChoice,
    /// How long callers wait before they give up, 1ms to 1h, if you know it. Requests may then take
    /// half of that on average. For --limit auto
    #[arg(long, value_name = "TIME", value_parser = settings::time_of_calls, allow_hyphen_values = true)]
    patience: Option<Duration>,
    /// How long requests may take on average, 1ms to 1h. Where they take longer, the limit goes
    /// down until they do not, even if that gets less done. For --limit auto
    #[arg(long, value_name = "TIME", value_parser = settings::time_of_calls, allow_hyphen_values = true)]
    time_max: Option<Duration>,
    /// How many requests may wait in line for a place, 0 to 1000000. 0 refuses at once
    #[arg(long, value_name = "N", default_value = "0", value_parser = settings::line, allow_hyphen_values = true)]
    line: u32,
    /// How long a request waits in line at most, 1ms to 1m
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = settings::wait, allow_hyphen_values = true)]
    line_wait: Duration,
    /// Who of those that wait is next: whoever came first (fifo) or last (lifo), or whoever came
    /// first, and in a line that stands nobody waits for long (codel) or the last is next
    /// (adaptive-lifo)
    #[arg(long, value_name = "DISCIPLINE", default_value = "fifo")]
    line_discipline: Discipline,
    /// How many threads serve, 1 to 1024 [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = settings::workers, allow_hyphen_values = true)]
    workers: Option<usize>,
    /// A path that always passes, such as a health check. May be given several times
    #[arg(long, value_name = "/PATH", value_parser = settings::exempt)]
    exempt: Vec<String>,
    /// Refuse nobody, but count who would have been refused
    #[arg(long)]
    dry_run: bool,
    /// How long the service has for the head of its answer, 10ms to 1h. After that the client gets
    /// 504
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = settings::service_time, allow_hyphen_values = true)]
    timeout: Duration,
    /// How long an idle connection to the service is kept, 100ms to 1h. Best shorter than the
    /// service keeps it
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = settings::keep_alive, allow_hyphen_values = true)]
    keep_alive: Duration,
    /// The age at which a connection to the service takes no more requests, 1s to 24h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = settings::connection_age, allow_hyphen_values = true)]
    connection_age: Duration,
    /// How many connections clients may have open, 1 to 4294967295
    #[arg(long, value_name = "N", default_value = "20000", value_parser = settings::connections, allow_hyphen_values = true)]
    connections: u32,
    /// How long a client may make no progress with a body, sending or reading, 1ms to 24h
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = settings::stall, allow_hyphen_values = true)]
    stall: Duration,
    /// How many bytes a second a client must send of a body while the service waits for it, 0
    /// to 1073741824. 0 accepts any rate
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = settings::least_rate, allow_hyphen_values = true)]
    least_rate: u32,
    /// What becomes of a request whose client goes away. finish: it keeps its place until the
    /// service is done. cancel: the service is told and the place is free at once, for services
    /// that stop then
    #[arg(long, value_name = "HOW", default_value = "finish")]
    on_leave: OnLeave,
    /// When a client has what it waits for: head, first-data, first-event:N, end. By this "auto"
    /// sees whether a stream is slow. How long the service works is measured to the end in any case
    #[arg(long, value_name = "WHEN", default_value = "first-data", value_parser = settings::answered)]
    answered: Answered,
    /// Where operators look: the live page at /, and /healthz, /readyz, /metrics, /api/gauges. A
    /// loopback address; "off" for none
    #[arg(long, value_name = "HOST:PORT|off", default_value = settings::ADMIN, value_parser = settings::address_or_off)]
    admin: Somewhere,
    /// A file with the token that /api/gauges asks for. Without it, nobody gets in
    #[arg(long, value_name = "FILE")]
    admin_token: Option<PathBuf>,
    /// Where health and metrics alone are served, for probes. Any address; "off" for none
    #[arg(long, value_name = "HOST:PORT|off", default_value = "off", value_parser = settings::address_or_off)]
    probes: Somewhere,
    /// How long a drain waits for requests in flight, 0s to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = settings::drain_time, allow_hyphen_values = true)]
    drain: Duration,
    /// A file that keeps where limits of "auto" stand, so that they go on from there at the next
    /// start. Each proxy needs its own
    #[arg(long, value_name = "FILE", value_parser = settings::state)]
    state: Option<PathBuf>,
    /// Log each request, with its answer's status and the time to its head
    #[arg(long)]
    access_log: bool,
    /// The form of the log on standard error
    #[arg(long, value_name = "FORM", default_value = "text")]
    log: Log,
}

/// Where a settings file has what flags say, by the names that clap has for these.
const KEYS: [(&str, &str); 26] = [
    ("to", "to in [[routes]]"),
    ("listen", "listen"),
    ("limit", "limit in [[routes]]"),
    ("patience", "patience in [[routes]]"),
    ("time_max", "time_max in [[routes]]"),
    ("line", "line in [[routes]]"),
    ("line_wait", "line_wait in [[routes]]"),
    ("line_discipline", "line_discipline in [[routes]]"),
    ("workers", "workers"),
    ("exempt", "exempt in [[routes]]"),
    ("dry_run", "dry_run in [[routes]]"),
    ("timeout", "timeout in [[routes]]"),
    ("keep_alive", "keep_alive in [[routes]]"),
    ("connection_age", "connection_age in [[routes]]"),
    ("connections", "clients.connections"),
    ("stall", "stall in [[routes]]"),
    ("least_rate", "least_rate in [[routes]]"),
    ("on_leave", "on_leave in [[routes]]"),
    ("answered", "answered in [[routes]]"),
    ("admin", "admin.listen"),
    ("admin_token", "admin.token"),
    ("probes", "admin.probes"),
    ("drain", "drain"),
    ("state", "state"),
    ("access_log", "access_log"),
    ("log", "log"),
];

/// Whether flags of the proxy go together: a settings file stands for all of them.
pub(crate) fn check_flags(said: &ArgMatches) -> Result<(), String> {
    let Some(("proxy", said)) = said.subcommand() else { return Ok(()) };
    let is_said = |flag: &str| said.value_source(flag) == Some(ValueSource::CommandLine);
    let beside: Vec<_> = KEYS.iter().filter(|(flag, _)| is_said(flag)).collect();
    if !is_said("config") || beside.is_empty() {
        return Ok(());
    }
    let flags: Vec<_> = beside.iter().map(|(flag, _)| format!("--{}", flag.replace('_', "-"))).collect();
    let keys: Vec<_> = beside.iter().map(|(_, key)| *key).collect();
    Err(format!(
        "--config FILE replaces all flags, so {} cannot stand beside it; in the file it is: {}",
        flags.join(", "),
        keys.join(", ")
    ))
}

/// What the one gauge is called.
const GAUGE: &str = "upstream";

impl Arguments {
    /// Settings with one route, for all requests.
    pub(super) fn settings(self) -> Result<Settings, String> {
        for (flag, time) in [("--patience", self.patience), ("--time-max", self.time_max)] {
            if let (Some(time), Err(problem)) = (time, hears_of_times(&self.limit)) {
                return Err(format!("{flag} is {}; {problem}", humantime::format_duration(time)));
            }
        }
        let origin = self.to.ok_or("--to URL or --config FILE is needed")?;
        let admin = Admin { listen: self.admin.0, probes: self.probes.0, token: self.admin_token, tls: None };
        Listeners::of(["--listen", "--admin", "--probes"], self.listen, &admin)
            .are_not(&origin)
            .map_err(|problem| format!("--to is {origin}; {problem}"))?;
        let gauge = GaugeSettings {
            name: GAUGE.to_owned(),
            limit: self.limit,
            patience: self.patience,
            time_max: self.time_max,
            line: self.line,
            line_wait: self.line_wait,
            line_discipline: self.line_discipline,
            is_dry_run: self.dry_run,
        };
        let route = RouteSettings {
            name: "all".to_owned(),
            asked: Asked::default(),
            service: ServiceSettings {
                origin,
                connect: CONNECT,
                lives: Lives { keep_alive: self.keep_alive, age: self.connection_age },
                ca: None,
            },
            gauge: GAUGE.to_owned(),
            exempt: self.exempt,
            priority: pushback::Priority::Normal,
            retries_rank_lower: true,
            timeout: self.timeout,
            stall: self.stall,
            least_rate: self.least_rate,
            on_leave: self.on_leave,
            answered: self.answered,
            hold: pushback::http::Hold::Body,
            upgrades: settings::upgrades(),
            upgraded_limit: None,
            upgraded_idle: settings::UPGRADED_IDLE,
            refuse_with: None,
        };
        Ok(Settings {
            listen: self.listen,
            workers: self.workers.unwrap_or_else(settings::cores),
            drain: self.drain,
            has_access_log: self.access_log,
            log: self.log,
            state: self.state,
            tls: None,
            clients: Clients { connections: self.connections, ..Clients::default() },
            admin,
            trust: Trust::default(),
            gauges: vec![gauge],
            routes: vec![route],
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::*;

    #[test]
    fn each_flag_has_its_key_in_the_file() {
        let command = Arguments::augment_args(Command::new("proxy"));
        let flags = command.get_arguments().map(|flag| flag.get_id().as_str());
        let mut flags: Vec<_> = flags.filter(|flag| *flag != "config").collect();
        let mut known = KEYS.map(|(flag, _)| flag);
        flags.sort_unstable();
        known.sort_unstable();
        assert_eq!(flags, known);
    }
}
