//! `pushback proxy`: a gate in front of services in any language.
//!
//! A request's way: `worker` accepts its connection, `door` looks at it, finds its `route` through the `site`, and asks the
//! library's layer, which refuses it or lets `forward` send it to the `upstream`; `call` keeps its place when its client goes away.
//!
//! Arrows between the rooms point down: this, `reload` and `state`, then `admin`, `front`, `attended`, `service`, `message`, `settings`.

mod admin;
mod attended;
mod flags;
mod front;
mod log;
mod message;
mod now;
mod reload;
mod service;
mod settings;
mod shares;
mod state;
mod systemd;
mod tls;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use pushback::http::Connections;
use pushback_lab::count;
use sd_notify::NotifyState;

use self::{
    admin::Served,
    front::{drain, gauges::Stood, site::Sites, worker::Workers},
    settings::{GaugeSettings, Said, Settings},
    shares::Shares,
};
pub(crate) use self::{
    flags::{Arguments, check_flags},
    service::connect::{Address, Connected},
    settings::{Lives, Origin, ServiceSettings, Token},
};
use crate::{
    failure::Failure,
    files::Share,
    listen::{cannot_listen, listen},
    output::{print, say, tell},
    settings::LimitChoice,
    shutdown::{Hangups, Shutdown},
};

