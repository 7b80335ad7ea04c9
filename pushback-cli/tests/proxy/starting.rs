//! What the proxy does not start with, and whom it tells that it has.

use std::{
    io::BufRead,
    net::TcpListener,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};

use crate::support::{Proxy, Service, get, read, send};

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    let proxy = Proxy::start_as("http://127.0.0.1:1", &["--drain", "0s"], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let told = || {
        let mut said = [0; 100];
        let length = systemd.recv(&mut said).unwrap();
        String::from_utf8(said[..length].to_vec()).unwrap()
    };
    assert_eq!(told(), "READY=1\n");
    proxy.signal("-TERM");
    assert_eq!(told(), "STOPPING=1\n");
    assert_eq!(proxy.end().0, 0);
}

#[test]
fn the_access_log_has_a_line_for_each_request_which_no_client_can_forge() {
    let service = Service::start();
    let mut proxy =
        Proxy::start_as(&service.url(), &["--limit", "0", "--access-log", "--log", "json"], |command| {
            command.stderr(Stdio::piped());
        });
    let mut log = proxy.log();
    let asked = "GET /a?%0a HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(&mut send(&proxy.address, asked)).status, 429);
    let line = Proxy::next_access(&mut log);
    let fields = [
        ("level", "INFO"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("target", "access"),
        ("asked", "/a?%0a"),
        ("refused", "cost_above_limit"),
        ("proxy_status", "pushback; error=http_request_denied"),
    ];
    for (name, value) in fields {
        assert_eq!(line[name], value, "{line}");
    }
    assert_eq!(line["status"], 429);
    let milliseconds = line["milliseconds"].to_string();
    let digits = milliseconds.split_once('.').map_or(0, |(_, digits)| digits.len());
    assert!(milliseconds.parse::<f64>().unwrap() >= 0.0 && digits <= 3, "{line}");
}

/// hyper answers these itself, and tells nobody but by the end of the connection.
#[test]
fn the_access_log_has_a_line_for_what_is_no_request_at_all() {
    let mut proxy = Proxy::start_as("http://127.0.0.1:1", &["--access-log", "--log", "json"], |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (asked, status) in [
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (&many, 431),
    ] {
        assert_eq!(read(&mut send(&proxy.address, asked)).status, status);
        let line = Proxy::next_access(&mut log);
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!(line["status"], status, "{line}");
        assert!(line["error"].is_string(), "{line}");
    }
}

#[test]
fn no_client_turns_a_line_of_the_log_around() {
    let service = Service::start();
    for form in ["text", "json"] {
        let mut proxy = Proxy::start_as(&service.url(), &["--access-log", "--log", form], |command| {
            command.stderr(Stdio::piped());
        });
        let log = proxy.log();
        let asked = "GET /\u{202e}gpj.exe\u{2066}\u{9b} HTTP/1.1\r\nHost: a\r\n\r\n";
        read(&mut send(&proxy.address, asked));
        let mut lines = log.lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("gpj")).unwrap();
        assert!(line.contains("/\\u202egpj.exe\\u2066\\u009b"), "{line}");
        assert!(!line.contains(['\u{202e}', '\u{2066}', '\u{9b}']), "{line}");
    }
}

#[test]
fn the_access_log_has_a_line_for_a_client_that_has_left_and_a_metric_says_what_it_left_behind() {
    let service = Service::start();
    let mut proxy = Proxy::start_as(&service.url(), &["--access-log", "--log", "json"], |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    let leaving = send(&proxy.address, "GET /?ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n");
    proxy.holds(1.0);
    drop(leaving);
    let line = Proxy::next_access(&mut log);
    assert_eq!((&line["left"], &line["asked"]), (&true.into(), &"/?ms=3000".into()), "{line}");
    while !get(&proxy.admin, "/metrics").body.contains("pushback_abandoned_in_flight 1\n") {}
    proxy.holds(0.0);
    assert!(proxy.metric("pushback_abandoned_in_flight").abs() < f64::EPSILON);
}

/// It used to be ignored.
#[test]
fn a_wrong_level_of_the_log_is_one_line_that_names_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_pushback"))
        // If it starts after all, it ends for this.
        .args(["proxy", "--to", "http://127.0.0.1:1", "--listen", "192.0.2.1:1", "--admin", "off"])
        .env("PUSHBACK_LOG", "info,h2=loud")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: PUSHBACK_LOG is \"info,h2=loud\"; allowed: off, error, "), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_busy_port_is_told_with_the_key_that_has_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pushback.toml");
    for (listen, admin, probes, key) in [
        (taken.as_str(), "off", "off", "listen"),
        ("127.0.0.1:0", &taken, "off", "admin.listen"),
        ("127.0.0.1:0", "off", &taken, "admin.probes"),
    ] {
        let text = format!(
            "listen = \"{listen}\"\nadmin = {{ listen = \"{admin}\", probes = \"{probes}\" }}\n\
             [[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n"
        );
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let program = env!("CARGO_BIN_EXE_pushback");
        let output = Command::new(program).args(["proxy", "--config", file]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&taken) && said.contains(&format!("; choose another address with {key} in {file}")),
            "{said}"
        );
    }
}

