//! What settings say in vain: nothing is wrong with it, and nothing comes of it.
//!
//! What nobody chose is no mistake, so a usual value says nothing here.

use std::time::Duration;

use hyper::Method;
use pushback::Priority;

use super::{
    Asked, CONNECT, Clients, Discipline, GaugeSettings, Host, LINE_WAIT, Lives, RouteSettings, Settings,
    Trust,
};
use crate::settings::LimitChoice;

impl Settings {
    /// A line each, with the key that it is about.
    pub(in crate::proxy) fn remarks(&self) -> Vec<String> {
        let mut said = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            said.extend(never_asked(route, &self.routes[..index], &self.trust));
            said.extend(cut_short(route));
        }
        for gauge in &self.gauges {
            let mut users = self.routes.iter().filter(|route| route.gauge == gauge.name).peekable();
            if users.peek().is_none() {
                said.push(format!("gauges.{}: no route uses it", gauge.name));
            }
            said.extend(of_gauge(gauge));
            said.extend(self.goes_before_nobody(gauge));
            said.extend(users.filter_map(|route| impatient(gauge, route)));
        }
        let Clients { head, idle, .. } = self.clients;
        if head > idle && head != Clients::default().head {
            said.push(format!(
                "clients.head is {}, but a connection on which nothing moves ends after clients.idle, which is {}",
                time(head),
                time(idle)
            ));
        }
        said
    }

    /// That a route's priority is that of all who share its gauge. Whoever comes from a trusted hop may have another.
    fn goes_before_nobody(&self, gauge: &GaugeSettings) -> Option<String> {
        let mut users = self.routes.iter().filter(|route| route.gauge == gauge.name);
        let RouteSettings { name, priority, .. } = users.next()?;
        let is_alone = self.trust.hops.is_empty() && users.all(|other| other.priority == *priority);
        (is_alone && *priority != Priority::default()).then(|| {
            format!(
                "routes.{name}.priority is {}, but no route of another priority has the gauge {}, so it goes before nobody and after nobody",
                priority.as_str(),
                gauge.name
            )
        })
    }

    pub(in crate::proxy) fn tell_remarks(&self) {
        for remark in self.remarks() {
            tracing::warn!("{remark}");
        }
    }
}

/// That no request comes to a route.
fn never_asked(route: &RouteSettings, before: &[RouteSettings], trust: &Trust) -> Option<String> {
    let name = &route.name;
    if let Some((header, _)) =
        route.asked.header.as_ref().filter(|(header, _)| trust.headers.contains(header))
    {
        if trust.hops.is_empty() {
            return Some(format!(
                "routes.{name}: no request comes here: trust.hops is empty, so nobody may send {header}"
            ));
        }
    }
    if !route.asked.methods.is_empty() && route.asked.methods.iter().all(|method| *method == Method::HEAD) {
        return Some(format!("routes.{name}: no request comes here: HEAD goes where GET goes"));
    }
    let first = before.iter().find(|before| before.asked.covers(&route.asked))?;
    Some(format!("routes.{name}: no request comes here: routes.{} takes them all", first.name))
}

/// Times of a route that end by others.
fn cut_short(route: &RouteSettings) -> impl Iterator<Item = String> {
    let RouteSettings { name, service, timeout, .. } = route;
    let Lives { keep_alive, age } = service.lives;
    let connect = (service.connect > *timeout && service.connect != CONNECT).then(|| {
        let (connect, timeout) = (time(service.connect), time(*timeout));
        format!("routes.{name}.connect_timeout is {connect}, but a call ends after its timeout, which is {timeout}")
    });
    let kept = (keep_alive > age && keep_alive != Lives::default().keep_alive).then(|| {
        let (keep_alive, age) = (time(keep_alive), time(age));
        format!("routes.{name}.keep_alive is {keep_alive}, but no connection is kept beyond connection_age, which is {age}")
    });
    connect.into_iter().chain(kept)
}

