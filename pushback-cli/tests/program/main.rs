//! The program as its users run it: a process of its own, real clients, real signals.

mod demo;
mod open;
mod outputs;
#[path = "../proxy/stuck.rs"]
mod stuck;
mod top;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
};

use serde_json::Value;

fn pushback(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushback"));
    command.args(arguments);
    command
}

/// A demo on a port of its own, killed at the end of its test at the latest.
struct Demo {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = pushback(&["demo", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut first = String::new();
        out.read_line(&mut first).expect("it says where it listens");
        let address = first.trim().strip_prefix("pushback demo on ").expect("its first line").to_owned();
        Demo { child, out, address }
    }

    fn url(&self) -> String {
        format!("{}/request", self.address)
    }

    /// Waits until it has said this.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it ended without saying '{words}'");
        }
        line
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for its end.
    fn end(mut self) -> (i32, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().expect("it ends by itself"), rest)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn load(arguments: &[&str]) -> Value {
    let output = pushback(&["load", "--json"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// It failed with this exit code and one line that says these words.
fn fails(output: &Output, code: i32, words: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "one line and no more: {said}");
    for word in words.iter().chain(&["error: "]) {
        assert!(said.contains(word), "'{word}' is missing: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn fifty_at_once_are_ten_served_and_forty_refused_seen_by_load_and_by_hey() {
    let demo = Demo::start(&[]);
    let report = load(&["-n", "50", "-c", "50", &demo.url()]);
    let statuses = report["statuses"].as_object().unwrap();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["200", "429"], "{report}");
    assert_eq!((&statuses["200"]["count"], &statuses["429"]["count"]), (&10.into(), &40.into()));
    let [served, refused] = ["200", "429"].map(|status| statuses[status]["p50_ms"].as_f64().unwrap());
    assert!(served >= 499.0, "the work takes half a second: {served} ms");
    assert!(refused < served / 2.0, "a refusal does not wait for the work: {refused} ms");

    let hey =
        Command::new("hey").args(["-n", "50", "-c", "50", &demo.url()]).output().expect("hey is installed");
    let table = text(&hey.stdout);
    assert!(table.contains("[200]\t10 responses") && table.contains("[429]\t40 responses"), "{table}");
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let demo = Demo::start(&["--limit", "0"]);
    let curl = Command::new("curl")
        .args(["--silent", "--include", &demo.url()])
        .output()
        .expect("curl is installed");
    let answer = text(&curl.stdout).to_lowercase();
    assert!(answer.starts_with("http/1.1 429 too many requests"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") || answer.contains("retry-after: 2\r\n"), "{answer}");
    assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntoo many requests"), "{answer}");
}

#[test]
fn a_limit_of_zero_is_said_aloud() {
    let mut demo = Demo::start(&["--limit", "0"]);
    demo.says("Warning: a limit of 0 admits nothing.");
    let report = load(&["-n", "3", &demo.url()]);
    assert_eq!(report["statuses"]["429"]["count"], 3);
}

/// Sends a request, and comes back when it runs.
fn take_a_place(demo: &Demo) -> TcpStream {
    let caller = send(demo, "/request");
    loop {
        let mut state = String::new();
        send(demo, "/demo").read_to_string(&mut state).unwrap();
        if state.contains("\"in_flight\":1") {
            return caller;
        }
        assert!(state.contains("\"in_flight\":0"), "{state}");
    }
}

fn connect(demo: &Demo) -> (TcpStream, &str) {
    let address = demo.address.strip_prefix("http://").unwrap();
    (TcpStream::connect(address).unwrap(), address)
}

/// Sends a request whose connection ends with its answer.
fn send(demo: &Demo, path: &str) -> TcpStream {
    let (mut connection, address) = connect(demo);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    connection
}

#[test]
fn sigterm_and_ctrl_c_finish_what_runs_and_admit_nothing_new() {
    for signal in ["-TERM", "-INT"] {
        let mut demo = Demo::start(&["--work", "2s"]);
        let mut caller = take_a_place(&demo);
        demo.signal(signal);
        assert!(demo.says("draining").contains("1 in flight"));
        let refused = pushback(&["load", "-n", "1", &demo.url()]).output().unwrap();
        assert!(!refused.status.success(), "it accepts nothing any more");
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"),
            "what ran is finished: {answer}"
        );
        let (code, rest) = demo.end();
        assert_eq!((code, rest.as_str()), (0, "Drained: 1 admitted, 0 refused.\n"));
    }
}

/// Work that went on for callers who are gone would keep the workers from all who come later.
#[test]
fn a_caller_who_leaves_takes_the_work_along() {
    let demo = Demo::start(&["--work", "1h", "--limit", "1"]);
    drop(take_a_place(&demo));
    let is_free = |_| {
        let mut state = String::new();
        send(&demo, "/demo").read_to_string(&mut state).unwrap();
        state.contains("\"in_flight\":0")
    };
    assert!((0..20_000).any(is_free), "it works on");
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut demo = Demo::start(&["--work", "1h"]);
    let mut caller = take_a_place(&demo);
    demo.signal("-TERM");
    demo.says("draining");
    demo.signal("-TERM");
    assert_eq!(demo.end().0, 1);
    let mut answer = Vec::new();
    let _ = caller.read_to_end(&mut answer);
    assert!(answer.is_empty(), "its request got no answer");
}

#[test]
fn a_connection_with_half_a_request_does_not_hold_up_the_end() {
    let demo = Demo::start(&["--work", "1ms"]);
    let mut half = TcpStream::connect(demo.address.strip_prefix("http://").unwrap()).unwrap();
    half.write_all(b"GET /req").unwrap();
    load(&["-n", "1", &demo.url()]);
    demo.signal("-TERM");
    let (code, rest) = demo.end();
    assert_eq!(code, 0, "{rest}");
    assert!(rest.contains("Drained: 1 admitted, 0 refused."), "{rest}");
}

#[test]
fn answers_that_do_not_come_are_counted_and_said_why() {
    let broken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", broken.local_addr().unwrap());
    let serving = thread::spawn(move || {
        // The first connection only asks whether somebody is there.
        for connection in broken.incoming().take(3) {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(b"nonsense\r\n\r\n");
        }
    });
    let output = pushback(&["load", "-n", "2", "-c", "1", &url]).output().unwrap();
    serving.join().unwrap();
    let report = text(&output.stdout);
    assert!(
        report.contains("broken               2") && report.contains("\nbroken: invalid HTTP"),
        "{report}"
    );
    fails(&output, 1, &["no answer", &url, "2 broken"]);
}

#[test]
fn a_run_that_could_not_send_all_its_requests_is_invalid() {
    let demo = Demo::start(&["--work", "1s", "--limit", "1000", "--workers", "1000"]);
    // Some files are the program's own, and the rest is for some of its callers.
    let load = "ulimit -n 30 && exec \"$0\" load -n 60 -c 60 --json \"$1\"";
    let output = Command::new("sh").args(["-c", load, env!("CARGO_BIN_EXE_pushback"), &demo.url()]).output();
    let output = output.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["statuses"]["200"]["count"].as_u64().unwrap() > 0, "{report}");
    let unsent = report["errors"]["not sent"]["count"].as_u64().unwrap();
    let said = format!("the run is invalid: {unsent} of 60 requests were not sent: ");
    fails(&output, 1, &[&said, "open files"]);
}

#[test]
fn a_run_whose_service_went_away_is_invalid() {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", service.local_addr().unwrap());
    let serving = thread::spawn(move || {
        drop(service.accept().unwrap()); // It only asks whether somebody is there.
        let (mut connection, _) = service.accept().unwrap();
        drop(service);
        let _ = connection.read(&mut [0; 1024]);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    });
    let output = pushback(&["load", "-n", "10", "-c", "1", &url]).output().unwrap();
    serving.join().unwrap();
    assert!(!text(&output.stdout).contains("nobody to connect to"), "once is enough");
    fails(&output, 1, &["the run is invalid: 9 of 10 requests found nobody to connect to", "refused"]);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure_and_a_reader_that_left_is_not() {
    let demo = Demo::start(&["--limit", "0"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        pushback(&["load", "-n", "1", &demo.url()]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    fails(&output, 1, &["standard output", "No space left"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = pushback(&["load", "-n", "1", &demo.url()]).stdout(writer).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn load_draws_each_request_and_who_was_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.svg");
    let demo = Demo::start(&["--work", "20ms", "--limit", "2"]);
    let report = load(&["-n", "20", "-c", "4", "--plot", file.to_str().unwrap(), &demo.url()]);
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(svg.contains("20 requests, 4 at a time"), "{svg}");
    let served = report["statuses"]["200"]["count"].as_u64().unwrap();
    assert!(svg.contains(&format!("{served} admitted")) && svg.contains(&format!("{} refused", 20 - served)));
}

#[test]
fn a_picture_that_cannot_be_written_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.svg");
    // A link to a folder that is not there: it shows only when it is written.
    std::os::unix::fs::symlink("/nowhere/run.svg", &file).unwrap();
    let demo = Demo::start(&["--limit", "0"]);
    let file = file.to_str().unwrap();
    let output = pushback(&["load", "-n", "1", "--plot", file, &demo.url()]).output().unwrap();
    fails(&output, 1, &["--plot: cannot write", file, "No such file"]);
}

#[test]
fn wrong_arguments_are_one_line_that_names_the_value_and_what_is_allowed() {
    let cases: [(&[&str], &[&str]); 21] = [
        (&["demo", "--limit", "-5"], &["'-5'", "--limit", "0 to 4294967295"]),
        (&["demo", "--limit", "4294967296"], &["'4294967296'", "0 to 4294967295"]),
        (&["demo", "--limit", "ten"], &["'ten'", "0 to 4294967295"]),
        (&["demo", "--listen", "nonsense"], &["'nonsense'", "HOST:PORT"]),
        (&["demo", "--listen", "8057"], &["'8057'", "it has no host; write \"127.0.0.1:8057\""]),
        (&["demo", "--listen", "127.0.0.1:99999"], &["'127.0.0.1:99999'", "HOST:PORT"]),
        (&["demo", "--work", "soon"], &["'soon'", "0s to 1h"]),
        (&["demo", "--work", "2"], &["'2'", "--work", "it has no unit; write \"2ms\" or \"2s\""]),
        (&["demo", "--patience", "0s"], &["'0s'", "--patience", "1ms to 24h"]),
        (&["demo", "--beyond", "stack"], &["'stack'", "--beyond", "share, queue"]),
        (&["load", "https://localhost/"], &["'https://localhost/'", "http://HOST"]),
        (&["load", "nonsense"], &["'nonsense'", "http://HOST"]),
        (&["load", "http://me:secret@localhost/"], &["user name"]),
        (&["load", "http://localhost/", "--plot", "/tmp/../dev/null"], &[".svg"]),
        (&["load", "http://localhost:99999/"], &["'99999'", "0 to 65535"]),
        (&["load", "http://localhost/", "-n", "0"], &["'0'", "1 to 1000000"]),
        (&["load", "http://localhost/", "--rate", "5", "-n", "9"], &["--requests", "use --duration TIME"]),
        (&["load", "http://localhost/", "--rate", "5", "-c", "9"], &["--concurrency", "so leave it out"]),
        (&["load", "http://localhost/", "-c", "-1"], &["'-1'", "1 to 10000"]),
        (&["load", "http://localhost/", "--plot", "run.bmp"], &["'run.bmp'", ".svg"]),
        (&["load"], &["<URL>"]),
    ];
    for (arguments, words) in cases {
        fails(&pushback(arguments).output().unwrap(), 2, words);
    }
}

#[test]
fn what_is_not_known_is_told_the_nearest_that_there_is() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["dmo"], &["'dmo'", "'demo'"]),
        (&["prxy", "--to", "http://127.0.0.1:1"], &["'prxy'", "'proxy'"]),
        (&["--to", "http://127.0.0.1:1"], &["'--to'", "after a command: proxy"]),
        (&["demo", "--limt", "3"], &["'--limt'", "'--limit'"]),
        (&["proxy", "--lisen", "127.0.0.1:0"], &["'--lisen'", "'--listen'"]),
        (&["proxy", "--to", "http://127.0.0.1:1", "--log", "jsno"], &["'jsno'", "'json'"]),
        (&["demo", "--port", "9000"], &["'--port'", "--listen HOST:PORT"]),
        (&["proxy", "--port=9000"], &["'--port'", "--listen HOST:PORT"]),
        (&["proxy", "--upstream", "http://127.0.0.1:1"], &["'--upstream'", "--to URL"]),
        (&["proxy", "http://127.0.0.1:1"], &["'http://127.0.0.1:1'", "--to URL"]),
        (&["proxy", "pushback.toml"], &["'pushback.toml'", "--config FILE"]),
    ];
    for (arguments, words) in cases {
        fails(&pushback(arguments).output().unwrap(), 2, words);
    }
    let load = pushback(&["load", "--port", "9000"]).output().unwrap();
    assert!(!text(&load.stderr).contains("--listen"), "it has none: {}", text(&load.stderr));
}

#[test]
fn a_demo_and_a_proxy_listen_in_different_places_if_nothing_is_said() {
    for (command, listens) in [("demo", "[default: 127.0.0.1:8000]"), ("proxy", "[default: 127.0.0.1:8080]")]
    {
        let help = text(&pushback(&[command, "--help"]).output().unwrap().stdout);
        assert!(help.contains(listens), "{command}: {help}");
    }
}

#[test]
fn a_run_that_cannot_be_is_one_line_that_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(
        &pushback(&["demo", "--listen", &address]).output().unwrap(),
        1,
        &[&address, "in use", "--listen HOST:PORT"],
    );
    drop(taken);
    let url = format!("http://{address}/");
    fails(&pushback(&["load", &url]).output().unwrap(), 1, &[&url, "refused"]);
}

#[test]
fn help_is_an_answer_and_no_command_is_a_usage_error() {
    let help = pushback(&["--help"]).output().unwrap();
    assert!(help.status.success() && text(&help.stdout).contains("demo"));
    let nothing = pushback(&[]).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(text(&nothing.stderr).contains("Usage: pushback <COMMAND>"));
}
