//! `pushback load` at a rate, and how it ends when it is interrupted.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    thread,
    time::Duration,
};

use pushback_lab::Arrivals;
use serde_json::Value;

use super::{Demo, fails, pushback, signal};

/// A run at a rate. A busy machine may make it invalid; then it says so everywhere.
fn open_load(arguments: &[&str]) -> Value {
    let output = pushback(&["load", "--json"]).args(arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    if report["valid"] == true {
        assert!(output.status.success() && report.get("invalid_because").is_none(), "{report}");
    } else {
        fails(&output, 1, &["the run is invalid", report["invalid_because"].as_str().unwrap()]);
    }
    report
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn below_the_limit_all_of_an_open_loop_is_served_as_the_simulator_would_send_it() {
    let demo = Demo::start(&["--work", "1ms", "--limit", "1000"]);
    let report =
        open_load(&["--rate", "100", "--duration", "500ms", "--seed", "7", "--slo", "1h", &demo.url()]);
    let simulated = Arrivals::Poisson.schedule(100.0, 7);
    let sent = simulated.take_while(|moment| *moment < Duration::from_millis(500)).count() as u64;
    assert_eq!(report["requests"], sent);
    assert_eq!(report["statuses"].as_object().unwrap().keys().collect::<Vec<_>>(), ["200"], "{report}");
    assert_eq!((&report["goodput"]["count"], &report["goodput"]["share"]), (&sent.into(), &1.0.into()));
    assert_eq!(report["offered_per_second"], report["goodput"]["per_second"]);
    assert_eq!(report["lag"]["count"], sent);
}

#[test]
fn above_the_limit_goodput_is_what_the_limit_lets_through() {
    let demo = Demo::start(&["--work", "100ms", "--limit", "2"]);
    let report = open_load(&["--rate", "200", "--duration", "1s", "--arrivals", "steady", &demo.url()]);
    let [served, refused] = ["200", "429"].map(|status| number(&report["statuses"][status]["count"]));
    assert_eq!((served + refused, &report["requests"]), (200.0, &200.into()), "{report}");
    assert!(served >= 2.0 && refused > 0.0, "{report}");
    // Two at a time, each for a tenth of a second.
    assert!(served <= 2.0 * (number(&report["seconds"]) / 0.1 + 1.0), "{report}");
    assert_eq!(number(&report["goodput"]["per_second"]), served, "{report}");
    assert_eq!(number(&report["goodput"]["share"]), served / 200.0);
}

/// Reads a request up to its end; nothing if the connection ends before.
fn request(connection: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(connection).lines();
    lines.find(|line| line.as_ref().is_ok_and(String::is_empty)).map(drop)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn a_service_that_stalls_shows_in_the_times_of_all_who_came_meanwhile() {
    let stall = Duration::from_millis(500);
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", service.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let mut served = 0;
        for connection in service.incoming() {
            let mut connection = connection.unwrap();
            if request(&connection).is_none() {
                continue; // It only asks whether somebody is there.
            }
            if served == 0 {
                thread::sleep(stall); // This is its work.
            }
            connection.write_all(ANSWER).unwrap();
            served += 1;
            if served == 50 {
                return;
            }
        }
    });
    let report = open_load(&["--rate", "100", "--duration", "500ms", "--arrivals", "steady", &url]);
    serving.join().unwrap();
    let times = &report["statuses"]["200"];
    assert_eq!(times["count"], 50, "{report}");
    // Who came at 250 ms waited for as long, though the closed loop's callers would not even have come.
    assert!(number(&times["p50_ms"]) >= 249.0 && number(&times["p99_ms"]) >= 499.0, "{report}");
}

#[test]
fn a_schedule_that_cannot_be_kept_makes_the_run_invalid() {
    // Nobody accepts, so that no answer ever comes.
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", service.local_addr().unwrap());
    let impossible = ["--rate", "100000", "--duration", "200ms", "--arrivals", "steady", "--timeout", "2s"];
    let report = open_load(&[&impossible[..], &[&url]].concat());
    assert_eq!((&report["valid"], &report["requests"]), (&false.into(), &20_000.into()), "{report}");
    let unsent = report["errors"]["not sent"]["count"].as_u64().unwrap();
    let said = report["invalid_because"].as_str().unwrap();
    assert!(said.contains(&format!("{unsent} of 20000 requests were not sent")), "{report}");
}

#[test]
fn a_run_that_is_interrupted_reports_what_there_was() {
    for (how, name, shown) in [("-n", "-TERM", "SIGTERM after"), ("--rate", "-INT", "Ctrl-C after")] {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", service.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.svg");
        let mut command = pushback(&["load", "--json", how, "10", "--plot", file.to_str().unwrap(), &url]);
        if how == "-n" {
            command.args(["-c", "1"]);
        }
        let load = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut asking = service.incoming().map(Result::unwrap).filter(|asking| request(asking).is_some());
        asking.next().unwrap().write_all(ANSWER).unwrap();
        let unanswered = asking.next().unwrap();
        signal(&load, name);
        let output = load.wait_with_output().unwrap();
        drop(unanswered);
        fails(&output, 1, &[shown]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counted = [&report["requests"], &report["unfinished"]].map(|count| count.as_u64().unwrap());
        assert!(counted[1] >= 1 && counted.iter().sum::<u64>() >= 2, "{report}");
        if how == "-n" {
            assert_eq!((counted, &report["statuses"]["200"]["count"]), ([1, 1], &1.into()), "{report}");
        }
        assert!(std::fs::read_to_string(file).unwrap().starts_with("<svg"));
    }
}

#[test]
fn the_picture_of_an_open_loop_says_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.svg");
    let demo = Demo::start(&["--limit", "0"]);
    open_load(&[
        "--rate",
        "50",
        "--duration",
        "100ms",
        "--arrivals",
        "steady",
        "--plot",
        file.to_str().unwrap(),
        &demo.url(),
    ]);
    let svg = std::fs::read_to_string(file).unwrap();
    assert!(svg.contains("5 requests, 50 a second") && svg.contains("5 refused"), "{svg}");
}

