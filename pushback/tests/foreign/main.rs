//! Clients of other making: what curl, hey, h2load and Python's grpcio make of our refusals.
//!
//! `cargo xtask test --install` installs them.
#![cfg(feature = "http")]

use std::{path::Path, process::Stdio, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, routing::any};
use pushback::{PressureGauge, http::BackpressureLayer};
use tokio::{io::AsyncWriteExt, net::TcpListener, process::Command};
use tonic::transport::{Server, server::TcpIncoming};
use tonic_health::server::health_reporter;
use tower::util::MapFutureLayer;

/// An axum service over HTTP/1 and HTTP/2, whose work takes some turns of the scheduler.
async fn serve(gauge: &PressureGauge) -> String {
    let work = async |body: axum::body::Bytes| {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        format!("{} bytes\n", body.len())
    };
    let app = Router::new()
        .route("/", any(work))
        .layer(DefaultBodyLimit::disable())
        .layer(BackpressureLayer::new(gauge.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// What a program prints; it must end well.
async fn run(program: impl AsRef<Path>, arguments: &[&str], input: &[u8]) -> String {
    let program = program.as_ref();
    let name = program.display();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}; `cargo xtask test --install` installs it"));
    let mut stdin = child.stdin.take().unwrap();
    // A client that is refused may stop reading what it would send.
    let (_, output) = tokio::join!(
        async {
            let _ = stdin.write_all(input).await;
            drop(stdin);
        },
        child.wait_with_output()
    );
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}{}",
        text(&output.stderr),
        text(&output.stdout)
    );
    text(&output.stdout)
}

#[tokio::test]
async fn curl_reads_the_refusal_over_http_1_and_2_and_behind_an_upload() {
    let gauge = PressureGauge::new(1);
    let address = serve(&gauge).await;
    let url = format!("http://{address}/");
    assert_eq!(run("curl", &["-sS", "--data-binary", "@-", &url], b"hello").await, "5 bytes\n");
    let held = gauge.try_acquire().unwrap();
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        let answer = run("curl", &["-sSi", protocol, &url], b"").await.to_lowercase();
        let status = answer.lines().next().unwrap();
        assert!(status.starts_with("http/1.1 429") || status.starts_with("http/2 429"), "{answer}");
        let retry_after = answer.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
        assert!((1..=90).contains(&retry_after.parse::<u32>().unwrap()), "{answer}");
        assert!(
            answer.contains("cache-control: no-store\r\n") && answer.ends_with("too many requests"),
            "{answer}"
        );
    }
    // Without and with `Expect: 100-continue`, which curl sends before more than a megabyte.
    let upload = vec![b'x'; 3 << 20];
    for expect in ["Expect:", "Expect: 100-continue"] {
        let arguments =
            ["-sS", "-H", expect, "-w", " %{http_code} %{size_upload}", "--data-binary", "@-", &url];
        let answer = run("curl", &arguments, &upload).await;
        let (text, sent) = answer.rsplit_once(' ').unwrap();
        assert_eq!(text, "Too many requests 429", "{expect}");
        if expect != "Expect:" {
            assert_eq!(sent, "0", "it was refused before it sent anything");
        }
    }
    drop(held);
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[tokio::test]
async fn a_refused_upload_over_http_2_is_answered_and_ended_without_an_error() {
    let gauge = PressureGauge::new(0);
    let url = format!("http://{}/", serve(&gauge).await);
    let upload = Path::new(env!("CARGO_TARGET_TMPDIR")).join("upload");
    std::fs::write(&upload, vec![b'x'; 3 << 20]).unwrap();
    let frames = run("nghttp", &["-nv", &format!("--data={}", upload.display()), &url], b"").await;
    assert!(frames.contains(":status: 429"), "{frames}");
    assert!(frames.contains("recv RST_STREAM") && frames.contains("error_code=NO_ERROR"), "{frames}");
    assert!(!frames.contains("REFUSED_STREAM"), "{frames}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_generators_count_what_the_gauge_counts() {
    let gauge = PressureGauge::new(2);
    let address = serve(&gauge).await;
    let url = format!("http://{address}/");
    let before = gauge.snapshot();
    let text = run("hey", &["-n", "2000", "-c", "50", &url], b"").await;
    let count = |status: &str| -> u64 {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(&format!("[{status}]")));
        line.map_or(0, |line| line.trim().trim_end_matches(" responses").parse().unwrap())
    };
    let after = gauge.snapshot();
    assert_eq!(count("200"), after.admitted - before.admitted, "{text}");
    assert_eq!(count("429"), after.refused.total() - before.refused.total(), "{text}");
    assert_eq!(count("200") + count("429"), 2000, "{text}");

    for protocol in [&["--h1"][..], &["-m", "20"]] {
        let before = gauge.snapshot();
        let arguments = [&["-n", "2000", "-c", "10"], protocol, &[&url]].concat();
        let text = run("h2load", &arguments, b"").await;
        let line = text.lines().find_map(|line| line.strip_prefix("status codes: ")).unwrap();
        let counts: Vec<u64> =
            line.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect();
        let after = gauge.snapshot();
        let expected =
            [after.admitted - before.admitted, 0, after.refused.total() - before.refused.total(), 0];
        assert_eq!(counts, expected, "{text}");
        assert_eq!(counts.iter().sum::<u64>(), 2000, "{text}");
        assert!(text.contains(" 0 errored, 0 timeout"), "a refusal is no broken stream: {text}");
    }
    let snapshot = gauge.snapshot();
    assert!(snapshot.in_flight == 0 && snapshot.admitted > 0 && snapshot.refused.total() > 0, "{snapshot:?}");
}

