//! The settings file.

mod route;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use self::route::{route, shared_gauge};
use super::{
    ADMIN, Admin, Clients, DRAIN, Identity, LISTEN, Listeners, Log, Settings, Somewhere, Token, Trust,
    address_or_off, connections, cores, drain_time, idle,
    section::{Reading, Section},
    small, state_file,
    values::{beside, deadline_header, header_name, hop, log},
    workers,
};
use crate::{proxy::tls, settings};

/// Reads a file of settings; if anything is wrong with it, says all of it, a line each.
pub(in crate::proxy) fn read(file: &Path) -> Result<Settings, Vec<String>> {
    let text = fs::read_to_string(file)
        .map_err(|error| vec![format!("cannot read the settings file {}: {error}", file.display())])?;
    parse(&text, file)
}

/// Files that the text names are looked for beside `file`.
fn parse(text: &str, file: &Path) -> Result<Settings, Vec<String>> {
    let reading = Reading::of(text);
    let settings = reading.root().map(|root| {
        all(Section::new(&reading, String::new(), 0, root), file.parent().unwrap_or(Path::new("")))
    });
    let problems = reading.problems(&file.display());
    settings.filter(|_| problems.is_empty()).ok_or(problems)
}

/// What is missing or wrong is told to the reading, and stands here as if nothing had been said.
fn all(mut root: Section<'_, '_>, folder: &Path) -> Settings {
    // Nobody is where a wrong one would be, so that no other mistake follows from it.
    let listen = root.read("listen", settings::address);
    let listen = listen.unwrap_or_else(|| fixed(if root.had("listen") { NOWHERE } else { LISTEN }));
    let admin = root.section("admin").map_or_else(Admin::default, |section| admin(section, folder));
    let listeners = Listeners::of(["listen", "admin.listen", "admin.probes"], listen, &admin);
    let mut gauges: Vec<_> =
        root.named("gauges").into_iter().map(|(name, section)| shared_gauge(name, section)).collect();
    let sections = root.each("routes");
    if sections.is_empty() && root.lacks("routes") {
        root.wrong("there are no routes; allowed: one or more [[routes]], each with a name and a to");
    }
    let shared: Vec<_> = gauges.iter().map(|gauge| gauge.name.clone()).collect();
    // If their section is misspelt, nobody knows their names.
    let shared = (root.had("gauges") || root.lacks("gauges")).then_some(&shared[..]);
    let mut names = Vec::new();
    let routes = sections
        .into_iter()
        .filter_map(|section| route(section, folder, &listeners, shared, &mut gauges, &mut names));
    let routes = routes.collect();
    let settings = Settings {
        listen,
        workers: root.read("workers", workers).unwrap_or_else(cores),
        drain: root.read("drain", drain_time).unwrap_or(DRAIN),
        has_access_log: root.flag("access_log").unwrap_or(false),
        log: root.read("log", log).unwrap_or(Log::Text),
        state: root.read("state", |text| state_file(folder.join(text))),
        tls: root.section("tls").and_then(|section| identity(section, folder)),
        clients: root.section("clients").map(clients).unwrap_or_default(),
        admin,
        trust: root.section("trust").map(trust).unwrap_or_default(),
        gauges,
        routes,
    };
    if let Some(address) = settings.shared_address() {
        root.wrong(&format!("two listeners would be at {address}; allowed: another address for each of listen, admin.listen, admin.probes"));
    }
    root.end();
    settings
}

/// A port that no listener has.
const NOWHERE: &str = "127.0.0.1:0";

fn fixed(address: &str) -> std::net::SocketAddr {
    address.parse().expect("an address of ours")
}

impl Default for Admin {
    fn default() -> Self {
        Admin { listen: Some(fixed(ADMIN)), probes: None, token: None, tls: None }
    }
}

fn identity(mut section: Section<'_, '_>, folder: &Path) -> Option<Identity> {
    let certificate = section.read("certificate", |text| beside(folder, text, tls::certificates));
    let key = section.read("key", |text| beside(folder, text, tls::key));
    if section.lacks("certificate") || section.lacks("key") {
        section.wrong("it needs both a certificate and a key, each a file in PEM");
    }
    let identity = certificate.zip(key).map(|(certificate, key)| Identity { certificate, key });
    if let Some(Err(problem)) =
        identity.as_ref().map(|Identity { certificate, key }| tls::server(certificate, key))
    {
        section.wrong(&problem);
    }
    section.end();
    identity
}

