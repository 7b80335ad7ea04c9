//! What is important is served first, where nobody waits: checkouts before reports.
//!
//! `cargo run --example priorities --features axum`, and then, on two other terminals:
//!
//! ```sh
//! pushback load 'http://127.0.0.1:3000/report' --rate 300 --duration 20s
//! pushback load 'http://127.0.0.1:3000/checkout' --rate 60 --duration 10s
//! ```
//!
//! There is work for 36 places, and there are 20. The checkouts need six of them and have 200 all along; of the reports, the others are
//! refused with 429.

use std::{error::Error, time::Duration};

use axum::{Router, routing::get};
use pushback::{
    Arrival, PressureGauge, Priority,
    http::{BackpressureLayer, Classify},
};
use tokio::net::TcpListener;

/// What stands for work.
async fn work() -> &'static str {
    tokio::time::sleep(Duration::from_millis(100)).await;
    "done\n"
}

fn app() -> Router {
    let classify = Classify::new().arrival(|request| match request.uri.path() {
        "/checkout" => Arrival::new().priority(Priority::Critical),
        _ => Arrival::new().priority(Priority::Low),
    });
    let layer = BackpressureLayer::new(PressureGauge::new(20)).classify(classify);
    Router::new().route("/checkout", get(work)).route("/report", get(work)).route_layer(layer)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app()).await?;
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
    async fn checkouts_are_served_while_reports_are_refused() {
        let (app, mut calls) = (app(), JoinSet::new());
        let mut schedule = tokio::time::interval(Duration::from_millis(10));
        for call in 0..300 {
            schedule.tick().await;
            // 300 reports a second, and 50 checkouts.
            for path in ["/report", "/report", "/report", "/checkout"]
                .into_iter()
                .take(3 + usize::from(call % 2 == 0))
            {
                let answer = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
                calls.spawn(async move { (path, answer.await.unwrap().status()) });
            }
        }
        let answers = calls.join_all().await;
        let refused = |wanted: &str| {
            let of = || answers.iter().filter(|(path, _)| *path == wanted);
            let refused = of().filter(|(_, status)| *status == StatusCode::TOO_MANY_REQUESTS);
            100 * refused.count() / of().count()
        };
        assert!(refused("/checkout") <= 10, "{} % of the checkouts", refused("/checkout"));
        assert!(refused("/report") >= 20, "{} % of the reports", refused("/report"));
    }
}