/// tonic's health service behind a gauge, and as slow as this.
async fn serve_grpc(gauge: &PressureGauge, takes: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (_reporter, service) = health_reporter();
    let server = Server::builder()
        .layer(BackpressureLayer::new(gauge.clone()))
        .layer(MapFutureLayer::new(move |answer| async move {
            tokio::time::sleep(takes).await;
            answer.await
        }))
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    address
}

/// Python with grpcio, where `cargo xtask test --install` puts it.
fn python() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("foreign-python").join("bin/python")
}

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/client.py");

#[tokio::test]
async fn grpcio_hears_unavailable_with_the_time_to_come_back() {
    let gauge = PressureGauge::new(1);
    let address = serve_grpc(&gauge, Duration::ZERO).await;
    let answer = run(python(), &[CLIENT, &address, "once"], b"").await;
    assert!(answer.starts_with("OK ") && answer.ends_with(" none\n"), "{answer}");
    let _held = gauge.try_acquire().unwrap();
    let answer = run(python(), &[CLIENT, &address, "once"], b"").await;
    let words: Vec<&str> = answer.split_whitespace().collect();
    assert_eq!(words[0], "UNAVAILABLE", "{answer}");
    assert!((1..=1_000).contains(&words[2].parse::<u32>().unwrap()), "{answer}");
    let snapshot = gauge.snapshot();
    assert_eq!(
        (snapshot.cancelled, snapshot.ignored, snapshot.overloaded),
        (0, 0, 0),
        "the trailers told: {snapshot:?}"
    );
}

/// Thirty calls of 50 ms at once, two of which may run: 0.75 s of work, which used to take 8.8 s.
#[tokio::test]
async fn grpcios_retry_policy_comes_back_when_it_was_told_to_and_finds_a_place() {
    let gauge = PressureGauge::new(2);
    let address = serve_grpc(&gauge, Duration::from_millis(50)).await;
    let answer = run(python(), &[CLIENT, &address, "rush"], b"").await;
    let (served, took) = answer.trim().split_once(' ').unwrap();
    let snapshot = gauge.snapshot();
    assert_eq!((served, snapshot.admitted), ("30", 31), "{answer}");
    // Each refusal is a word, and 28 calls found no place when they came first.
    let came_back = snapshot.refused.total();
    let kept = 28.0 / came_back as f64;
    println!("kept {kept:.2} of the words to {came_back}, {took} s");
    assert!(kept >= 0.8, "{came_back} refused for 28 that had no place: {took} s");
    assert!(took.parse::<f64>().unwrap() < 4.0, "{answer}");
}
