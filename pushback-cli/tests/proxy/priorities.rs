//! What is important is served first, before a real service and by real load.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use crate::support::{Proxy, Service};

/// So many requests a second for five seconds, each of which takes a tenth of a second.
fn load(proxy: &Proxy, path: &str, rate: u32) -> Child {
    let url = format!("http://{}{path}?ms=100", proxy.address);
    Command::new(env!("CARGO_BIN_EXE_pushback"))
        .args(["load", &url, "--rate", &rate.to_string(), "--duration", "5s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Which part of the requests had an answer and no refusal.
fn served(load: Child) -> f64 {
    let summary: serde_json::Value =
        serde_json::from_slice(&load.wait_with_output().unwrap().stdout).unwrap();
    let count = |status: &str| summary["statuses"][status]["count"].as_f64().unwrap_or(0.0);
    count("200") / (count("200") + count("429"))
}

/// Checkouts alone would take six of twenty places, and with the reports there is work for thirty-six.
fn checkouts_and_reports(line: &str) -> (f64, f64, f64) {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pushback.toml");
    let route = |name: &str, priority: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\npriority = \"{priority}\"\ngauge = \"shop\"\nto = \"{}\"\n",
            service.url()
        )
    };
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\n[gauges.shop]\nlimit = 20\n{line}\n{}{}",
        route("checkouts", "critical"),
        route("reports", "low")
    );
    fs::write(&file, text).unwrap();
    let proxy = Proxy::start_with(&["--config", file.to_str().unwrap()], |command| {
        command.stderr(Stdio::null());
    });
    let (checkouts, reports) = (load(&proxy, "/checkouts", 60), load(&proxy, "/reports", 300));
    let (checkouts, reports) = (served(checkouts), served(reports));
    println!("{checkouts:.3} of the checkouts and {reports:.3} of the reports served");
    (checkouts, reports, proxy.metric("pushback_refused_total{gauge=\"shop\",reason=\"outranked\""))
}

#[test]
fn checkouts_are_served_and_reports_refused_where_nobody_waits() {
    let (checkouts, reports, outranked) = checkouts_and_reports("");
    assert!(checkouts > 0.97, "{checkouts}");
    assert!((0.1..0.75).contains(&reports), "{reports}");
    assert!(outranked > 100.0, "{outranked}");
}

#[test]
fn checkouts_are_served_and_reports_refused_where_they_wait() {
    let line = "line = 20\nline_wait = \"1s\"\nline_discipline = \"codel\"";
    let (checkouts, reports, _) = checkouts_and_reports(line);
    assert!(checkouts > 0.99, "{checkouts}");
    assert!((0.1..0.75).contains(&reports), "{reports}");
}
