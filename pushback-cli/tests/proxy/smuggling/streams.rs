//! What services answer where HTTP/2 is on one side, which no vector can say.

use std::{convert::Infallible, future::ready};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http2,
    header::HeaderValue,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::service::{Script, Service};
use crate::support::Proxy;

/// h2 resets streams of ours whose trailers it does not allow.
#[tokio::test]
async fn trailers_of_a_service_that_may_not_be_do_not_reset_a_client_s_stream() {
    let answer =
        b"HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\
                   Connection: close\r\nKeep-Alive: 5\r\nX-Secret: 1\r\nSet-Cookie: a=b\r\nX-Sum: 1\r\n\r\n";
    let service = Service::start(&Script { answer: answer.to_vec(), ends: false });
    let proxy = Proxy::start(&format!("http://{}", service.address), &[]);
    let answer = ask(&proxy, "/").await.expect("the stream is not reset");
    let trailers = answer.trailers().expect("there are trailers");
    assert_eq!(
        trailers.iter().collect::<Vec<_>>(),
        [(&"x-sum".parse().unwrap(), &HeaderValue::from_static("1"))]
    );
    drop(proxy);
    service.end();
}

/// gRPC does not escape the blank at a message's end, and an HTTP/2 client of ours would have to take it for malformed.
#[tokio::test]
async fn blanks_around_what_a_service_says_over_http_2_end_here_and_large_heads_go_on() {
    let proxy = Proxy::start(&h2c(), &[]);
    let blank = proxy.get("/blank");
    assert_eq!((blank.status, blank.field("x")), (200, Some("gold")), "{}", blank.head);
    let trailers = ask(&proxy, "/blank-trailer").await.unwrap().trailers().cloned();
    assert_eq!(trailers.unwrap()["grpc-message"], "not found:");
    assert_eq!(proxy.get("/large").field("x").map(str::len), Some(100 << 10));
    proxy.holds(0.0);
}

/// Asks over HTTP/2, and reads the answer to its end.
async fn ask(proxy: &Proxy, path: &str) -> Result<http_body_util::Collected<Bytes>, hyper::Error> {
    let connection = TokioIo::new(TcpStream::connect(&proxy.address).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), connection).await?;
    tokio::spawn(connection);
    let asked = Request::get(format!("http://{}{path}", proxy.address)).header("te", "trailers");
    let answer = client.send_request(asked.body(Full::<Bytes>::default()).unwrap()).await?;
    assert_eq!(answer.status(), 200);
    answer.into_body().collect().await
}

/// A service over HTTP/2 that answers badly; says where it is.
fn h2c() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("h2c://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
    });
    url
}

async fn answer(request: Request<Incoming>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let response = Response::builder();
    let response = match request.uri().path() {
        "/blank" => response.header("x", " gold\t"),
        "/large" => response.header("x", "y".repeat(100 << 10)),
        _ => response,
    };
    if request.uri().path() == "/blank-trailer" {
        let trailers = HeaderMap::from_iter([(
            "grpc-message".parse().unwrap(),
            HeaderValue::from_static("not found: "),
        )]);
        let body = Full::from("ok").with_trailers(ready(Some(Ok(trailers))));
        return Ok(response.body(body.boxed()).unwrap());
    }
    Ok(response.body(Full::from("ok").boxed()).unwrap())
}