fn of_gauge(gauge: &GaugeSettings) -> impl Iterator<Item = String> {
    let GaugeSettings { name, limit, line, line_wait, line_discipline, patience, .. } = gauge;
    let wait = time(*line_wait);
    let is_said = *line_wait != LINE_WAIT;
    let nothing = (*limit == LimitChoice::Fixed(0))
        .then(|| format!("gauges.{name}.limit is 0, so all requests are refused"));
    let nobody = (*line == 0 && is_said)
        .then(|| format!("gauges.{name}.line_wait is {wait}, but line is 0, so nobody waits"));
    let is_other = *line_discipline != Discipline::default();
    let in_no_order = (*line == 0 && is_other).then(|| {
        format!("gauges.{name}.line_discipline is {}, but line is 0, so nobody waits", line_discipline.name())
    });
    let given_up = patience.filter(|patience| *line > 0 && is_said && line_wait > patience).map(|patience| {
        let patience = time(patience);
        format!(
            "gauges.{name}.line_wait is {wait}, but callers give up after their patience, which is {patience}"
        )
    });
    nothing.into_iter().chain(nobody).chain(in_no_order).chain(given_up)
}

/// That callers cannot wait as long as they would.
fn impatient(gauge: &GaugeSettings, route: &RouteSettings) -> Option<String> {
    let patience = gauge.patience.filter(|patience| *patience > route.timeout)?;
    let (patience, timeout) = (time(patience), time(route.timeout));
    let (gauge, route) = (&gauge.name, &route.name);
    Some(format!(
        "gauges.{gauge}.patience is {patience}, but calls without a head end after routes.{route}.timeout, which is {timeout}"
    ))
}

