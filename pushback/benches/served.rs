//! An axum service with and without limits, for wrk to ask: `cargo xtask bench layer` does.
//!
//! Arguments: what to serve. It prints its address, serves until its standard input ends, and then prints the CPU time that it
//! took, in clock ticks of the system.

use std::{env, fs, io};

use axum::{BoxError, Router, error_handling::HandleErrorLayer, routing::get};
use http::StatusCode;
use pushback::{PressureGauge, http::BackpressureLayer};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer};

/// Above what one load generator has in flight.
const AMPLE: u32 = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let Some(what) = env::args().skip(1).find(|argument| argument != "--bench") else {
        println!("say what to serve (plain, pushback, tower, pushback-refusing, tower-refusing)");
        return Ok(());
    };
    let app = Router::new().route("/", get(async || "done"));
    let app = match what.as_str() {
        "plain" => app,
        "pushback" => app.layer(BackpressureLayer::new(PressureGauge::new(AMPLE))),
        "pushback-refusing" => app.layer(BackpressureLayer::new(PressureGauge::new(0))),
        "tower" => by_tower(app, AMPLE as usize),
        "tower-refusing" => by_tower(app, 0),
        _ => return Err(io::Error::other(format!("there is no '{what}'"))),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    server.abort();
    println!("{}", cpu_ticks()?);
    Ok(())
}

/// The usual recipe, with one limit for all connections.
fn by_tower(app: Router, limit: usize) -> Router {
    let shed =
        HandleErrorLayer::new(async |_: BoxError| (StatusCode::TOO_MANY_REQUESTS, "Too many requests"));
    app.layer(ServiceBuilder::new().layer(shed).load_shed().layer(GlobalConcurrencyLimitLayer::new(limit)))
}

/// User and system time of this process so far (proc(5), fields 14 and 15 of `stat`).
fn cpu_ticks() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Ok(ticks.sum())
}
