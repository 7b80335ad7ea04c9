//! HTTP/2 to the service, as gRPC needs it.

use std::{
    io::{BufRead, BufReader},
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

/// `grpc.mjs`, which ends with its standard input.
struct Grpc {
    child: Child,
    url: String,
}

impl Grpc {
    fn start() -> Self {
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/grpc.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
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
