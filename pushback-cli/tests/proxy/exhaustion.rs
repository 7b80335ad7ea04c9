//! No files left, or no place in the backlog: what comes waits and is not lost, and all goes on as soon as it can.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use pushback::{Clock, SystemClock};

use crate::support::{Answer, Proxy, Service, get, program_under, read, request, send, start_under};

/// How long an accept that failed is not tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// The soft and the hard limit of its open files.
fn file_limits(process: u32) -> (u64, u64) {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// What its log says from its start to its end.
fn end(mut proxy: Proxy) -> String {
    let mut log = proxy.log();
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 0);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn it_says_how_many_files_it_has_open() {
    let proxy = Proxy::start("http://127.0.0.1:1", &[]);
    let open = || proxy.metric("process_open_fds");
    let before = open();
    assert!(before > 10.0, "{before}");
    let connections: Vec<_> = (0..100).map(|_| send(&proxy.address, "")).collect();
    while open() < before + 90.0 {}
    drop(connections);
    while open() > before + 10.0 {}
}

#[test]
fn it_may_open_as_many_files_as_whoever_started_it_allows_and_says_when_that_is_not_enough() {
    let to = "http://127.0.0.1:1";
    let few = ["--drain", "0s", "--connections", "100"];
    let proxy = start_under("ulimit -S -n 64 && ulimit -H -n 1000", to, &few, Stdio::piped());
    assert_eq!(file_limits(proxy.process()), (1000, 1000));
    assert!((proxy.metric("process_max_fds") - 1000.0).abs() < f64::EPSILON);
    let said = end(proxy);
    assert!(
        said.contains("INFO") && said.contains("may have 1000 files open") && !said.contains("WARN"),
        "{said}"
    );

    let many = ["--drain", "0s", "--connections", "1000", "--workers", "1"];
    let said = end(start_under("ulimit -n 1000", to, &many, Stdio::piped()));
    let warning = said.lines().find(|line| line.contains("WARN")).unwrap_or_default();
    let words = "clients get 361 connections instead of the 1000 of --connections, because 1000 open files are too few";
    assert!(warning.contains(words), "{said}");
}

#[test]
fn with_too_few_files_it_does_not_start_and_says_how_many_would_do() {
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "off", "--workers", "1"];
    let mut command = program_under("ulimit -n 48", "http://127.0.0.1:1", &arguments);
    let ended = command.output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    let wanted = "48 open files are too few for 1 worker: 53 are needed";
    assert!(said.contains(wanted), "{said}");
}

/// Who has looked at the metrics before there were no files, and goes on to.
struct Scraper(TcpStream, String);

impl Scraper {
    fn at(address: &str) -> Self {
        let asked = request(address, "/metrics");
        let mut connection = send(address, &asked);
        assert_eq!(read(&mut connection).status, 200);
        Scraper(connection, asked)
    }

    /// 0, if it is not there yet.
    fn metric(&mut self, name: &str) -> f64 {
        self.0.write_all(self.1.as_bytes()).unwrap();
        let all = read(&mut self.0).body;
        let line = all.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    fn waits_for(&mut self, name: &str, at_least: f64) {
        while self.metric(name) < at_least {}
    }
}

fn ask(client: &mut TcpStream) -> Answer {
    client.write_all(request("a", "/").as_bytes()).unwrap();
    read(client)
}

/// Has the process open no more than it has now, as an operator may do while it runs.
fn leave_no_files(process: u32) {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    bound_files(process, open);
}

fn bound_files(process: u32, soft: usize) {
    let process = process.to_string();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &process, &format!("--nofile={soft}:")]);
    assert!(prlimit.status().expect("every Debian has prlimit").success());
}

#[test]
fn without_files_accepting_pauses_and_goes_on_when_there_are_some() {
    const CLIENTS: &str = "pushback_accept_errors_total{listener=\"clients\",kind=\"files\"}";
    const ADMIN: &str = "pushback_accept_errors_total{listener=\"admin\",kind=\"files\"}";
    let service = Service::start();
    let arguments = ["--workers", "1", "--limit", "100"];
    let proxy = start_under("ulimit -n 1000", &service.url(), &arguments, Stdio::null());
    let mut scraper = Scraper::at(&proxy.admin);
    let for_proxy = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n";
    let mut first = send(&proxy.address, for_proxy);
    assert_eq!(read(&mut first).status, 200);
    leave_no_files(proxy.process());
    let since = SystemClock.now();
    let mut last = send(&proxy.address, "");
    scraper.waits_for(CLIENTS, 5.0);
    let mut probe = send(&proxy.admin, &request(&proxy.admin, "/healthz"));
    scraper.waits_for(ADMIN, 5.0);
    let failed = scraper.metric(CLIENTS);
    let most = SystemClock.now().saturating_duration_since(since).div_duration_f64(PAUSE) + 1.0;
    assert!(failed <= most, "it spins: {failed} failures, and {most:.0} pauses fit in");

    let answer = ask(&mut first);
    assert_eq!(answer.status, 503, "there is none for a connection to the service either: {answer:?}");
    assert_eq!(answer.field("proxy-status"), Some("pushback; error=connection_limit_reached"));
    assert!(scraper.metric("pushback_connect_errors_total{kind=\"files\"}") >= 1.0);
    let [ignored, overload] = ["ignore", "overload"].map(|outcome| {
        scraper.metric(&format!("pushback_ended_total{{gauge=\"upstream\",outcome=\"{outcome}\"}}"))
    });
    assert_eq!((ignored.round(), overload.round()), (1.0, 0.0), "the service has nothing to do with it");

    bound_files(proxy.process(), 1000);
    assert_eq!(read(&mut probe).status, 200);
    assert_eq!(ask(&mut last).status, 200);
    assert_eq!(ask(&mut first).status, 200);
    drop((first, last));
    proxy.signal("-TERM");
    assert_eq!(proxy.end().0, 0);
}

/// Nobody accepts while the process is stopped, so all of these wait in the backlog. Where one is too small, the system does not
/// answer whoever comes then.
fn wait_in_the_backlog(address: &str, count: u32) {
    let address = address.parse().unwrap();
    for number in 1..=count {
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(5));
        assert!(connected.is_ok(), "connection {number} of {count} to {address}: {connected:?}");
    }
}

/// More than libraries ask for by themselves, where the system allows it.
fn many() -> u32 {
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    most.trim().parse::<u32>().unwrap().min(2000)
}

#[test]
fn as_many_may_wait_to_be_accepted_as_the_system_allows_on_every_listener() {
    let service = Service::start();
    let mut proxy = Proxy::start(&service.url(), &["--probes", "127.0.0.1:0"]);
    let probes = proxy.probes();
    proxy.signal("-STOP");
    for address in [&proxy.address, &proxy.admin, &probes] {
        wait_in_the_backlog(address, many());
    }
    proxy.signal("-CONT");
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(get(&proxy.admin, "/healthz").status, 200);
    assert_eq!(get(&probes, "/healthz").status, 200);
}
