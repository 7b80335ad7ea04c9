//! Where limits stood outlasts the process.

use std::{
    fs,
    io::BufRead,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::support::{Proxy, Service, ask_api};

/// A folder for a state file, and a token.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        fs::write(folder.path("token"), "a-token-of-the-test").unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A proxy with its state in the file of this name, before a service at `to`.
    fn start(&self, to: &str, state: &str, arguments: &[&str]) -> Proxy {
        let (state, token) = (self.path(state), self.path("token"));
        let usual =
            ["--state", text(&state), "--admin-token", text(&token), "--log", "json", "--drain", "0s"];
        Proxy::start_as(to, &[&usual, arguments].concat(), |command| {
            command.stderr(Stdio::piped());
        })
    }

    /// What is remembered of the one gauge.
    fn remembers(&self, state: &str) -> serde_json::Value {
        let all = fs::read(self.path(state)).unwrap();
        serde_json::from_slice::<serde_json::Value>(&all).unwrap()["gauges"]["upstream"].clone()
    }

    fn write(&self, state: &str, age: u64, limit: &str) {
        let text = format!(r#"{{"version":1,"time":{},"gauges":{{"upstream":{limit}}}}}"#, now() - age);
        fs::write(self.path(state), text).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a file from another day needs the day")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn stop(proxy: Proxy) {
    proxy.signal("-TERM");
    let (code, said) = proxy.end();
    assert_eq!(code, 0, "{said}");
}

fn limit(proxy: &Proxy) -> f64 {
    proxy.metric("pushback_limit{")
}

/// Calls until the limit stands somewhere else.
fn move_limit(proxy: &Proxy) -> f64 {
    let before = limit(proxy);
    while (limit(proxy) - before).abs() < 0.5 {
        assert_eq!(proxy.get("/").status, 200);
    }
    proxy.holds(0.0);
    limit(proxy)
}

#[test]
fn a_limit_begins_where_it_stood_when_the_proxy_before_was_told_to_end() {
    let (service, folder) = (Service::start(), Folder::new());
    let proxy = folder.start(&service.url(), "state.json", &[]);
    assert!((limit(&proxy) - 4.0).abs() < 0.5, "there is no file yet");
    ask_api(&proxy, "PATCH", "upstream", r#"{"limit": 90}"#);
    let stood = move_limit(&proxy);
    stop(proxy);
    assert_eq!(folder.remembers("state.json").as_f64(), Some(stood));
    let proxy = folder.start(&service.url(), "state.json", &[]);
    assert!((limit(&proxy) - stood).abs() < 0.5, "{stood}");
    // A start with nothing to do forgets nothing.
    stop(proxy);
    assert_eq!(folder.remembers("state.json").as_f64(), Some(stood));
    // It is for limits that find themselves.
    let fixed = folder.start(&service.url(), "state.json", &["--limit", "7"]);
    assert!((limit(&fixed) - 7.0).abs() < 0.5);
    stop(fixed);
    assert!(folder.remembers("state.json").is_null());
}

#[test]
fn it_is_written_while_the_proxy_runs() {
    let (service, folder) = (Service::start(), Folder::new());
    let state = folder.path("state.json");
    let arguments = ["--state", text(&state), "--log", "json"];
    let mut proxy = Proxy::start_as(&service.url(), &arguments, |command| {
        command.stderr(Stdio::piped()).env("PUSHBACK_LOG", "info,pushback=debug");
    });
    let mut log = proxy.log();
    let mut next = || Proxy::next_line(&mut log, |line| line["message"] == "the state file is written");
    assert_eq!(next()["gauges"], 0, "nothing is found yet");
    move_limit(&proxy);
    assert_eq!(next()["gauges"], 1);
    assert_eq!(folder.remembers("state.json").as_f64(), Some(limit(&proxy)));
}

#[test]
fn what_an_operator_pins_is_not_remembered_as_found() {
    let (service, folder) = (Service::start(), Folder::new());
    folder.write("state.json", 0, "40");
    let proxy = folder.start(&service.url(), "state.json", &[]);
    assert!((limit(&proxy) - 40.0).abs() < 0.5);
    let stood = move_limit(&proxy);
    ask_api(&proxy, "PATCH", "upstream", r#"{"limit": 1000, "pinned": true}"#);
    // And let go, without a call to judge it by.
    ask_api(&proxy, "PATCH", "upstream", r#"{"pinned": false}"#);
    stop(proxy);
    let remembered = folder.remembers("state.json").as_f64().unwrap();
    assert!([40.0, stood].contains(&remembered), "{remembered}");
    // Nor is one that admits nothing.
    let proxy = folder.start(&service.url(), "state.json", &[]);
    ask_api(&proxy, "PATCH", "upstream", r#"{"limit": 0}"#);
    stop(proxy);
    assert_eq!(folder.remembers("state.json").as_f64(), Some(remembered));
}

#[test]
fn what_is_damaged_or_old_is_told_and_the_limit_begins_as_if_there_were_nothing() {
    let folder = Folder::new();
    let cases = [
        ("cut", r#"{"version":1,"ti"#, "WARN", "this is not JSON"),
        ("other", r#"{"version":2,"time":1,"gauges":{}}"#, "WARN", "version is 2; allowed: 1"),
        ("binary", "\u{0}\u{1}", "WARN", "this is not JSON"),
    ];
    for (name, text, ..) in cases {
        fs::write(folder.path(name), text).unwrap();
    }
    folder.write("number", 0, "\"many\"");
    folder.write("old", 25 * 3600, "40");
    let cases = cases.map(|(name, _, level, words)| (name, level, words)).into_iter().chain([
        ("number", "WARN", "gauges.upstream is \\\"many\\\"; allowed: 1 to 4294967295"),
        ("old", "INFO", "older than a day"),
    ]);
    for (name, level, words) in cases {
        let mut proxy = folder.start("http://127.0.0.1:1", name, &[]);
        let file = folder.path(name);
        let line = Proxy::next_line(&mut proxy.log(), |line| line["file"] == text(&file));
        assert!(line["level"] == level && line.to_string().contains(words), "{name}: {line}");
        assert!((limit(&proxy) - 4.0).abs() < 0.5, "{name}");
    }
    folder.write("high", 0, "4294967295");
    let proxy = folder.start("http://127.0.0.1:1", "high", &[]);
    assert!((limit(&proxy) - 100_000.0).abs() < 0.5, "within its bounds");
}

#[test]
fn a_folder_that_is_gone_is_told_once_and_keeps_nobody_from_an_answer() {
    let (service, folder) = (Service::start(), Folder::new());
    for comes_back in [false, true] {
        let mut proxy = folder.start(&service.url(), "gone/state.json", &[]);
        let mut log = proxy.log();
        let line = Proxy::next_line(&mut log, |line| line["level"] == "WARN" && line["file"].is_string());
        let said = line.to_string();
        assert!(
            said.contains("the state file cannot be written") && said.contains("gone/state.json"),
            "{said}"
        );
        assert_eq!(proxy.get("/").status, 200);
        if comes_back {
            fs::create_dir(folder.path("gone")).unwrap();
        }
        stop(proxy);
        let rest: Vec<_> = log.lines().map(Result::unwrap).collect();
        let says = |words: &str| rest.iter().any(|line| line.contains(words));
        assert!(!says("cannot be written"), "once is enough: {rest:?}");
        assert_eq!(says("the state file can be written again"), comes_back, "{rest:?}");
        assert_eq!(folder.path("gone/state.json").exists(), comes_back);
    }
}

#[test]
fn check_says_whether_the_folder_can_be_written() {
    let folder = Folder::new();
    let gone = folder.path("gone");
    for (state, words) in [
        ("state.json", "# state: its folder can be written".to_owned()),
        ("gone/state.json", format!("remark: state: {} cannot be written: ", gone.display())),
    ] {
        let file = folder.path("pushback.toml");
        let routes = "[[routes]]\nname = \"all\"\nto = \"http://127.0.0.1:1\"\n";
        fs::write(&file, format!("state = \"{state}\"\n{routes}")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_pushback"))
            .args(["check", "--config", text(&file)])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success() && said.contains(&words), "{said}");
        assert!(said.contains(&format!("state = \"{}\"", text(&folder.path(state)))), "{said}");
        assert!(!folder.path(state).exists(), "it is only tried");
    }
    let folder_itself = Command::new(env!("CARGO_BIN_EXE_pushback"))
        .args(["proxy", "--to", "http://127.0.0.1:1", "--state", text(folder.0.path())])
        .output()
        .unwrap();
    let said = String::from_utf8(folder_itself.stderr).unwrap();
    assert_eq!(folder_itself.status.code(), Some(2), "{said}");
    assert!(said.contains("allowed: a file to write, which need not exist yet"), "{said}");
}