fn clients(mut section: Section<'_, '_>) -> Clients {
    let usual = Clients::default();
    let clients = Clients {
        connections: section.read("connections", connections).unwrap_or(usual.connections),
        idle: section.read("idle", idle).unwrap_or(usual.idle),
        head: section
            .read("head", |text| {
                settings::duration(text, Duration::from_millis(100)..=Duration::from_secs(3600))
            })
            .unwrap_or(usual.head),
        head_size: section.read("head_size", |text| small(text, 8192..=1 << 20)).unwrap_or(usual.head_size),
        fields: section.read("fields", |text| small(text, 10..=1000)).unwrap_or(usual.fields),
        streams: section.read("streams", |text| small(text, 1..=10_000)).unwrap_or(usual.streams),
        body_buffer: section
            .read("body_buffer", |text| small(text, 0..=16 << 20))
            .unwrap_or(usual.body_buffer),
    };
    section.end();
    clients
}

fn admin(mut section: Section<'_, '_>, folder: &Path) -> Admin {
    let usual = Admin::default();
    let listen = section.read("listen", address_or_off);
    let probes = section.read("probes", address_or_off);
    let token = section.read("token", |text| beside(folder, text, Token::read));
    let tls = section.section("tls").and_then(|section| identity(section, folder));
    // Whether others may get at it depends on these, and nobody knows it if one of them is wrong.
    let is_known = section.had("token") == token.is_some() && section.had("tls") == tls.is_some();
    let unsaid = if section.had("listen") { None } else { usual.listen };
    let admin = Admin {
        listen: listen.map_or(unsaid, |Somewhere(address)| address),
        probes: probes.and_then(|Somewhere(address)| address),
        token,
        tls,
    };
    if let (true, Err(problem)) = (is_known, admin.check()) {
        section.wrong(&problem);
    }
    section.end();
    admin
}

fn trust(mut section: Section<'_, '_>) -> Trust {
    let trust = Trust {
        hops: section.list("hops", hop),
        deadline_header: section.read("deadline_header", deadline_header),
        headers: section.list("headers", header_name),
    };
    section.end();
    trust
}