#[test]
fn a_rate_goes_with_its_own_arguments_and_is_bounded() {
    let cases: [(&[&str], &[&str]); 16] = [
        (&["--rate", "0"], &["'0'", "--rate", "0.1 to 100000"]),
        (&["--rate", "-1"], &["'-1'", "0.1 to 100000"]),
        (&["--rate", "NaN"], &["'NaN'", "0.1 to 100000"]),
        (&["--rate", "100001"], &["'100001'", "0.1 to 100000"]),
        (&["--rate", "5", "--duration", "99ms"], &["'99ms'", "100ms to 1h"]),
        (&["--rate", "5", "--arrivals", "uniform"], &["'uniform'", "poisson, steady, bursts:ON/OFF"]),
        (&["--rate", "5", "--arrivals", "bursts:1s"], &["'bursts:1s'", "1ms to 1h"]),
        (&["--rate", "5", "--arrivals", "batches:0"], &["'batches:0'", "1 to 100000"]),
        (&["--rate", "5", "--seed", "x"], &["'x'", "0 to 18446744073709551615"]),
        (&["--rate", "5", "--slo", "2h"], &["'2h'", "1ms to 1h"]),
        (&["--rate", "5", "-n", "9"], &["--requests", "--rate", "cannot be used with"]),
        (&["--rate", "5", "-c", "9"], &["--concurrency", "--rate", "cannot be used with"]),
        (&["--duration", "5s"], &["--rate"]),
        (&["--rate", "1001", "--duration", "1000s"], &["--rate 1001 for --duration 16m 40s", "1000000"]),
        (&["--rate", "0.1", "--duration", "100ms"], &["no request", "--seed 1"]),
        (
            &["--rate", "9999", "--duration", "100ms", "--arrivals", "bursts:1s/1h"],
            &["bursts:1s/1h", "2000000"],
        ),
    ];
    for (arguments, words) in cases {
        let arguments = [&["load", "http://localhost:1/"], arguments].concat();
        fails(&pushback(&arguments).output().unwrap(), 2, words);
    }
    for option in [["--arrivals", "steady"], ["--seed", "1"]] {
        let output = pushback(&["load", "http://localhost:1/"]).args(option).output().unwrap();
        fails(&output, 2, &["--rate <R>", "not provided"]);
    }
}
