//! How many files the proxy may open.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

use crate::support::Proxy;

/// The proxy, started by a shell that has changed its limits.
fn start_under(limits: &str, to: &str, arguments: &[&str], stderr: Stdio) -> Proxy {
    let usual = ["proxy", "--to", to, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let program = env!("CARGO_BIN_EXE_pushback");
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), program]).args(usual).args(arguments);
    Proxy::start_by(shell.stderr(stderr))
}

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
fn it_may_open_as_many_files_as_whoever_started_it_allows_and_says_when_that_is_not_enough() {
    let to = "http://127.0.0.1:1";
    let few = ["--drain", "0s", "--connections", "100"];
    let proxy = start_under("ulimit -S -n 64 && ulimit -H -n 1000", to, &few, Stdio::piped());
    assert_eq!(file_limits(proxy.process()), (1000, 1000));
    assert!((proxy.metric("process_max_fds") - 1000.0).abs() < f64::EPSILON);
    let said = end(proxy);
    assert!(said.contains("INFO") && said.contains("files=1000") && !said.contains("WARN"), "{said}");

    let many = ["--drain", "0s", "--connections", "1000"];
    let said = end(start_under("ulimit -n 1000", to, &many, Stdio::piped()));
    let warning = said.lines().find(|line| line.contains("WARN")).unwrap_or_default();
    assert!(warning.contains("files=1000") && warning.contains("connections=1000"), "{said}");
}
