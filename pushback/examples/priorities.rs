//! What is important is served first, where nobody waits: checkouts before reports.
//!
//! `cargo run --release --example priorities --features axum`, and then, on two other terminals:
//!
//! ```sh
//! pushback load http://127.0.0.1:3000/report --rate 60 --duration 20s --slo 1s --plot reports.svg
//! pushback load http://127.0.0.1:3000/checkout --rate 100 --duration 20s --slo 1s --plot checkouts.svg
//! ```
//!
//! The shop does 120 calls a second, and 160 come. Once `auto` has found the limit, which takes some
//! seconds, hardly any of the checkouts is refused, and two of three reports are, with 429. The
//! pictures show each of them.
//!
//! With other settings: `cargo run --release --example priorities --features axum -- 16 20 127.0.0.1:3001` has a limit of 16
//! instead of `auto`, lets twenty wait in line, and listens there.

use std::{env, error::Error, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use pushback::{
    Arrival, Line, PressureGauge, Priority,
    http::{BackpressureLayer, Classify},
    limit::{Auto, Limit},
};
use tokio::{net::TcpListener, sync::Semaphore};

/// What the shop can do: so many calls at once, each for so long.
const WORKERS: usize = 8;
const WORK: Duration = Duration::from_micros(66_667);

/// What stands for work.
async fn work(State(workers): State<Arc<Semaphore>>) -> &'static str {
    let _worker = workers.acquire().await;
    tokio::time::sleep(WORK).await;
    "done\n"
}

fn app(limit: Box<dyn Limit>, line: u32) -> Result<Router, Box<dyn Error>> {
    let gauge = PressureGauge::builder().name("shop").limit(limit).line(Line::codel(line)).build()?;
    let classify = Classify::new().arrival(|request| match request.uri.path() {
        "/checkout" => Arrival::new().priority(Priority::Critical),
        "/browse" => Arrival::new().priority(Priority::High),
        "/report" => Arrival::new().priority(Priority::Low),
        _ => Arrival::new(),
    });
    let layer = if line == 0 { BackpressureLayer::new(gauge) } else { BackpressureLayer::waiting(gauge) };
    let work = ["/checkout", "/browse", "/search", "/report"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, get(work)));
    let workers = Arc::new(Semaphore::new(WORKERS));
    Ok(work.route_layer(layer.classify(classify)).with_state(workers))
}

fn limit(text: &str) -> Result<Box<dyn Limit>, Box<dyn Error>> {
    Ok(if text == "auto" { Box::new(Auto::new()) } else { Box::new(number("the limit", text)?) })
}

fn number(what: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{what} is {text:?}; allowed: a whole number"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |index: usize, usual| arguments.get(index).map_or(usual, String::as_str);
    let app = app(limit(argument(0, "auto"))?, number("the line", argument(1, "0"))?)?;
    let listener = TcpListener::bind(argument(2, "127.0.0.1:3000")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
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
        let (app, mut calls) = (app(limit("16").unwrap(), 0).unwrap(), JoinSet::new());
        let mut schedule = tokio::time::interval(Duration::from_millis(20));
        for call in 0..200 {
            schedule.tick().await;
            // 150 reports a second, and 50 checkouts.
            for path in ["/report", "/report", "/report", "/checkout"] {
                let answer = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
                calls.spawn(async move { (call, path, answer.await.unwrap().status()) });
            }
        }
        let answers = calls.join_all().await;
        let refused = |wanted: &str| {
            let of = || answers.iter().filter(|(call, path, _)| *path == wanted && *call >= 50);
            let refused = of().filter(|(_, _, status)| *status == StatusCode::TOO_MANY_REQUESTS);
            100 * refused.count() / of().count()
        };
        assert!(refused("/checkout") <= 10, "{} % of the checkouts", refused("/checkout"));
        assert!(refused("/report") >= 20, "{} % of the reports", refused("/report"));
    }
}