/// Check a settings file of the proxy: print all settings that hold, or all that is wrong.
///
/// The settings are printed as a settings file that has each of them. Standard error has the
/// mistakes, each with its line, key, value and what is allowed, and remarks, which name settings
/// without effect; its last line is how many there are. The exit code is 2 if there is a mistake.
#[derive(clap::Args)]
pub(crate) struct CheckArguments {
    /// The settings file
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, as the proxy is given it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

pub(crate) fn check(arguments: &CheckArguments) -> Result<(), Failure> {
    let file = arguments.file.as_ref().or(arguments.config.as_ref());
    let file = file.ok_or_else(|| Failure::wrong("FILE is needed"))?;
    let made = settings::read(file).and_then(|settings| {
        // What only shows when it is made: certificates that the system lacks.
        Sites::new(settings.clone(), &Stood::new(), Share::of_all())
            .map_err(|problem| vec![format!("{}: {problem}", file.display())])?;
        Ok(settings)
    });
    let settings = made.map_err(|mut problems| {
        let errors = count(problems.len() as u64, "error");
        if let Some(last) = problems.last_mut() {
            *last += &format!("\n{errors}");
        }
        wrong(&problems)
    })?;
    let mut remarks = settings.remarks();
    // A proxy serves without it.
    let state = match settings.state.as_deref().map(state::check) {
        None => "",
        Some(Ok(())) => "\n# state: its folder can be written",
        Some(Err(problem)) => {
            remarks.push(format!("state: {problem}"));
            ""
        }
    };
    print(&format!("{settings}{state}"))?;
    for remark in &remarks {
        tell(&format!("remark: {remark}"));
    }
    tell(&format!("no errors, {}", count(remarks.len() as u64, "remark")));
    Ok(())
}

fn read(file: &Path) -> Result<Settings, Failure> {
    settings::read(file).map_err(|problems| wrong(&problems))
}

fn wrong(problems: &[String]) -> Failure {
    Failure::wrong(problems.join("\nerror: "))
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let file = arguments.config.clone();
    let settings = match &file {
        Some(file) => read(file)?,
        None => arguments.settings().map_err(Failure::wrong)?,
    };
    log::begin(settings.log)?;
    let form = settings.log;
    serve(file, settings).await.map_err(|failure| log::last(failure, form))
}

async fn serve(file: Option<PathBuf>, settings: Settings) -> Result<(), Failure> {
    let said = file.as_deref().map_or(Said::ByFlags, Said::In);
    let metrics = admin::install_metrics().map_err(Failure::run)?;
    let cannot_catch = |error| Failure::run(format!("cannot catch signals: {error}"));
    let mut shutdown = Shutdown::catch().map_err(cannot_catch)?;
    let hangups = Hangups::catch().map_err(cannot_catch)?;
    let listen_at = said.name("--listen HOST:PORT", "listen");
    let listener =
        listen(settings.listen).map_err(|error| cannot_listen(settings.listen, &listen_at, &error))?;
    let address = listener.local_addr().map_err(Failure::run)?;
    let shares = Shares::of_all_files(&settings)?;
    let stood = settings.state.as_deref().map(state::read).unwrap_or_default();
    let sites = Sites::new(settings.clone(), &stood, shares.services.clone()).map_err(Failure::wrong)?;
    let sites = Arc::new(sites);
    let served = admin::serve(&settings.admin, said, &sites, metrics, shares.visitors)?;
    shares.tell(&settings, said);
    settings.tell_remarks();
    let connections = Connections::at_most(shares.clients).map_err(Failure::wrong)?;
    let connections = connections.idle(settings.clients.idle).map_err(Failure::wrong)?;
    let workers = Workers::start(settings.workers, &listener, &sites, &connections)
        .map_err(|error| Failure::run(format!("cannot start the workers: {error}")))?;
    drop(listener);
    introduce(address, &served, &settings);
    let state = settings.state.map(|file| state::Writer::start(file, stood, Arc::clone(&sites)));
    let state = state.transpose().map_err(|error| {
        Failure::run(format!("cannot start the thread that writes the state file: {error}"))
    })?;
    tokio::spawn(reload::watch(file, Arc::clone(&sites), hangups));
    systemd::tell(NotifyState::Ready);

    let signal = shutdown.next().await;
    systemd::tell(NotifyState::Stopping);
    if let Some(state) = &state {
        state.finish();
    }
    let upgraded = match sites.upgraded() {
        0 => String::new(),
        open => format!(" and {} open", count(open, "upgraded connection")),
    };
    let in_flight = sites.in_flight();
    say(&format!("{signal}: draining, {in_flight} in flight{upgraded}. Another signal ends at once."));
    let bound = sites.now().settings.drain;
    tokio::select! {
        left = drain::run(&sites, workers, bound) => {
            if let Some(state) = state {
                state.wait().await;
            }
            let (admitted, refused) = sites.totals();
            let ended = if left.is_ok() { "Drained" } else { "Ended" };
            say(&format!("{ended}: {admitted} admitted, {refused} refused."));
            left
        }
        signal = shutdown.next() => {
            Err(Failure::run(format!("{signal} again: ended with {} in flight", sites.in_flight())))
        }
    }
}

fn introduce(address: SocketAddr, served: &Served, settings: &Settings) {
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    say(&format!("pushback proxy on {scheme}://{address}\n{}.", count(settings.workers as u64, "worker")));
    for route in &settings.routes {
        let gauge = settings.gauges.iter().find(|gauge| gauge.name == route.gauge);
        let does = gauge.map(GaugeSettings::does).unwrap_or_default();
        say(&format!("{}To {}: {does}.", route.asked, route.service.origin));
    }
    if let Some(admin) = served.admin {
        let scheme = if settings.admin.tls.is_some() { "https" } else { "http" };
        // Without a token nobody gets in there.
        let api = if settings.admin.token.is_some() { ", /api/gauges" } else { "" };
        say(&format!(
            "Live page, health and metrics on {scheme}://{admin}: /, /healthz, /readyz, /metrics{api}"
        ));
    }
    if let Some(probes) = served.probes {
        say(&format!("Probes on http://{probes}: /healthz, /readyz, /metrics"));
    }
    for gauge in &settings.gauges {
        let name = &gauge.name;
        if gauge.is_dry_run {
            say(&format!("Dry run: '{name}' refuses nobody."));
        }
        if matches!(gauge.limit, LimitChoice::Fixed(0)) {
            say(&format!("Warning: a limit of 0 admits nothing. '{name}' will refuse every request."));
        }
    }
}

impl GaugeSettings {
    /// What becomes of requests.
    fn does(&self) -> String {
        let limit = match &self.limit {
            LimitChoice::Fixed(places) => format!("at most {} at once", count(u64::from(*places), "request")),
            LimitChoice::Moving(name) => format!("as many requests at once as '{name}' finds right"),
        };
        match self.line {
            0 => format!("{limit}; the rest is refused at once"),
            places => {
                let wait = humantime::format_duration(self.line_wait);
                format!(
                    "{limit}; up to {places} more may wait, for at most {wait}; the rest is refused at once"
                )
            }
        }
    }
}
