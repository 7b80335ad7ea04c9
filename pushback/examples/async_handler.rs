//! An asynchronous handler in both designs: refuse at once, or wait a little in a bounded line.
//!
//! `cargo run --example async_handler`

use std::time::Duration;

use pushback::{Line, PressureGauge, Rejected};
use tokio::{sync::watch, task::JoinSet};

/// What stands for a database that answers when it likes.
async fn query(mut answers: watch::Receiver<bool>) -> &'static str {
    answers.wait_for(|answers| *answers).await.expect("the database is there");
    "200 done"
}

/// Fails fast: the work is not even begun above the limit.
async fn handler(gauge: PressureGauge, database: watch::Receiver<bool>) -> &'static str {
    match gauge.process_async(async || query(database).await).await {
        Ok(answer) => answer,
        Err(_) => "429 Too many requests",
    }
}

/// Waits in line for at most five seconds, then gives up.
async fn patient_handler(
    gauge: PressureGauge,
    database: watch::Receiver<bool>,
) -> Result<&'static str, Rejected> {
    let _permit = gauge.acquire().await?;
    Ok(query(database).await)
}

#[tokio::main]
async fn main() {
    let (database, answers) = watch::channel(false);

    let gauge = PressureGauge::builder().name("database").limit(3).build().expect("the settings are right");
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(handler(gauge.clone(), answers.clone()));
    }
    // Five are refused while the database has not answered anybody.
    for _ in 0..5 {
        let answer = calls.join_next().await.expect("eight calls").expect("no call panics");
        assert_eq!(answer, "429 Too many requests");
    }
    database.send_replace(true);
    let served = calls.join_all().await;
    assert_eq!(served, ["200 done"; 3]);
    println!("failing fast: {} served, {} refused", served.len(), gauge.snapshot().refused.total());

    let line = Line::fifo(5).wait_at_most(Duration::from_secs(5));
    let gauge =
        PressureGauge::builder().name("database").limit(3).line(line).build().expect("they are right");
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(patient_handler(gauge.clone(), answers.clone()));
    }
    let served = calls.join_all().await.into_iter().filter(Result::is_ok).count();
    println!("waiting in line: {served} served");
    assert_eq!(served, 8);
}

#[test]
fn the_example_runs() {
    main();
}
