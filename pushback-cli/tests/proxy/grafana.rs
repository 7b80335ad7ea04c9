//! The dashboard for Grafana shows what is really exported: a real Prometheus scrapes a real proxy, and is asked each question of the
//! dashboard.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use pushback::{Clock, SystemClock};
use serde_json::Value;

use super::support::{Proxy, Service, head, request, send};

const DASHBOARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/grafana.json");
/// How long until Prometheus has scraped often enough for every rate.
const PATIENCE: Duration = Duration::from_secs(60);

/// Killed at the end of its test at the latest.
struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn scraping(target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("prometheus.yml");
        let scrape = format!(
            "scrape_configs:\n- job_name: pushback\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        );
        fs::write(&config, scrape).unwrap();
        // It does not say which port the system chose, so it is told one that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`cargo xtask test --install` installs it");
        Prometheus { child, address: port.to_string(), _folder: folder }
    }

    /// The series that answer a question, once it listens.
    fn series(&self, question: &str) -> Option<Vec<Value>> {
        let escaped: String = question.bytes().map(|byte| format!("%{byte:02x}")).collect();
        std::net::TcpStream::connect(&self.address).ok()?;
        // By HTTP/1.0, so that an answer of any length comes in one piece, to the end of the connection.
        let mut connection =
            send(&self.address, &format!("GET /api/v1/query?query={escaped} HTTP/1.0\r\n\r\n"));
        let head = head(&mut connection);
        let mut body = String::new();
        connection.read_to_string(&mut body).unwrap();
        if head.contains(" 503 ") {
            return None; // it begins
        }
        assert!(head.contains(" 200 "), "{question}: {head}{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        let series = answer["data"]["result"].as_array()?.iter();
        Some(series.filter(|series| series["value"][1] != "NaN").cloned().collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One gauge that moves, one with a line, and one in dry run.
const SETTINGS: &str = r#"
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[routes]]
name = "line"
path = "/line"
to = "SERVICE"
limit = 1
line = 1

[[routes]]
name = "dry"
path = "/dry"
to = "SERVICE"
limit = 1
line = 1
dry_run = true

[[routes]]
name = "moving"
to = "SERVICE"
"#;

#[test]
fn every_question_of_the_grafana_dashboard_has_an_answer() {
    let service = Service::start();
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), SETTINGS.replace("SERVICE", &service.url())).unwrap();
    let proxy = Proxy::start_with(&["--config", file.path().to_str().unwrap()], |_| ());
    let prometheus = Prometheus::scraping(&proxy.admin);
    let mut questions = questions();
    assert!(questions.len() > 15, "{questions:?}");

    let end = SystemClock.now() + PATIENCE;
    while !questions.is_empty() {
        assert!(SystemClock.now() < end, "nothing answers {questions:#?}");
        // So that each has something to tell: calls that run, wait, are refused, and would be.
        thread::scope(|scope| {
            for path in [
                "/line?ms=50",
                "/line?ms=50",
                "/line?ms=50",
                "/line?ms=50",
                "/dry?ms=50",
                "/dry?ms=50",
                "/dry?ms=50",
                "/",
            ] {
                scope.spawn(|| proxy.get(path));
            }
        });
        // And one that leaves.
        drop(send(&proxy.address, &request(&proxy.address, "/line?ms=50")));
        questions.retain(|question| prometheus.series(question).is_none_or(|series| series.is_empty()));
    }
}

/// What the dashboard asks, for all gauges and with a window of a few scrapes.
fn questions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(DASHBOARD).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let question = |target: &Value| target["expr"].as_str().unwrap().to_owned();
    targets.map(|target| question(target).replace("$gauge", ".+").replace("$__rate_interval", "5s")).collect()
}