#[test]
fn wrong_arguments_are_one_line_that_names_the_value_and_what_is_allowed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let to = ["--to", "http://127.0.0.1:1"];
    let cases: [(&[&str], i32, &[&str]); 26] = [
        (&[], 2, &["--to"]),
        (&["--to", "ftp://a"], 2, &["ftp", "allowed: http://HOST[:PORT]"]),
        (&["--to", "127.0.0.1:3000"], 2, &["127.0.0.1:3000", "allowed: http://HOST[:PORT]"]),
        (&["--to", "http://a/path"], 2, &["path", "allowed: http://HOST[:PORT]"]),
        (
            &["--config", "pushback.toml", "--limit", "5", "--admin-token", "t", "--listen", "127.0.0.1:0"],
            2,
            &[
                "--config FILE replaces all flags, so --listen, --limit, --admin-token cannot stand beside it",
                "listen, limit in [[routes]], admin.token",
            ],
        ),
        (&["--config", "pushback.toml", "--access-log"], 2, &["--access-log cannot", "it is: access_log"]),
        (&[to[0], to[1], "--limit", "many"], 2, &["many", "0 to 4294967295", "auto"]),
        (&[to[0], to[1], "--line", "1000001"], 2, &["1000001", "0 to 1000000"]),
        (&[to[0], to[1], "--line-wait", "2m"], 2, &["2m", "1ms to 1m"]),
        (&[to[0], to[1], "--patience", "0s"], 2, &["0s", "1ms to 1h"]),
        (
            &[to[0], to[1], "--limit", "4", "--patience", "2s"],
            2,
            &["--patience is 2s; allowed: only with the limit auto, and it is 4"],
        ),
        (
            &[to[0], to[1], "--time-max", "150ms", "--limit", "vegas"],
            2,
            &["--time-max is 150ms; allowed: only with the limit auto, and it is vegas"],
        ),
        (&[to[0], to[1], "--workers", "0"], 2, &["'0'", "1 to 1024"]),
        (&[to[0], to[1], "--connections", "0"], 2, &["'0'", "1 to 4294967295"]),
        (&[to[0], to[1], "--stall", "0s"], 2, &["0s", "1ms to 24h"]),
        (&[to[0], to[1], "--connection-age", "25h"], 2, &["25h", "1s to 24h"]),
        (&[to[0], to[1], "--exempt", "healthz"], 2, &["healthz", "begins with '/'"]),
        (&[to[0], to[1], "--admin", "0.0.0.0:9900"], 2, &["0.0.0.0:9900", "loopback", "off"]),
        (
            &[to[0], to[1], "--listen", "127.0.0.1:0", "--admin-token", "/nowhere"],
            2,
            &["--admin-token is \"/nowhere\"; No such file", "allowed: a readable file"],
        ),
        (
            &["--to", "http://localhost:8080"],
            2,
            &["--to is http://localhost:8080; --listen is 127.0.0.1:8080, so this is the proxy itself"],
        ),
        (&["--to", "http://127.0.0.1:7", "--listen", "0.0.0.0:7"], 2, &["--listen is 0.0.0.0:7, so"]),
        (&["--to", "http://127.0.0.1:9900"], 2, &["--admin is 127.0.0.1:9900, so this is the proxy"]),
        (&["--config", "/nowhere.toml"], 2, &["the settings file /nowhere.toml", "No such file"]),
        (
            &[to[0], to[1], "--listen", &taken, "--admin", "off"],
            1,
            &["cannot listen", &taken, "--listen HOST:PORT"],
        ),
        (&[to[0], to[1], "--listen", "127.0.0.1:0", "--admin", &taken], 1, &["--admin HOST:PORT", &taken]),
        (
            &[to[0], to[1], "--listen", "127.0.0.1:0", "--admin", "off", "--probes", &taken],
            1,
            &["--probes HOST:PORT", &taken],
        ),
    ];
    for (arguments, code, words) in cases {
        let output =
            Command::new(env!("CARGO_BIN_EXE_pushback")).arg("proxy").args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        for word in words.iter().chain(&["error: "]) {
            assert!(said.contains(word), "{arguments:?}: '{word}' is missing: {said}");
        }
    }
}
