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

#[tokio::test]
async fn an_answer_over_http_2_is_as_strictly_read_as_a_request() {
    let proxy = Proxy::start(&h2c(), &[]);
    let garbage = Some("pushback; error=http_protocol_error");
    for (path, status, proxy_status) in
        [("/plain", 200, None), ("/blank", 502, garbage), ("/large", 200, None)]
    {
        let answer = proxy.get(path);
        assert_eq!((answer.status, answer.field("proxy-status")), (status, proxy_status), "{path}");
    }
    assert!(ask(&proxy, "/blank-trailer").await.is_err(), "a malformed trailer goes on as no whole answer");
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
        "/blank" => response.header("x", "gold "),
        "/large" => response.header("x", "y".repeat(100 << 10)),
        _ => response,
    };
    if request.uri().path() == "/blank-trailer" {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("1 "))]);
        let body = Full::from("ok").with_trailers(ready(Some(Ok(trailers))));
        return Ok(response.body(body.boxed()).unwrap());
    }
    Ok(response.body(Full::from("ok").boxed()).unwrap())
}
