//! `pushback proxy`: a gate in front of a service in any language.
//!
//! A request's way: `worker` accepts its connection, `door` looks at it and asks the library's layer, which refuses it or lets
//! `forward` send it to the `upstream`; `call` keeps its place when its client goes away.

mod access;
mod admin;
mod answer;
mod call;
mod door;
mod drain;
mod fields;
mod forward;
mod pool;
mod typical;
mod upgrade;
mod upstream;
mod worker;

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;
use pushback::{
    DryRunMode, Line, PressureGauge,
    http::{BackpressureLayer, Classify, Connections},
};
use sd_notify::NotifyState;

use self::{door::Gate, drain::Draining, upstream::Origin, worker::Workers};
use crate::{
    failure::Failure,
    output::say,
    settings::{self, LimitChoice},
    shutdown::Shutdown,
};

/// Stand in front of a service: let as many requests through as it can do, refuse or queue the rest at once.
///
/// Without --limit the limit finds itself. Refused requests get 429, or their protocol's own word for it, within
/// microseconds. The proxy's own answers, refusals and errors of the service alike, have a Proxy-Status field (RFC 9209).
/// SIGTERM and Ctrl-C drain: what runs is finished, then the program ends; a second signal ends it at once.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The service: http://HOST[:PORT], or h2c://HOST[:PORT] for HTTP/2 without TLS, as gRPC servers speak it
    #[arg(long, value_name = "URL", value_parser = Origin::parse)]
    to: Origin,
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080", value_parser = settings::address)]
    listen: SocketAddr,
    /// How many requests may be in the service at once, 0 to 4294967295, or how that is found: auto, aimd, vegas, …
    #[arg(long, value_name = "N|NAME", default_value = "auto", value_parser = settings::limit_choice, allow_hyphen_values = true)]
    limit: LimitChoice,
    /// How many requests may wait in line for a place, 0 to 1000000; 0 refuses at once
    #[arg(long, value_name = "N", default_value = "0", value_parser = line, allow_hyphen_values = true)]
    line: u32,
    /// How long a request waits in line at most, 1ms to 1m
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = wait, allow_hyphen_values = true)]
    line_wait: Duration,
    /// How many threads serve, 1 to 1024; as many as there are cores, if nothing is said
    #[arg(long, value_name = "N", value_parser = workers, allow_hyphen_values = true)]
    workers: Option<usize>,
    /// A path that always passes, such as the service's health check; as often as there are such paths
    #[arg(long, value_name = "/PATH", value_parser = exempt)]
    exempt: Vec<String>,
    /// Refuse nobody, and count who would have been refused
    #[arg(long)]
    dry_run: bool,
    /// How long the service has for the head of its answer, 10ms to 1h; after that the client gets 504
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = answer_time, allow_hyphen_values = true)]
    timeout: Duration,
    /// How many connections clients may have open, 1 to 4294967295
    #[arg(long, value_name = "N", default_value = "20000", value_parser = connections, allow_hyphen_values = true)]
    connections: u32,
    /// How long a client may make no progress with a body, sending or reading, 1ms to 24h
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = stall, allow_hyphen_values = true)]
    stall: Duration,
    /// Where health checks and metrics are served: /healthz, /readyz, /metrics. A loopback address; "off" for none
    #[arg(long, value_name = "HOST:PORT|off", default_value = "127.0.0.1:9900", value_parser = admin_address)]
    admin: AdminAddress,
    /// How long a drain waits for requests that run, 0s to 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = drain_time, allow_hyphen_values = true)]
    drain: Duration,
    /// Log each request with its answer's status and the time to its head
    #[arg(long)]
    access_log: bool,
    /// How logs are written to standard error
    #[arg(long, value_name = "FORM", default_value = "text")]
    log: Log,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Log {
    Text,
    Json,
}

/// Where the admin listener is, if it is.
#[derive(Debug, Clone, Copy)]
struct AdminAddress(Option<SocketAddr>);

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    if text == "off" {
        return Ok(AdminAddress(None));
    }
    let address = settings::address(text)?;
    if address.ip().is_loopback() {
        Ok(AdminAddress(Some(address)))
    } else {
        Err("it is no loopback address, and the admin listener has no TLS; allowed: 127.0.0.1:PORT, [::1]:PORT, off"
            .to_owned())
    }
}

fn line(text: &str) -> Result<u32, String> {
    settings::number(text, 0..=1_000_000).map(|places| u32::try_from(places).unwrap_or(u32::MAX))
}

fn exempt(text: &str) -> Result<String, String> {
    match Classify::new().exempt([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("allowed: a path that begins with '/', without '?' and '#'".to_owned()),
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=Duration::from_secs(60))
}

fn workers(text: &str) -> Result<usize, String> {
    settings::number(text, 1..=1024).map(|count| usize::try_from(count).unwrap_or(1))
}

fn answer_time(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(10)..=Duration::from_secs(3600))
}

