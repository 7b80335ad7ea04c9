//! Settings as a settings file that says all of them.

use std::{fmt, time::Duration};

use pushback::http::Hold;
use toml::Value;

use super::{Asked, Host, Identity, Log, OnLeave, RouteSettings, Settings};
use crate::settings::LimitChoice;

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = match self.log {
            Log::Text => "text",
            Log::Json => "json",
        };
        line(f, "listen", self.listen.to_string())?;
        line(f, "workers", whole(self.workers))?;
        line(f, "drain", time(self.drain))?;
        line(f, "access_log", self.has_access_log)?;
        line(f, "log", log)?;
        if let Some(file) = &self.state {
            line(f, "state", file.display().to_string())?;
        }
        identity(f, "tls", self.tls.as_ref())?;

        let clients = &self.clients;
        writeln!(f, "\n[clients]")?;
        line(f, "connections", i64::from(clients.connections))?;
        line(f, "idle", time(clients.idle))?;
        line(f, "head", time(clients.head))?;
        line(f, "head_size", i64::from(clients.head_size))?;
        line(f, "fields", i64::from(clients.fields))?;
        line(f, "streams", i64::from(clients.streams))?;
        line(f, "body_buffer", i64::from(clients.body_buffer))?;

        let admin = &self.admin;
        let address = |address: Option<_>| {
            address.map_or("off".to_owned(), |address: std::net::SocketAddr| address.to_string())
        };
        writeln!(f, "\n[admin]")?;
        line(f, "listen", address(admin.listen))?;
        line(f, "probes", address(admin.probes))?;
        if let Some(token) = &admin.token {
            line(f, "token", token.display().to_string())?;
        }
        identity(f, "admin.tls", admin.tls.as_ref())?;

        let trust = &self.trust;
        writeln!(f, "\n[trust]")?;
        line(f, "hops", list(&trust.hops))?;
        if let Some(name) = &trust.deadline_header {
            line(f, "deadline_header", name.as_str())?;
        }
        line(f, "headers", list(&trust.headers))?;

        for gauge in &self.gauges {
            writeln!(f, "\n[gauges.{}]", key(&gauge.name))?;
            line(
                f,
                "limit",
                match &gauge.limit {
                    LimitChoice::Fixed(places) => Value::from(i64::from(*places)),
                    LimitChoice::Moving(name) => Value::from(*name),
                },
            )?;
            for (key, told) in [("patience", gauge.patience), ("time_max", gauge.time_max)] {
                if let Some(told) = told {
                    line(f, key, time(told))?;
                }
            }
            line(f, "line", i64::from(gauge.line))?;
            line(f, "line_wait", time(gauge.line_wait))?;
            line(f, "line_discipline", gauge.line_discipline.name())?;
            line(f, "dry_run", gauge.is_dry_run)?;
        }
        self.routes.iter().try_for_each(|settings| route(f, settings))
    }
}

/// What a route is for, in words; nothing if it is for all.
impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if !self.methods.is_empty() {
            said.push(self.methods.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        }
        match &self.host {
            Some(Host::Is(host)) => said.push(host.clone()),
            Some(Host::EndsWith(end)) => said.push(format!("*{end}")),
            None => (),
        }
        said.extend(self.path.clone());
        said.extend(self.header.as_ref().map(|(name, value)| format!("with {name}: {value}")));
        if said.is_empty() { Ok(()) } else { write!(f, "{} ", said.join(" ")) }
    }
}

fn route(f: &mut fmt::Formatter<'_>, route: &RouteSettings) -> fmt::Result {
    writeln!(f, "\n[[routes]]")?;
    line(f, "name", route.name.as_str())?;
    match &route.asked.host {
        Some(Host::Is(host)) => line(f, "host", host.as_str())?,
        Some(Host::EndsWith(end)) => line(f, "host", format!("*{end}"))?,
        None => (),
    }
    if let Some(path) = &route.asked.path {
        line(f, "path", if path.is_empty() { "/" } else { path })?;
    }
    if !route.asked.methods.is_empty() {
        line(f, "methods", list(&route.asked.methods))?;
    }
    if let Some((name, value)) = &route.asked.header {
        line(f, "header", format!("{name}: {value}"))?;
    }
    line(f, "to", route.service.origin.to_string())?;
    line(f, "connect_timeout", time(route.service.connect))?;
    line(f, "keep_alive", time(route.service.lives.keep_alive))?;
    line(f, "connection_age", time(route.service.lives.age))?;
    if let Some(ca) = &route.service.ca {
        line(f, "ca", ca.display().to_string())?;
    }
    line(f, "gauge", route.gauge.as_str())?;
    line(f, "exempt", list(&route.exempt))?;
    line(f, "timeout", time(route.timeout))?;
    line(f, "stall", time(route.stall))?;
    line(f, "least_rate", i64::from(route.least_rate))?;
    line(f, "priority", route.priority.as_str())?;
    line(f, "retries_rank_lower", route.retries_rank_lower)?;
    line(f, "on_leave", if route.on_leave == OnLeave::Cancel { "cancel" } else { "finish" })?;
    line(f, "answered", route.answered.to_string())?;
    line(f, "upgrades", list(&route.upgrades))?;
    if let Some(limit) = route.upgraded_limit {
        line(f, "upgraded_limit", i64::from(limit))?;
    }
    line(f, "upgraded_idle", time(route.upgraded_idle))?;
    if let Some(status) = route.refuse_with {
        line(f, "refuse_with", i64::from(status.as_u16()))?;
    }
    line(f, "hold", if route.hold == Hold::Head { "head" } else { "body" })
}

fn identity(f: &mut fmt::Formatter<'_>, section: &str, identity: Option<&Identity>) -> fmt::Result {
    let Some(Identity { certificate, key }) = identity else { return Ok(()) };
    writeln!(f, "\n[{section}]")?;
    line(f, "certificate", certificate.display().to_string())?;
    line(f, "key", key.display().to_string())
}

fn line(f: &mut fmt::Formatter<'_>, key: &str, value: impl Into<Value>) -> fmt::Result {
    writeln!(f, "{key} = {}", value.into())
}

/// A name between points, in quotes where it has a point itself.
fn key(name: &str) -> String {
    if name.contains('.') { Value::from(name).to_string() } else { name.to_owned() }
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn list<T: ToString>(values: &[T]) -> Value {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().into()
}