fn time(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

impl Asked {
    /// Whether all requests of the other are requests of this one.
    fn covers(&self, other: &Asked) -> bool {
        let is_below = |path: &str, prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let has_path = match (self.path.as_deref(), other.path.as_deref()) {
            (None | Some(""), _) => true,
            (Some(prefix), Some(path)) => is_below(path, prefix),
            (Some(_), None) => false,
        };
        let has_host = match (&self.host, &other.host) {
            (None, _) => true,
            (Some(Host::Is(one)), Some(Host::Is(other))) => one == other,
            (Some(Host::EndsWith(end)), Some(Host::EndsWith(other))) => other.ends_with(end),
            (Some(Host::EndsWith(end)), Some(Host::Is(name))) => {
                name.len() > end.len() && name.ends_with(end)
            }
            (Some(_), _) => false,
        };
        let has_methods = self.methods.is_empty()
            || !other.methods.is_empty()
                && other
                    .methods
                    .iter()
                    .all(|method| *method == Method::HEAD || self.methods.contains(method));
        has_path && has_host && has_methods && (self.header.is_none() || self.header == other.header)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::proxy::settings::read;

    /// The remarks on routes of these keys, each to the same service, and what stands before them.
    fn remarks(before: &str, routes: &[&str]) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut text = before.to_owned();
        for (name, keys) in ["a", "b"].iter().zip(routes) {
            text += &format!("\n[[routes]]\nname = \"{name}\"\nto = \"http://127.0.0.1:1\"\n{keys}\n");
        }
        fs::write(file.path(), text).unwrap();
        read(file.path()).unwrap().remarks()
    }

    #[test]
    fn a_route_to_which_no_request_comes_is_told() {
        for (first, second, is_told) in [
            ("", "", true),
            ("", "path = \"/api\"\nhost = \"x\"", true),
            ("path = \"/\"", "", true),
            ("path = \"/api\"", "path = \"/api/x\"", true),
            ("path = \"/api\"", "path = \"/apis\"", false),
            ("path = \"/api\"", "", false),
            ("host = \"*.a.example\"", "host = \"x.a.example\"", true),
            ("host = \"*.a.example\"", "host = \"*.b.a.example\"", true),
            ("host = \"*.a.example\"", "host = \"a.example\"", false),
            ("host = \"x.a.example\"", "host = \"*.a.example\"", false),
            ("host = \"x\"", "", false),
            ("methods = \"GET\"", "methods = \"GET\"", true),
            ("methods = [\"GET\", \"POST\"]", "methods = [\"GET\", \"HEAD\"]", true),
            ("methods = \"GET\"", "methods = [\"GET\", \"POST\"]", false),
            ("methods = \"GET\"", "", false),
            ("header = \"x: y\"", "header = \"X: y\"", true),
            ("header = \"x: y\"", "header = \"x: z\"", false),
            ("header = \"x: y\"", "", false),
        ] {
            let said = remarks("", &[first, second]);
            let expected = "routes.b: no request comes here: routes.a takes them all";
            assert_eq!(said, vec![expected; usize::from(is_told)], "{first}, {second}");
        }
        let [head] = &remarks("", &["methods = \"HEAD\""])[..] else { panic!("one remark") };
        assert_eq!(head, "routes.a: no request comes here: HEAD goes where GET goes");
        let tier =
            |hops: &str| remarks(&format!("[trust]\nheaders = \"x\"\nhops = {hops}"), &["header = \"x: y\""]);
        assert_eq!(
            tier("[]"),
            ["routes.a: no request comes here: trust.hops is empty, so nobody may send x"]
        );
        assert!(tier("\"::1\"").is_empty());
    }

    #[test]
    fn a_priority_beside_which_there_is_no_other_is_told() {
        let alone = ["priority = \"critical\"", "priority = \"low\"\npath = \"/b\""];
        let said = remarks("", &alone[..1]);
        assert!(
            said[0].starts_with("routes.a.priority is critical, but no route of another priority"),
            "{said:?}"
        );
        let path = "path = \"/a\"\ngauge = \"g\"";
        let shared = |a: &str, b: &str| {
            let routes = [format!("{path}\n{a}"), format!("gauge = \"g\"\n{b}")];
            remarks("[gauges.g]\nlimit = 1", &[&routes[0], &routes[1]])
        };
        assert_eq!(shared("priority = \"critical\"", ""), [""; 0]);
        assert_eq!(shared("", "priority = \"low\""), [""; 0]);
        assert_eq!(shared("priority = \"low\"", "priority = \"low\"").len(), 1);
        assert_eq!(remarks("[trust]\nhops = \"::1\"", &alone[..1]), [""; 0]);
    }

    #[test]
    fn what_a_time_says_in_vain_is_told() {
        for (before, route, told) in [
            ("", "timeout = \"2s\"", None),
            ("", "connection_age = \"1s\"", None),
            ("", "patience = \"1m\"\nline = 9\nline_wait = \"1m\"", None),
            (
                "",
                "timeout = \"2s\"\nconnect_timeout = \"3s\"",
                Some("routes.a.connect_timeout is 3s, but a call ends after its timeout, which is 2s"),
            ),
            (
                "",
                "keep_alive = \"10m\"",
                Some(
                    "routes.a.keep_alive is 10m, but no connection is kept beyond connection_age, which is 5m",
                ),
            ),
            ("", "line_wait = \"5s\"", Some("gauges.a.line_wait is 5s, but line is 0, so nobody waits")),
            (
                "",
                "line_discipline = \"codel\"",
                Some("gauges.a.line_discipline is codel, but line is 0, so nobody waits"),
            ),
            ("", "line_discipline = \"codel\"\nline = 9", None),
            (
                "",
                "line = 9\nline_wait = \"5s\"\npatience = \"2s\"",
                Some("gauges.a.line_wait is 5s, but callers give up after their patience, which is 2s"),
            ),
            (
                "[gauges.g]\npatience = \"2m\"",
                "gauge = \"g\"",
                Some(
                    "gauges.g.patience is 2m, but calls without a head end after routes.a.timeout, which is 1m",
                ),
            ),
            (
                "clients = { head = \"10m\" }",
                "",
                Some(
                    "clients.head is 10m, but a connection on which nothing moves ends after clients.idle, which is 5m",
                ),
            ),
            ("", "limit = 0", Some("gauges.a.limit is 0, so all requests are refused")),
            ("[gauges.g]", "", Some("gauges.g: no route uses it")),
        ] {
            assert_eq!(remarks(before, &[route]), told.into_iter().collect::<Vec<_>>(), "{before}, {route}");
        }
    }

    #[test]
    fn there_is_nothing_to_remark_on_the_example() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/pushback.example.toml");
        assert_eq!(read(file.as_ref()).unwrap().remarks(), Vec::<String>::new());
    }
}
