//! Clients that wait for an answer for longer than a connection may be idle.

use http_body_util::BodyExt;
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::support::{Proxy, Service, head, read, request, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_time_out_allows_keeps_its_connection_however_short_that_may_be_idle() {
    let service = Service::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pushback.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nadmin.listen = \"127.0.0.1:0\"\nclients.idle = \"1s\"\n\
         [[routes]]\nname = \"all\"\ntimeout = \"10s\"\nexempt = \"/exempt\"\nstall = \"1s\"\nto = \"{}\"\n",
        service.url()
    );
    std::fs::write(&file, text).unwrap();
    let proxy = Proxy::start_with(&["--config", file.to_str().unwrap()], |_| ());

    let connection = TcpStream::connect(&proxy.address).await.unwrap();
    let (client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    let over_http2 = ["/?ms=3000", "/late-body?ms=3000"].map(|path| {
        let (mut client, url) = (client.clone(), format!("http://{}{path}", proxy.address));
        tokio::spawn(async move {
            let answer = client.send_request(Request::get(url).body(String::new()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            answer.into_body().collect().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        })
    });
    let address = proxy.address.clone();
    let over_http1 = tokio::task::spawn_blocking(move || {
        let mut waits = ["/?ms=3000", "/exempt?ms=3000"].map(|path| send(&address, &request(&address, path)));
        let mut late = send(&address, &request(&address, "/late-body?ms=3000"));
        for connection in &mut waits {
            assert_eq!(read(connection).status, 200);
        }
        assert!(head(&mut late).starts_with("http/1.1 200"));
        let mut body = [0; 4];
        std::io::Read::read_exact(&mut late, &mut body).unwrap();
        // Whoever sends no body is waited for no longer than he may be, though no gauge looks after him.
        let half = "POST /exempt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab";
        assert_eq!(read(&mut send(&address, half)).status, 408);
    });
    over_http1.await.unwrap();
    for call in over_http2 {
        call.await.unwrap();
    }
}