/// The files that are read again with the settings: others may come in their place without a change of the settings.
pub(in crate::proxy) fn named_files(settings: &Settings) -> Vec<PathBuf> {
    let identity = settings.tls.iter();
    identity.flat_map(|Identity { certificate, key }| [certificate.clone(), key.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Vec<String>> {
        parse(text, Path::new("p.toml"))
    }

    const SHORTEST: &str = "[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:3000\"\n";

    #[test]
    fn what_is_not_said_is_as_the_flags_have_it() {
        use clap::Parser;
        #[derive(Parser)]
        struct Flags {
            #[command(flatten)]
            arguments: crate::proxy::Arguments,
        }
        let flags =
            Flags::parse_from(["proxy", "--to", "http://127.0.0.1:3000"]).arguments.settings().unwrap();
        let mut file = read(SHORTEST).unwrap();
        // The one gauge of the flags has a name of its own.
        file.gauges[0].name.clone_from(&flags.gauges[0].name);
        file.routes[0].gauge.clone_from(&flags.routes[0].gauge);
        assert_eq!(file, flags);
    }

    #[test]
    fn what_is_shown_reads_as_the_same() {
        let text = r#"
            listen = "[::1]:8443"
            workers = 3
            drain = "5s"
            access_log = true
            log = "json"
            state = "state.json"
            [clients]
            connections = 7
            idle = "10m"
            head = "5s"
            head_size = 8192
            fields = 50
            streams = 10
            body_buffer = 4096
            [admin]
            listen = "off"
            probes = "0.0.0.0:9901"
            [trust]
            hops = ["10.0.0.0/8", "::1"]
            deadline_header = "X-Timeout-Ms"
            headers = "X-Tier"
            [gauges."a.b"]
            limit = 10
            line = 100
            line_wait = "1s 500ms"
            line_discipline = "adaptive-lifo"
            dry_run = true
            [gauges.patient]
            patience = "2s"
            time_max = "1s 500ms"
            [[routes]]
            name = "api"
            host = "*.Example.org"
            path = "/api/"
            methods = ["GET", "POST"]
            header = "X-Tier: gold"
            gauge = "a.b"
            to = "h2c://[::1]:1"
            connect_timeout = "1s"
            keep_alive = "1s 500ms"
            connection_age = "1h"
            timeout = "2s"
            stall = "3s"
            least_rate = 1000
            on_leave = "cancel"
            hold = "head"
            priority = "low"
            retries_rank_lower = false
            exempt = ["/api/health", "/api/live"]
            upgrades = ["WebSocket", "echo"]
            upgraded_limit = 100
            upgraded_idle = "10m"
            refuse_with = 503
            [[routes]]
            name = "rest"
            path = "/"
            upgrades = []
            limit = "vegas"
            to = "http://127.0.0.1:1"
        "#;
        let settings = read(text).unwrap();
        assert_eq!(read(&settings.to_string()), Ok(settings));
    }

    #[test]
    fn the_example_is_right() {
        read(include_str!("../../../pushback.example.toml")).unwrap();
    }

    #[test]
    fn all_that_is_wrong_is_said_with_its_line() {
        let text = "workers = 0\ncolour = 1\n[[routes]]\nname = \"a\"\nto = \"ftp://x\"\nlimit = -1\n\
                    [[routes]]\nname = \"a\"\nto = [1]\n[admin]\nlisten = \"0.0.0.0:1\"\n";
        let problems = read(text).unwrap_err();
        let said = [
            (1, "workers is 0; allowed: 1 to 1024"),
            (2, "unknown key `colour`; allowed: access_log, admin"),
            (5, "routes.a.to is \"ftp://x\""),
            (6, "routes.a.limit is -1; allowed: 0 to 4294967295"),
            (9, "the 2nd route: to is an array; allowed: a text or a number"),
            (10, "admin: listen is 0.0.0.0:1, which is no loopback address"),
        ];
        for (line, words) in said {
            let begin = format!("p.toml, line {line}: {words}");
            assert!(problems.iter().any(|problem| problem.starts_with(&begin)), "{begin}: {problems:#?}");
        }
    }

    #[test]
    fn one_mistake_is_told_once_and_what_follows_from_it_is_not() {
        let token = "[admin]\ntoken = \"none\"\nlisten = \"0.0.0.0:9900\"";
        for (text, said) in [
            (
                format!("acess_log = true\n{SHORTEST}"),
                "line 1: unknown key `acess_log`, did you mean `access_log`?",
            ),
            (
                SHORTEST.replace("name", "nmae"),
                "line 2: the 1st route: unknown key `nmae`, did you mean `name`?",
            ),
            (SHORTEST.replace("to =", "too ="), "line 3: routes.all: unknown key `too`, did you mean `to`?"),
            (SHORTEST.replace("routes", "route"), "line 1: unknown key `route`, did you mean `routes`?"),
            (
                format!("{SHORTEST}gauge = \"g\"\n[gauge.g]\n"),
                "line 5: unknown key `gauge`, did you mean `gauges`?",
            ),
            (format!("listen = 9900\n{SHORTEST}"), "line 1: listen is 9900; it has no host; write "),
            (format!("{SHORTEST}{token}"), "line 5: admin.token is \"none\"; "),
        ] {
            let problems = read(&text).unwrap_err();
            let is_it = |problem: &String| problem.starts_with(&format!("p.toml, {said}"));
            assert!(problems.len() == 1 && is_it(&problems[0]), "{said}: {problems:#?}");
        }
    }

    #[test]
    fn wrong_values_are_wrong_wherever_they_stand() {
        for (line, words) in [
            ("gauge = \"db\"", "there are no [gauges.NAME]"),
            ("host = \"a:80\"", "allowed: a host without a port"),
            ("host = \"*\"", "allowed: a host without a port"),
            ("path = \"api\"", "allowed: the begin of a path"),
            ("path = \"/a/../b\"", "allowed: the begin of a path"),
            ("methods = [\"get\"]", "allowed: methods as they are sent"),
            ("header = \"x-tier\"", "allowed: NAME: VALUE"),
            ("hold = \"task\"", "allowed: body, head"),
            ("on_leave = \"stop\"", "allowed: finish, cancel"),
            ("least_rate = -1", "allowed: 0 to 1073741824"),
            ("[clients]\nbody_buffer = \"64k\"", "allowed: 0 to 16777216"),
            ("upgrades = \"H2C\"", "allowed: the name of a protocol other than HTTP"),
            ("upgrades = [\"a/1\"]", "allowed: the name of a protocol other than HTTP"),
            ("refuse_with = 200", "allowed: 400 to 599"),
            ("patience = \"0s\"", "routes.all.patience is \"0s\"; allowed: 1ms to 1h"),
            ("time_max = \"2h\"", "routes.all.time_max is \"2h\"; allowed: 1ms to 1h"),
            (
                "limit = 4\npatience = \"2s\"",
                "routes.all.patience is \"2s\"; allowed: only with the limit auto, and it is 4",
            ),
            (
                "[gauges.db]\ntime_max = \"2s\"\nlimit = \"vegas\"",
                "gauges.db.time_max is \"2s\"; allowed: only with the limit auto, and it is vegas",
            ),
            ("timeout = 60", "it has no unit; write \"60ms\" or \"60s\"; allowed: 10ms to 1h"),
            ("keep_alive = \"0s\"", "allowed: 100ms to 1h"),
            ("connection_age = \"900ms\"", "allowed: 1s to 24h"),
            ("exempt = [\"health\"]", "begins with '/'"),
            ("ca = \"none.pem\"", "routes.all.ca is \"none.pem\"; /etc/p/none.pem: I/O error: No such file"),
            ("ca = \"/none.pem\"", "routes.all.ca is \"/none.pem\"; I/O error: No such file"),
            ("ca = \"none.pem\"", "allowed: a readable file with certificates in PEM"),
            ("[tls]\ncertificate = \"none.pem\"", "tls.certificate is \"none.pem\"; /etc/p/none.pem: "),
            ("[admin.tls]\nkey = \"none.pem\"", "admin.tls.key is \"none.pem\"; /etc/p/none.pem: "),
            ("[tls]\nkey = \"none.pem\"", "it needs both a certificate and a key"),
            ("[trust]\nhops = [\"10.0.0.0/33\"]", "allowed: an address or a network"),
            ("[trust]\ndeadline_header = \"host\"", "allowed: a name of letters"),
            ("[admin]\nlisten = \"127.0.0.1:8080\"", "two listeners would be at 127.0.0.1:8080"),
            (
                "[admin]\nlisten = \"[::1]:9900\"\nprobes = \"[::]:8080\"",
                "two listeners would be at [::]:8080",
            ),
            ("[admin]\nprobes = \"0.0.0.0:9900\"", "two listeners would be at 0.0.0.0:9900"),
            ("[admin]\ntoken = \"none\"", "allowed: a readable file whose first line"),
            ("[admin]\ntoken = \"none\"", "admin.token is \"none\"; /etc/p/none: No such file"),
            (
                "[[routes]]\nname = \"b\"\nto = \"http://localhost:8080\"",
                "p.toml, line 6: routes.b.to is \"http://localhost:8080\"; listen is 127.0.0.1:8080, so this is \
                 the proxy itself; allowed: where the service listens",
            ),
            ("[admin]\nlisten = \"127.0.0.1:3000\"", "; admin.listen is 127.0.0.1:3000, so"),
            ("[admin]\nprobes = \"[::]:3000\"", "; admin.probes is [::]:3000, so"),
            ("[clients]\nhead_size = 100", "allowed: 8192 to 1048576"),
            ("[gauges.\"a b\"]", "allowed: a name of 1 to 100"),
            ("[gauges.all]", "there is a gauge of this name too"),
            ("[[routes]]", "a route needs a name"),
            ("= 3", "this is not TOML"),
        ] {
            let text = format!("{SHORTEST}{line}\n");
            let problems = parse(&text, Path::new("/etc/p/p.toml")).unwrap_err();
            assert!(problems.iter().any(|problem| problem.contains(words)), "{line}: {problems:#?}");
        }
        assert!(read("").unwrap_err()[0].contains("there are no routes"));
        let both = format!("{SHORTEST}gauge = \"db\"\nlimit = 3\n[gauges.db]\n");
        assert!(read(&both).unwrap_err()[0].contains("it names a shared gauge, which has its own limit"));
    }
}
