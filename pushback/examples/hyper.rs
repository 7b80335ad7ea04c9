//! The layer in an accept loop of one's own with hyper: a cap on connections, a bound on slow headers, a clean end.
//!
//! `cargo run --example hyper --features http`, and then, on another terminal: `curl -i http://127.0.0.1:3000/`

use std::{
    convert::Infallible,
    error::Error,
    io::{Write, stderr},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use pushback::{
    PressureGauge,
    http::{BackpressureLayer, Connections, RequestBody},
};
use tokio::{net::TcpListener, sync::oneshot};
use tower::{Layer, service_fn};

/// The service: all that is new to it is the type of its request's body, which ends when the sender stalls.
async fn work(_request: Request<RequestBody<Incoming>>) -> Result<Response<Full<Bytes>>, Infallible> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(Response::new(Full::from("done\n")))
}

/// Unlike `eprintln!`, which panics where standard error is closed, and would end the loop.
fn log(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}

/// Serves until it is told to stop, then lets what runs come to its end.
async fn serve(
    listener: TcpListener,
    gauge: PressureGauge,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), Box<dyn Error>> {
    let service = BackpressureLayer::new(gauge.clone()).layer(service_fn(work));
    let connections = Connections::at_most(1_000)?;
    let mut server = auto::Builder::new(TokioExecutor::new());
    // Idle connections are closed by the cap; this is for those that send a byte now and then.
    server.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let next = connections.next().await; // pauses at the cap
            listener.accept().await.map(|(stream, _peer)| next.hold(stream))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut stop => break,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, perhaps, or the client has gone: the server goes on.
                log(&format!("cannot accept: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                log(&format!("a connection broke: {error}"));
            }
        });
    }
    drop(listener);
    gauge.drain().await;
    graceful.shutdown().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let (_forever, stop) = oneshot::channel();
    serve(listener, PressureGauge::new(10), stop).await
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        task::JoinSet,
    };

    use super::*;

    #[tokio::test]
    async fn ten_connections_at_a_limit_of_three_are_served_or_refused_and_the_end_is_clean() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gauge = PressureGauge::new(3);
        let (stop, stopped) = oneshot::channel();
        let mut clients = JoinSet::new();
        for _ in 0..10 {
            clients.spawn(async move {
                let mut connection = TcpStream::connect(address).await.unwrap();
                connection
                    .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                let mut answer = String::new();
                connection.read_to_string(&mut answer).await.unwrap();
                answer
            });
        }
        let asked = async {
            let answers = clients.join_all().await;
            stop.send(()).unwrap();
            answers
        };
        let (answers, ended) = tokio::join!(asked, serve(listener, gauge.clone(), stopped));
        ended.unwrap();
        let count = |start| answers.iter().filter(|answer| answer.starts_with(start)).count() as u64;
        let snapshot = gauge.snapshot();
        assert_eq!(count("HTTP/1.1 200 OK"), snapshot.admitted);
        assert_eq!(count("HTTP/1.1 429 Too Many Requests"), snapshot.refused.total());
        assert!(snapshot.admitted >= 3 && snapshot.admitted + snapshot.refused.total() == 10, "{snapshot:?}");
    }
}
