//! A gRPC service behind a gauge. tonic's own health service stands for yours: its code is generated already.
//!
//! `cargo run --example tonic --features http`

use std::error::Error;

use pushback::{PressureGauge, http::BackpressureLayer};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tonic::{
    Code, Request, Response, Status,
    codegen::BoxStream,
    transport::{Channel, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};

/// What stands for a service that is busy until it is told to go on.
struct Busy {
    go_on: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Health for Busy {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        self.go_on.clone().wait_for(|go_on| *go_on).await.map_err(|_| Status::aborted("it was given up"))?;
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches here"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let (go_on, busy) = watch::channel(false);

    let gauge = PressureGauge::new(2);
    let server = Server::builder()
        .layer(BackpressureLayer::new(gauge.clone())) // one limit for the server, not for each connection
        .add_service(HealthServer::new(Busy { go_on: busy }))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);

    let channel = Channel::from_shared(address)?.connect().await?;
    let mut calls = JoinSet::new();
    for _ in 0..5 {
        let mut client = HealthClient::new(channel.clone());
        calls.spawn(async move { client.check(HealthCheckRequest::default()).await });
    }
    // Three are refused while the service is busy.
    for _ in 0..3 {
        let refused = calls.join_next().await.expect("five calls")?.expect_err("it is busy");
        assert_eq!(refused.code(), Code::Unavailable);
        let pushback = refused.metadata().get("grpc-retry-pushback-ms").expect("says when to come back");
        println!("refused: {}, come back in {} ms", refused.message(), pushback.to_str()?);
    }
    go_on.send_replace(true);
    let served = calls.join_all().await;
    assert!(served.iter().all(Result::is_ok), "{served:?}");
    println!("served: {}; {:?}", served.len(), gauge.snapshot());
    Ok(())
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