fn connections(text: &str) -> Result<u32, String> {
    settings::number(text, 1..=u64::from(u32::MAX)).map(|count| u32::try_from(count).unwrap_or(u32::MAX))
}

fn stall(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::from_millis(1)..=Duration::from_secs(24 * 3600))
}

fn drain_time(text: &str) -> Result<Duration, String> {
    settings::duration(text, Duration::ZERO..=Duration::from_secs(3600))
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    log(arguments.log);
    let metrics = admin::install_metrics().map_err(Failure::run)?;
    let gauge = gauge(&arguments).map_err(Failure::wrong)?;
    let mut shutdown =
        Shutdown::catch().map_err(|error| Failure::run(format!("cannot catch signals: {error}")))?;
    let listener = listen(arguments.listen)?;
    let address = listener.local_addr().map_err(Failure::run)?;
    let draining = Draining::new();
    let layer = if arguments.line > 0 {
        BackpressureLayer::waiting(gauge.clone())
    } else {
        BackpressureLayer::new(gauge.clone())
    };
    let classify = Classify::new().exempt(&arguments.exempt).map_err(Failure::wrong)?;
    let layer = layer.classify(classify).stall(arguments.stall).map_err(Failure::wrong)?;
    let admin = match arguments.admin.0 {
        Some(address) => Some(admin::serve(address, gauge.clone(), draining.clone(), metrics).await?),
        None => None,
    };
    let gate = Arc::new(Gate::new(
        layer,
        arguments.to.clone(),
        arguments.timeout,
        arguments.access_log,
        draining.clone(),
    ));
    let connections = Connections::at_most(arguments.connections).map_err(Failure::wrong)?;
    let count = arguments
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
    let workers = Workers::start(count, &listener, &gate, &connections, &draining)
        .map_err(|error| Failure::run(format!("cannot start the workers: {error}")))?;
    drop(listener);
    introduce(address, admin, &arguments, count);
    tell_systemd(NotifyState::Ready);

    let signal = shutdown.next().await;
    tell_systemd(NotifyState::Stopping);
    let running = gauge.snapshot().in_flight;
    say(&format!("{signal}: draining, {running} in flight. Another signal ends at once."));
    tokio::select! {
        left = drain::run(&draining, &gauge, workers, arguments.drain) => {
            let snapshot = gauge.snapshot();
            say(&format!("Drained: {} admitted, {} refused.", snapshot.admitted, snapshot.refused.total()));
            left
        }
        signal = shutdown.next() => {
            Err(Failure::run(format!("{signal} again: ended with {} in flight", gauge.snapshot().in_flight)))
        }
    }
}

fn gauge(arguments: &Arguments) -> Result<PressureGauge, pushback::BuildError> {
    let gauge = PressureGauge::builder().name("upstream").limit(arguments.limit.clone());
    let line = Line::fifo(arguments.line).wait_at_most(arguments.line_wait);
    let gauge = gauge.line(line).build()?;
    if arguments.dry_run {
        gauge.set_dry_run(DryRunMode::On);
    }
    Ok(gauge)
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|error: std::io::Error| Failure::run(format!("cannot listen on {address}: {error}")))
}

fn log(form: Log) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("PUSHBACK_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log that is there already, as in a test, stays.
    let _ = match form {
        Log::Text => log.try_init(),
        Log::Json => log.json().flatten_event(true).try_init(),
    };
}

fn introduce(address: SocketAddr, admin: Option<SocketAddr>, arguments: &Arguments, workers: usize) {
    let limit = match &arguments.limit {
        LimitChoice::Fixed(places) => format!("at most {places} requests at once"),
        LimitChoice::Moving(name) => format!("as many requests at once as '{name}' finds right"),
    };
    let line = match arguments.line {
        0 => "the rest gets 429 at once".to_owned(),
        places => {
            let wait = humantime::format_duration(arguments.line_wait);
            format!("up to {places} wait for at most {wait}, the rest gets 429 at once")
        }
    };
    say(&format!(
        "pushback proxy on http://{address}\n\
         To {}: {limit}; {line}. {workers} workers.",
        arguments.to
    ));
    if let Some(admin) = admin {
        say(&format!("Health and metrics on http://{admin}: /healthz, /readyz, /metrics"));
    }
    if arguments.dry_run {
        say("A dry run: nobody is refused.");
    }
    if matches!(arguments.limit, LimitChoice::Fixed(0)) {
        say("Warning: a limit of 0 admits nothing. Every request will be refused.");
    }
}

/// Tells whoever started this, if that wants to know.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
