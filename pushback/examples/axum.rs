//! An axum service with all that the layer offers: two gauges, priorities, a path that always passes, a cap on connections.
//!
//! `cargo run --example axum --features axum`, and then, on another terminal:
//!
//! ```sh
//! curl -i http://127.0.0.1:3000/request
//! hey -n 50 -c 50 http://127.0.0.1:3000/request
//! ```

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use pushback::{
    Arrival, Line, PressureGauge, Priority,
    http::{BackpressureLayer, Classify, Connections},
};
use tokio::net::TcpListener;

/// What stands for work.
async fn work() -> &'static str {
    tokio::time::sleep(Duration::from_millis(200)).await;
    "done\n"
}

fn app() -> Result<Router, Box<dyn Error>> {
    // Fails fast: 429 above ten.
    let quick = BackpressureLayer::new(PressureGauge::new(10));

    // Waits a little, the checkout before the report, which costs more.
    let gauge = PressureGauge::builder()
        .name("database")
        .limit(10)
        .line(Line::fifo(100).wait_at_most(Duration::from_millis(500)))
        .build()?;
    let classify = Classify::new().exempt(["/version"])?.arrival(|request| match request.uri.path() {
        "/checkout" => Arrival::new().priority(Priority::Critical),
        "/report" => Arrival::new().priority(Priority::Low).cost(5),
        _ => Arrival::new(),
    });
    let patient = BackpressureLayer::waiting(gauge).classify(classify);

    Ok(Router::new()
        .route("/checkout", get(work))
        .route("/report", get(work))
        .route("/version", get(async || "1\n"))
        .route_layer(patient)
        .route("/request", get(work).layer(quick)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let capped = Connections::at_most(1_000)?.listen(listener);
    // Probes come by a way of their own, which no crowd of connections can block.
    let probes = TcpListener::bind("127.0.0.1:3001").await?;
    println!("for probes: http://{}/healthz", probes.local_addr()?);
    let health = Router::new().route("/healthz", get(async || "alive\n"));
    tokio::try_join!(axum::serve(capped, app()?).into_future(), axum::serve(probes, health).into_future())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use tokio::task::JoinSet;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn of_fifteen_at_once_ten_are_served_and_five_refused() {
        let app = app().unwrap();
        let mut calls = JoinSet::new();
        for _ in 0..15 {
            calls.spawn(app.clone().oneshot(Request::get("/request").body(Body::empty()).unwrap()));
        }
        let statuses: Vec<StatusCode> =
            calls.join_all().await.into_iter().map(|answer| answer.unwrap().status()).collect();
        let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(StatusCode::OK), count(StatusCode::TOO_MANY_REQUESTS)), (10, 5));
    }
}
