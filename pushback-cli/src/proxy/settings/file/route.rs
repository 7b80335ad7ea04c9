//! Routes and gauges in the settings file.

use std::path::Path;

use super::beside;
use crate::{
    proxy::{
        settings::{
            Asked, CONNECT, GaugeSettings, LEAST_RATE, LINE_WAIT, Listeners, Lives, Origin, RouteSettings,
            STALL, ServiceSettings, TIMEOUT, UPGRADED_IDLE, connection_age, exempt, hears_of_times, idle,
            keep_alive, least_rate, line,
            section::Section,
            service_time, small, stall, time_of_calls, upgrades,
            values::{
                NAMES, answered, discipline, header, hold, host, is_name, method, on_leave, path, priority,
                refuse_with, upgrade,
            },
            wait,
        },
        tls,
    },
    settings::{self, LimitChoice},
};

/// The keys of a gauge, which routes have too.
const GAUGE_KEYS: [&str; 7] =
    ["limit", "patience", "time_max", "line", "line_wait", "line_discipline", "dry_run"];

pub(super) fn shared_gauge(name: String, mut section: Section<'_, '_>) -> GaugeSettings {
    if !is_name(&name) {
        section.wrong(NAMES);
    }
    let gauge = gauge(name, &mut section);
    section.end();
    gauge
}

fn gauge(name: String, section: &mut Section<'_, '_>) -> GaugeSettings {
    let limit = section.read("limit", settings::limit_choice).unwrap_or(LimitChoice::AUTO);
    let time = |text: &str| hears_of_times(&limit).and_then(|()| time_of_calls(text));
    GaugeSettings {
        name,
        patience: section.read("patience", time),
        time_max: section.read("time_max", time),
        limit,
        line: section.read("line", line).unwrap_or(0),
        line_wait: section.read("line_wait", wait).unwrap_or(LINE_WAIT),
        line_discipline: section.read("line_discipline", discipline).unwrap_or_default(),
        is_dry_run: section.flag("dry_run").unwrap_or(false),
    }
}

pub(super) fn route(
    mut section: Section<'_, '_>,
    folder: &Path,
    listeners: &Listeners,
    shared: Option<&[String]>,
    gauges: &mut Vec<GaugeSettings>,
    names: &mut Vec<String>,
) -> Option<RouteSettings> {
    let name = section.read("name", |text| {
        let is_taken = names.iter().any(|name| name == text);
        match text {
            _ if !is_name(text) => Err(NAMES.to_owned()),
            _ if is_taken => Err("another route has this name; allowed: one of its own".to_owned()),
            _ => Ok(text.to_owned()),
        }
    });
    if let Some(name) = &name {
        section.rename(format!("routes.{name}."));
        names.push(name.clone());
    } else if section.lacks("name") {
        section.wrong("a route needs a name");
    }
    let origin = section.read("to", |text| {
        let origin = Origin::parse(text)?;
        listeners.are_not(&origin).map(|()| origin)
    });
    if section.lacks("to") {
        section.wrong("a route needs the URL of its service: to = \"http://HOST:PORT\"");
    }
    let own = name.clone().unwrap_or_default();
    let gauge = gauge_of(&own, &mut section, shared, gauges);
    let asked = asked(&mut section);
    let connect = section.read("connect_timeout", service_time).unwrap_or(CONNECT);
    let lives = Lives {
        keep_alive: section.read("keep_alive", keep_alive).unwrap_or(Lives::default().keep_alive),
        age: section.read("connection_age", connection_age).unwrap_or(Lives::default().age),
    };
    let ca = section.read("ca", |text| beside(folder, text, tls::certificates));
    let exempt = section.list("exempt", exempt);
    let priority = section.read("priority", priority).unwrap_or_default();
    let retries_rank_lower = section.flag("retries_rank_lower").unwrap_or(true);
    let timeout = section.read("timeout", service_time).unwrap_or(TIMEOUT);
    let stall = section.read("stall", stall).unwrap_or(STALL);
    let least_rate = section.read("least_rate", least_rate).unwrap_or(LEAST_RATE);
    let on_leave = section.read("on_leave", on_leave).unwrap_or_default();
    let answered = section.read("answered", answered).unwrap_or_default();
    let hold = section.read("hold", hold).unwrap_or_default();
    let allowed = section.list("upgrades", upgrade);
    let upgrades = if section.had("upgrades") { allowed } else { upgrades() };
    let upgraded_limit = section.read("upgraded_limit", |text| small(text, 0..=u32::MAX));
    let upgraded_idle = section.read("upgraded_idle", idle).unwrap_or(UPGRADED_IDLE);
    let refuse_with = section.read("refuse_with", refuse_with);
    section.end();
    let service = ServiceSettings { origin: origin?, connect, lives, ca };
    Some(RouteSettings {
        name: name?,
        asked,
        service,
        gauge,
        exempt,
        priority,
        retries_rank_lower,
        timeout,
        stall,
        least_rate,
        on_leave,
        answered,
        hold,
        upgrades,
        upgraded_limit,
        upgraded_idle,
        refuse_with,
    })
}

/// The gauge that the route names, or one of its own.
fn gauge_of(
    name: &str,
    section: &mut Section<'_, '_>,
    known: Option<&[String]>,
    gauges: &mut Vec<GaugeSettings>,
) -> String {
    let own: Vec<_> = GAUGE_KEYS.into_iter().filter(|key| section.has(key)).collect();
    let is_known = |text: &str| known.is_none_or(|known| known.iter().any(|name| name == text));
    let shared = section.read("gauge", |text| match known {
        _ if is_known(text) => Ok(text.to_owned()),
        Some([]) | None => Err("there are no [gauges.NAME]".to_owned()),
        Some(known) => Err(format!("allowed: {}", known.join(", "))),
    });
    if section.had("gauge") {
        if !own.is_empty() {
            section.wrong(&format!(
                "it names a shared gauge, which has its own {}; say these there",
                own.join(", ")
            ));
            let _ = gauge(String::new(), section); // said once is enough
        }
        return shared.unwrap_or_default();
    }
    let gauge = gauge(name.to_owned(), section);
    if !name.is_empty() && known.is_some() && is_known(name) {
        section.wrong(&format!("there is a gauge of this name too; say gauge = {name:?} if it is meant"));
    }
    gauges.push(gauge);
    name.to_owned()
}

fn asked(section: &mut Section<'_, '_>) -> Asked {
    Asked {
        host: section.read("host", host),
        path: section.read("path", path),
        methods: section.list("methods", method),
        header: section.read("header", header),
    }
}
