//! HTTP/2 to the service, as gRPC needs it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::Proxy;

/// A gRPC service, which ends with its standard input.
struct Grpc {
    child: Child,
    url: String,
}

impl Grpc {
    /// By Node, which says what it gets.
    fn start() -> Self {
        Grpc::run(Command::new("node").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/grpc.mjs")))
    }

    /// By grpcio.
    fn start_grpcio() -> Self {
        Grpc::run(Command::new(python()).args([GRPCIO, "serve"]))
    }

    fn run(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`cargo xtask test --install` has installed it");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Grpc { child, url: format!("h2c://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for Grpc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const GRPCIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/grpcio.py");

/// Python with grpcio, where `cargo xtask test --install` puts it.
fn python() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("foreign-python").join("bin/python")
}

/// What grpcio's client hears.
fn hears(address: &str) -> Vec<String> {
    let client = Command::new(python()).args([GRPCIO, "call", address]).output().unwrap();
    let said = String::from_utf8(client.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn grpcio_talks_with_grpcio_through_the_proxy_both_ways_at_once() {
    let service = Grpc::start_grpcio();
    let proxy = Proxy::start(&service.url, &["--limit", "5"]);
    assert_eq!(hears(&proxy.address), ["HELLO", "NOT_FOUND no such thing", "100 OK"]);
    proxy.holds(0.0);
    let full = Proxy::start(&service.url, &["--limit", "0"]);
    let refused = hears(&full.address);
    assert!(refused.iter().all(|said| said.contains("UNAVAILABLE")) && refused.len() == 3, "{refused:?}");
    drop(service);
    assert_eq!(hears(&proxy.address)[0].split(' ').next(), Some("UNAVAILABLE"), "502 in gRPC's words");
    proxy.holds(0.0);
}

async fn call(address: &str) -> Response<Incoming> {
    let connection = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{address}/shop.Cart/Add"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::<Bytes>::from("12345"))
        .unwrap();
    client.send_request(request).await.unwrap()
}

#[tokio::test]
async fn a_grpc_call_goes_through_with_its_trailers_and_a_refusal_is_in_its_own_words() {
    let service = Grpc::start();
    let proxy = Proxy::start(&service.url, &["--limit", "1"]);
    let answer = call(&proxy.address).await;
    assert_eq!((answer.status(), answer.version()), (StatusCode::OK, hyper::Version::HTTP_2));
    let collected = answer.into_body().collect().await.unwrap();
    let trailers = collected.trailers().cloned().expect("trailers");
    assert_eq!(
        (trailers["grpc-status"].as_bytes(), trailers["te-was"].as_bytes()),
        (&b"0"[..], &b"trailers"[..])
    );
    assert_eq!(collected.to_bytes(), Bytes::from("POST /shop.Cart/Add 5"));

    let full = Proxy::start(&service.url, &["--limit", "0"]);
    let refused = call(&full.address).await;
    assert_eq!(refused.status(), StatusCode::OK, "gRPC tells the rest in its own field");
    assert_eq!(refused.headers()["grpc-status"], "14", "UNAVAILABLE");
    assert_eq!(refused.headers()["proxy-status"], "pushback; error=http_request_denied");
    proxy.holds(0.0);
}
