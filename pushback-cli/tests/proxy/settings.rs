//! The settings file: routes with gauges of their own, whose word counts, and other settings while it runs.

use std::{
    fs,
    io::{BufRead, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{Answer, Proxy, Service, ask_api, get, head, read, request, send};

/// A settings file in a folder of its own.
struct Settings {
    folder: TempDir,
}

impl Settings {
    fn new(text: &str) -> Self {
        let settings = Settings { folder: tempfile::tempdir().unwrap() };
        settings.write(text);
        settings
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("pushback.toml")
    }

    fn write(&self, text: &str) {
        let usual = "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n";
        fs::write(self.file(), format!("{usual}{text}")).unwrap();
    }

    fn start(&self) -> Proxy {
        Proxy::start_with(&["--config", self.file().to_str().unwrap()], |command| {
            command.stderr(Stdio::piped());
        })
    }
}

fn ask(address: &str, text: &str) -> Answer {
    read(&mut send(address, text))
}

#[test]
fn a_connection_becomes_what_its_route_allows_and_nothing_else() {
    let running = Service::start();
    let service = running.url();
    let settings = Settings::new(&format!(
        "[[routes]]\nname = \"echo\"\nheader = \"x: echo\"\nupgrades = [\"Echo\"]\nto = \"{service}\"\n\
         [[routes]]\nname = \"none\"\nheader = \"x: none\"\nupgrades = []\nto = \"{service}\"\n\
         [[routes]]\nname = \"rest\"\nto = \"{service}\"\n"
    ));
    let proxy = settings.start();
    // This service agrees whether it was asked or not, and nobody believes it then.
    for (route, protocol, status) in [
        ("echo", "echo", 101),
        ("echo", "echo/2", 101),
        ("echo", "h2c, websocket, echo", 101),
        ("echo", "websocket", 502),
        ("none", "websocket", 502),
        ("rest", "websocket", 101),
        ("rest", "echo", 502),
    ] {
        let asked = format!(
            "GET /echo-upgrade HTTP/1.1\r\nHost: a\r\nx: {route}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
        );
        assert_eq!(ask(&proxy.address, &asked).status, status, "{route}: {protocol}");
    }
}

#[test]
fn what_is_said_in_vain_is_no_mistake_and_told_by_check_and_at_the_start() {
    let settings = Settings::new(
        "[gauges.spare]\nlimit = 3\n\
         [[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n\
         [[routes]]\nname = \"api\"\npath = \"/api\"\nto = \"http://127.0.0.1:1\"\n",
    );
    let in_vain =
        ["routes.api: no request comes here: routes.all takes them all", "gauges.spare: no route uses it"];
    let program = env!("CARGO_BIN_EXE_pushback");
    let file = settings.file();
    for arguments in [&["check", file.to_str().unwrap()][..], &["check", "--config", file.to_str().unwrap()]]
    {
        let check = Command::new(program).args(arguments).output().unwrap();
        let [shown, said] = [check.stdout, check.stderr].map(|text| String::from_utf8(text).unwrap());
        let [one, other] = in_vain;
        assert_eq!(said, format!("remark: {one}\nremark: {other}\nno errors, 2 remarks\n"));
        assert!(check.status.success() && shown.ends_with("hold = \"body\"\n"), "{shown}");
    }
    let wrong = Settings::new("workers = 0\n[[routes]]\nname = \"all\"\nto = \"ftp://a\"\n");
    let check = Command::new(program).args(["check", wrong.file().to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8(check.stderr).unwrap();
    assert_eq!((check.status.code(), check.stdout.is_empty()), (Some(2), true), "{said}");
    let is_error = |line: &&str| line.starts_with("error: ");
    assert!(said.lines().filter(is_error).count() == 2 && said.ends_with("\n2 errors\n"), "{said}");
    let mut proxy = settings.start();
    let mut log = proxy.log().lines().map(Result::unwrap);
    for remark in in_vain {
        assert!(log.any(|line| line.contains("WARN") && line.contains(remark)), "{remark}");
    }
}

#[test]
fn each_route_has_its_service_and_its_gauge() {
    let (one, two) = (Service::start(), Service::start());
    let settings = Settings::new(&format!(
        "[gauges.shared]\nlimit = 1\n\
         [[routes]]\nname = \"writes\"\npath = \"/api\"\nmethods = \"POST\"\nlimit = 0\nrefuse_with = 503\nto = \"{one}\"\n\
         [[routes]]\nname = \"api\"\npath = \"/api\"\ngauge = \"shared\"\nto = \"{one}\"\n\
         [[routes]]\nname = \"host\"\nhost = \"*.example.org\"\ngauge = \"shared\"\nto = \"{two}\"\n\
         [[routes]]\nname = \"tier\"\nheader = \"x-tier: gold\"\nexempt = \"/live\"\nlimit = 0\nto = \"{two}\"\n",
        one = one.url(),
        two = two.url(),
    ));
    let proxy = settings.start();
    let none = proxy.get("/");
    assert_eq!(
        (none.status, none.field("proxy-status")),
        (404, Some("pushback; error=destination_not_found"))
    );
    let write = ask(&proxy.address, "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(write.status, 503, "its gauge has no place, and its own word for it");

    let _held = send(&proxy.address, &request(&proxy.address, "/api?ms=20000"));
    proxy.holds_in("shared", 1.0);
    assert_eq!(proxy.get("/%61pi/x").status, 429, "the same route, however it is written");
    let other = ask(&proxy.address, "GET / HTTP/1.1\r\nHost: x.example.org\r\n\r\n");
    assert_eq!(other.status, 429, "another route with the same gauge");
    let gold =
        |path: &str| ask(&proxy.address, &format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Tier: gold\r\n\r\n"));
    assert_eq!((gold("/").status, gold("/live").status), (429, 200));
    assert_eq!(two.ask("/most"), "1", "only what is exempt came to the second service");
}

#[test]
fn only_a_known_hop_may_say_who_asked_how_urgent_it_is_and_to_which_tier_it_belongs() {
    let service = Service::start();
    let said = "GET /headers HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
                Priority: u=0\r\ngrpc-timeout: 5S\r\nX-Wait-Ms: 5000\r\nX-Tier: gold\r\nX_Tier: gold\r\n\r\n";
    let seen = |hops: &str| {
        let settings = Settings::new(&format!(
            "access_log = true\nlog = \"json\"\n\
             [trust]\nhops = [{hops}]\ndeadline_header = \"x-wait-ms\"\nheaders = [\"x-tier\"]\n\
             [[routes]]\nname = \"urgent\"\npath = \"/urgent\"\nheader = \"priority: u=0\"\nlimit = 0\nto = \"http://127.0.0.1:1\"\n\
             [[routes]]\nname = \"all\"\nto = \"{}\"\n",
            service.url()
        ));
        let mut proxy = settings.start();
        let mut log = proxy.log();
        let headers = ask(&proxy.address, said).body;
        let urgent = ask(&proxy.address, "GET /urgent HTTP/1.1\r\nHost: a\r\nPriority: u=0\r\n\r\n").status;
        let line = Proxy::next_access(&mut log);
        (headers, line["client"].as_str().unwrap().to_owned(), urgent)
    };
    let (stranger, client, urgent) = seen("");
    assert_eq!((client.as_str(), urgent), ("127.0.0.1", 200), "his claim chooses no route");
    assert!(stranger.contains("x-forwarded-for: 127.0.0.1\n"), "{stranger}");
    assert!(stranger.contains("x-forwarded-proto: http\n"), "{stranger}");
    for claim in ["priority", "grpc-timeout", "x-wait-ms", "x-tier", "x_tier"] {
        assert!(!stranger.contains(claim), "{claim}: {stranger}");
    }
    let (known, client, urgent) = seen("\"127.0.0.0/8\"");
    assert_eq!((client.as_str(), urgent), ("203.0.113.7", 429));
    assert!(known.contains("x-forwarded-for: 203.0.113.7, 127.0.0.1\n"), "{known}");
    assert!(known.contains("x-forwarded-proto: https\n"), "{known}");
    for claim in ["priority: u=0", "grpc-timeout: 5s", "x-wait-ms: 5000", "x-tier: gold"] {
        assert!(known.contains(claim), "{claim}: {known}");
    }
}

#[test]
fn sighup_under_load_loses_no_call_and_what_stays_the_same_keeps_its_places() {
    let service = Service::start();
    let route = |limit: u32, other: &str| {
        format!("[[routes]]\nname = \"all\"\nlimit = {limit}\nto = \"{}\"\n{other}", service.url())
    };
    let settings = Settings::new(&route(20, ""));
    let mut proxy = settings.start();
    let mut log = proxy.log();
    let _held = send(&proxy.address, &request(&proxy.address, "/?ms=20000"));
    proxy.holds(1.0);
    let ended = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, ended) = (proxy.address.clone(), Arc::clone(&ended));
            thread::spawn(move || {
                let asked = request(&address, "/?ms=2");
                let mut connection = send(&address, &asked);
                let mut served = 1;
                assert_eq!(read(&mut connection).status, 200);
                while !ended.load(Ordering::Relaxed) {
                    connection.write_all(asked.as_bytes()).unwrap();
                    assert_eq!(read(&mut connection).status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    let mut says = |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended without saying '{words}'");
        }
    };
    for limit in [30, 40, 50] {
        settings.write(&route(limit, ""));
        proxy.signal("-HUP");
        says("settings read again");
        assert!((proxy.metric("pushback_limit{") - f64::from(limit)).abs() < 0.5);
        assert!(proxy.metric("pushback_in_flight{") >= 1.0, "the call before it still holds its place");
    }
    // A bad file changes nothing, and says why.
    settings.write(&route(60, "colour = \"red\"\n"));
    proxy.signal("-HUP");
    says("routes.all: unknown key `colour`");
    says("the settings are wrong and stay as they were");
    assert!((proxy.metric("pushback_limit{") - 50.0).abs() < 0.5);
    // A change of the file needs no signal.
    settings.write(&route(70, ""));
    says("settings read again");
    assert!((proxy.metric("pushback_limit{") - 70.0).abs() < 0.5);
    ended.store(true, Ordering::Relaxed);
    let served: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(served > 20, "{served}");
    assert!((proxy.metric("pushback_refused_total{") - 0.0).abs() < 0.5);
}

/// It was made anew, and let as many in once more.
#[test]
fn a_gauge_that_is_taken_away_and_comes_back_knows_who_is_still_there() {
    let service = Service::start();
    let route =
        |name: &str| format!("[[routes]]\nname = \"{name}\"\nlimit = 2\nto = \"{}\"\n", service.url());
    let settings = Settings::new(&route("here"));
    let mut proxy = settings.start();
    let mut lines = proxy.log().lines().map(Result::unwrap);
    let slow = [(); 2].map(|()| send(&proxy.address, &request(&proxy.address, "/?ms=3000")));
    proxy.holds_in("here", 2.0);
    for name in ["gone", "here"] {
        settings.write(&route(name));
        proxy.signal("-HUP");
        assert!(lines.any(|line| line.contains("settings read again")));
    }
    assert_eq!(proxy.get("/").status, 429, "both places are taken");
    for mut slow in slow {
        assert_eq!(read(&mut slow).status, 200);
    }
    proxy.holds_in("here", 0.0);
    assert_eq!(proxy.get("/").status, 200);
}

/// They were in no figure of the drain, and cutting them was no failure.
#[test]
fn a_drain_counts_and_finishes_calls_of_a_gauge_that_is_gone() {
    let service = Service::start();
    for (milliseconds, bound, code) in [(3000, "30s", 0), (20000, "300ms", 1)] {
        let route = |name: &str| {
            format!("drain = \"{bound}\"\n[[routes]]\nname = \"{name}\"\nto = \"{}\"\n", service.url())
        };
        let settings = Settings::new(&route("before"));
        let mut proxy = settings.start();
        let log = proxy.log();
        let mut slow = send(&proxy.address, &request(&proxy.address, &format!("/?ms={milliseconds}")));
        proxy.holds_in("before", 1.0);
        settings.write(&route("after"));
        proxy.signal("-HUP");
        log.lines().map(Result::unwrap).find(|line| line.contains("settings read again"));
        proxy.signal("-TERM");
        proxy.says("draining, 1 in flight");
        if code == 0 {
            assert_eq!(read(&mut slow).status, 200);
        }
        let (ended, said) = proxy.end();
        assert_eq!(ended, code, "{said}");
        if code == 0 {
            assert!(said.contains("Drained: 1 admitted, 0 refused."), "{said}");
        }
    }
}

#[test]
fn tls_goes_in_and_out_and_http_is_agreed_on() {
    let service = Service::start();
    let settings = Settings::new("");
    let folder = settings.folder.path();
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    fs::write(&certificate, identity.cert.pem()).unwrap();
    fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    settings.write(&format!(
        "[tls]\ncertificate = \"certificate.pem\"\nkey = \"key.pem\"\n[[routes]]\nname = \"all\"\nto = \"{}\"\n",
        service.url()
    ));
    let inner = settings.start();
    let url = format!("https://localhost:{}", inner.address.rsplit(':').next().unwrap());
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let curl = Command::new("curl")
            .args(["-sS", version, "--cacert", certificate.to_str().unwrap(), "-w", " %{http_version}"])
            .arg(format!("{url}/headers"))
            .output()
            .expect("curl is installed");
        let said = String::from_utf8(curl.stdout).unwrap();
        assert!(said.ends_with(&format!(" {spoken}")), "{said} {:?}", curl.stderr);
        assert!(said.contains("x-forwarded-proto: https"), "{said}");
    }
    // Another proxy before it, by either protocol, that believes the certificate.
    for scheme in ["https", "h2"] {
        let to = url.replace("https", scheme);
        let outer = Settings::new(&format!(
            "[[routes]]\nname = \"all\"\nto = \"{to}\"\nca = \"{}\"\n",
            certificate.display()
        ));
        let outer = outer.start();
        let mut connection = send(
            &outer.address,
            "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        );
        let answer = read(&mut connection);
        assert_eq!((answer.status, answer.body.as_str()), (200, "POST /x 5"), "{scheme}");
        let seen = ask(&outer.address, "GET /headers HTTP/1.1\r\nHost: a.example:1\r\n\r\n").body;
        assert!(seen.contains("host: a.example:1\n"), "the host goes on as it came: {scheme}: {seen}");
    }
    // And one that does not.
    for scheme in ["https", "h2"] {
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = folder.join("other.pem");
        fs::write(&file, other.cert.pem()).unwrap();
        let to = url.replace("https", scheme);
        let outer = Settings::new(&format!(
            "[[routes]]\nname = \"all\"\nto = \"{to}\"\nca = \"{}\"\n",
            file.display()
        ));
        let answer = outer.start().get("/");
        let status = answer.field("proxy-status").unwrap();
        assert_eq!((answer.status, status), (502, "pushback; error=tls_certificate_error"), "{scheme}");
    }
    // A client that speaks no TLS gets nothing, and breaks nothing.
    let mut plain = send(&inner.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut rest);
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    assert_eq!(get(&inner.admin, "/healthz").status, 200);
    // One that has not said anything yet does not hold up a drain.
    let mut half = send(&inner.address, "");
    half.set_read_timeout(Some(Duration::from_secs(5))).unwrap(); // below what a handshake may take
    inner.signal("-TERM");
    assert_eq!(std::io::Read::read(&mut half, &mut [0]).expect("it is closed at once"), 0);
    assert_eq!(inner.end().0, 0);
}

#[test]
fn gauges_are_shown_and_changed_with_the_token_alone() {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a token of the test\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pushback"))
        .args(["proxy", "--to", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--admin-token", token.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "blanks cannot be sent");
    fs::write(&token, "a-token-of-the-test\n").unwrap();
    let proxy = Proxy::start(&service.url(), &["--limit", "5", "--admin-token", token.to_str().unwrap()]);
    let ask = |method: &str, path: &str, fields: &str, body: &str| {
        let host = &proxy.admin;
        let length = body.len();
        ask(
            host,
            &format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    let token = "Authorization: Bearer a-token-of-the-test\r\n";
    for (fields, status) in [
        ("", 401),
        ("Authorization: Bearer a-token-of-the-tesT\r\n", 401),
        ("Authorization: Basic YTpi\r\n", 401),
        (&format!("{token}Origin: http://evil.example\r\n"), 421),
        (&format!("{token}Origin: null\r\n"), 421),
        (&format!("{token}Origin: http://{}\r\n", proxy.admin), 200),
        (token, 200),
    ] {
        assert_eq!(ask("GET", "/api/gauges", fields, "").status, status, "{fields}");
        let body = r#"{"dry_run": false}"#;
        assert_eq!(ask("PATCH", "/api/gauges/upstream", fields, body).status, status, "{fields}");
    }
    let shown: serde_json::Value =
        serde_json::from_str(&ask("GET", "/api/gauges/upstream", token, "").body).unwrap();
    assert_eq!((&shown["name"], &shown["limit"]), (&"upstream".into(), &5.into()));
    let changed = ask("PATCH", "/api/gauges/upstream", token, r#"{"limit": 0}"#);
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(proxy.get("/").status, 429, "it takes effect at once");
    assert_eq!(ask("PATCH", "/api/gauges/upstream", token, r#"{"dry_run": true}"#).status, 200);
    assert_eq!(proxy.get("/").status, 200);
    for (path, body, status) in [
        ("/api/gauges/upstream", r#"{"limit": -1}"#, 400),
        ("/api/gauges/upstream", "nonsense", 400),
        ("/api/gauges/upstream", &"x".repeat(10_000), 413),
        ("/api/gauges/other", r#"{"limit": 1}"#, 404),
    ] {
        assert_eq!(ask("PATCH", path, token, body).status, status, "{path}");
    }
    let without = Proxy::start(&service.url(), &[]);
    assert!(proxy.pages.contains("/api/gauges") && !without.pages.contains("/api/gauges"));
    assert_eq!(get(&without.admin, "/api/gauges").status, 403);
}

/// Changes the gauge of this name, and gives what became of it, or what was wrong.
fn change(proxy: &Proxy, gauge: &str, body: &str) -> (u16, serde_json::Value) {
    ask_api(proxy, "PATCH", gauge, body)
}

#[test]
fn a_limit_that_moves_is_pinned_and_let_go_by_the_api() {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a-token-of-the-test").unwrap();
    let arguments = ["--limit", "auto", "--admin-token", token.to_str().unwrap()];
    let proxy = Proxy::start(&service.url(), &arguments);
    let (status, pinned) = change(&proxy, "upstream", r#"{"limit": 100, "pinned": true}"#);
    assert_eq!((status, &pinned["limit"], &pinned["pinned"]), (200, &100.into(), &true.into()));
    assert_eq!(pinned["why"]["reason"], "pinned by an operator");
    // Fifty calls are a decision, and four times the most in flight is far below.
    for _ in 0..120 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert!((proxy.metric("pushback_limit{") - 100.0).abs() < 0.5);
    assert!((proxy.metric("pushback_limit_pinned{") - 1.0).abs() < 0.5);
    for wrong in [r#"{"limit": 7, "pinned": "yes"}"#, r#"{"limit": 7, "pin": true}"#] {
        let (status, problem) = change(&proxy, "upstream", wrong);
        let problem = problem["error"].as_str().unwrap();
        assert!(status == 400 && problem.contains("\"pinned\": true or false"), "{problem}");
    }
    let (_, moved) = change(&proxy, "upstream", r#"{"limit": 90}"#);
    assert_eq!((&moved["limit"], &moved["pinned"]), (&90.into(), &true.into()), "it stays pinned");
    let (_, free) = change(&proxy, "upstream", r#"{"pinned": false}"#);
    assert_eq!((&free["limit"], &free["pinned"]), (&90.into(), &false.into()));
    while proxy.metric("pushback_limit{") > 89.5 {
        assert_eq!(proxy.get("/").status, 200);
    }
    assert!(proxy.metric("pushback_limit_pinned{").abs() < 0.5);

    let fixed = ["--limit", "5", "--admin-token", token.to_str().unwrap()];
    let fixed = Proxy::start(&service.url(), &fixed);
    let (status, problem) = change(&fixed, "upstream", r#"{"limit": 7, "pinned": true}"#);
    assert_eq!(status, 400);
    assert!(problem["error"].as_str().unwrap().contains("upstream is fixed"), "{problem}");
    assert!((fixed.metric("pushback_limit{") - 5.0).abs() < 0.5, "nothing of it is done");
}

#[test]
fn a_pin_outlasts_other_settings_until_they_say_another_limit() {
    let text = |limit: &str, line: u32| {
        format!(
            "admin.token = \"token\"\n\
             [[routes]]\nname = \"all\"\nlimit = {limit}\nline = {line}\nto = \"http://127.0.0.1:1\"\n"
        )
    };
    let settings = Settings::new(&text("\"auto\"", 0));
    fs::write(settings.folder.path().join("token"), "a-token-of-the-test").unwrap();
    let mut proxy = settings.start();
    let mut log = proxy.log().lines().map(Result::unwrap);
    change(&proxy, "all", r#"{"limit": 30, "pinned": true}"#);
    let mut with = |text: &str| {
        settings.write(text);
        proxy.signal("-HUP");
        assert!(log.any(|line| line.contains("settings read again")));
        let (_, shown) = ask_api(&proxy, "GET", "all", "");
        (shown["limit"].as_u64().unwrap(), shown["pinned"].as_bool().unwrap())
    };
    // With another line it is another gauge, and then the one before again.
    for line in [0, 10, 0] {
        assert_eq!(with(&text("\"auto\"", line)), (30, true), "{line}");
    }
    assert_eq!(with(&text("\"vegas\"", 0)), (20, false), "the file says something else");
    assert!(!with(&text("\"auto\"", 0)).1, "and what it says then was not pinned");
}

#[test]
fn a_pause_outlasts_other_settings_and_ends_when_it_is_taken_back() {
    let service = Service::start();
    let text = |line: u32| {
        let to = service.url();
        format!("admin.token = \"token\"\n[[routes]]\nname = \"all\"\nline = {line}\nto = \"{to}\"\n")
    };
    let settings = Settings::new(&text(0));
    fs::write(settings.folder.path().join("token"), "a-token-of-the-test").unwrap();
    let mut proxy = settings.start();
    let mut log = proxy.log().lines().map(Result::unwrap);
    let (status, paused) = change(&proxy, "all", r#"{"paused": true}"#);
    assert_eq!((status, &paused["paused"]), (200, &true.into()));
    assert_eq!(proxy.get("/").status, 429);
    assert!((proxy.metric("pushback_paused{gauge=\"all\"") - 1.0).abs() < 0.5);
    let mut with = |line: u32| {
        settings.write(&text(line));
        proxy.signal("-HUP");
        assert!(log.any(|line| line.contains("settings read again")));
        ask_api(&proxy, "GET", "all", "").1["paused"].as_bool().unwrap()
    };
    // With another line it is another gauge, and then the one before again.
    assert_eq!([with(10), with(0)], [true, true]);
    let _ = change(&proxy, "all", r#"{"paused": false}"#);
    assert_eq!(proxy.get("/").status, 200);
    assert!(!with(10), "nor is the one that was paused while it was in force");
    assert_eq!(proxy.get("/").status, 200);
}

/// It was made anew, and began at four.
#[test]
fn a_limit_that_finds_itself_goes_on_from_where_it_stood_when_its_gauge_is_made_anew() {
    let service = Service::start();
    let text = |gauge: &str| {
        let to = service.url();
        format!("admin.token = \"token\"\n[[routes]]\nname = \"all\"\n{gauge}\nto = \"{to}\"\n")
    };
    let settings = Settings::new(&text(""));
    fs::write(settings.folder.path().join("token"), "a-token-of-the-test").unwrap();
    let mut proxy = settings.start();
    let mut log = proxy.log().lines().map(Result::unwrap);
    let mut shown_with = |gauge: &str| {
        settings.write(&text(gauge));
        proxy.signal("-HUP");
        assert!(log.any(|line| line.contains("settings read again")));
        ask_api(&proxy, "GET", "all", "").1
    };
    assert_eq!(shown_with("line = 1")["limit"], 4, "it has found nothing yet");
    // The last two are those before, which are there again.
    for gauge in ["line = 10", "patience = \"2s\"", "time_max = \"1s\"", "line = 10", "line = 1"] {
        change(&proxy, "all", r#"{"limit": 90}"#);
        // It moves by itself: hardly any is in flight. Metrics have gauges of settings before it too.
        let mut stood = serde_json::Value::from(90);
        while stood == 90 {
            assert_eq!(proxy.get("/").status, 200);
            stood = ask_api(&proxy, "GET", "all", "").1["limit"].clone();
        }
        let shown = shown_with(gauge);
        assert_eq!(shown["limit"], stood, "{gauge}");
    }
    // One whose settings stay the same is not made anew at all.
    let before = ask_api(&proxy, "GET", "all", "").1;
    let after = shown_with("line = 1\ntimeout = \"7s\"");
    assert_eq!((&after["limit"], &after["admitted"]), (&before["limit"], &before["admitted"]));
    // Nothing is admitted as long as an operator wants that.
    change(&proxy, "all", r#"{"limit": 0}"#);
    assert_eq!(shown_with("line = 2")["limit"], 0);
}

#[test]
fn wrong_tokens_are_logged_and_slow_and_keep_nobody_from_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "a-token-of-the-test\n").unwrap();
    let arguments = ["--admin-token", token.to_str().unwrap(), "--log", "json"];
    let mut proxy = Proxy::start_as("http://127.0.0.1:1", &arguments, |command| {
        command.stderr(Stdio::piped());
    });
    let mut log = proxy.log();
    let host = proxy.admin.clone();
    let with = |token: &str| {
        format!("GET /api/gauges HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
    };
    let mut wrong: Vec<_> = (0..4).map(|_| send(&host, &with("a-token-that-is-wrong"))).collect();
    for _ in &wrong {
        let line = Proxy::next_line(&mut log, |line| line["message"] == "wrong token");
        let said = ["client", "path"].map(|name| line[name].as_str().unwrap_or_default());
        assert_eq!(said, ["127.0.0.1", "/api/gauges"], "{line}");
        assert!(!line.to_string().contains("that-is-wrong"), "{line}");
    }
    // While these wait, a fifth does not, and the right one does not either.
    let fifth = ask(&host, &with("a-token-that-is-wrong"));
    assert_eq!((fifth.status, fifth.field("retry-after")), (429, Some("1")));
    assert_eq!(ask(&host, &with("a-token-of-the-test")).status, 200);
    for connection in &mut wrong {
        assert_eq!(read(connection).status, 401);
    }
}

#[test]
fn probes_are_for_everybody_and_tell_only_health_and_metrics() {
    let settings = Settings::new(
        "admin.probes = \"127.0.0.1:0\"\n[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n",
    );
    let mut proxy = settings.start();
    let said = proxy.says("Probes on ");
    let address = said.split("http://").nth(1).and_then(|rest| rest.split(": ").next()).unwrap();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/api/gauges", 404)] {
        let mut connection = send(address, &format!("GET {path} HTTP/1.1\r\nHost: pod.example\r\n\r\n"));
        let head = head(&mut connection);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path}: {head}");
    }
}
