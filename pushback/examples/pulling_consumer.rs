//! Backpressure without HTTP: a consumer that pulls. It takes a permit, *then* the next message, so that what it cannot
//! do yet stays in the bounded channel, and the producer feels it there.
//!
//! The other order, message first, would take messages out of the channel that nobody works on: the channel looks
//! empty, the producer goes on, and the memory fills.
//!
//! `cargo run --example pulling_consumer`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pushback::{Line, PressureGauge};
use tokio::sync::mpsc;

const MESSAGES: u32 = 1_000;
const CHANNEL: u32 = 16;
const LIMIT: u32 = 4;

#[tokio::main]
async fn main() {
    let (producer, mut inbox) = mpsc::channel::<u32>(CHANNEL as usize);
    // The consumer is the only one in line, and has all the time that the work takes.
    let line = Line::fifo(1).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().name("consumer").limit(LIMIT).line(line).build();
    let gauge = gauge.expect("the settings are right");
    let sent = Arc::new(AtomicU32::new(0));
    let done = Arc::new(AtomicU32::new(0));

    let producing = tokio::spawn({
        let sent = sent.clone();
        async move {
            for message in 0..MESSAGES {
                // Waits while the channel is full: this is where the producer feels the consumer.
                producer.send(message).await.expect("the consumer is there");
                sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    });

    let mut furthest_ahead = 0;
    loop {
        let permit = gauge.acquire().await.expect("the gauge is open and its line has room");
        let Some(_message) = inbox.recv().await else { break };
        let ahead = sent.load(Ordering::SeqCst).saturating_sub(done.load(Ordering::SeqCst));
        furthest_ahead = furthest_ahead.max(ahead);
        let done = done.clone();
        tokio::spawn(async move {
            tokio::task::yield_now().await; // the work
            done.fetch_add(1, Ordering::SeqCst);
            drop(permit);
        });
    }
    gauge.drain().await;
    producing.await.expect("the producer does not panic");

    println!("{MESSAGES} messages; the producer was never more than {furthest_ahead} ahead");
    assert_eq!(done.load(Ordering::SeqCst), MESSAGES);
    // In the channel, in flight, and one between the two counters.
    assert!(furthest_ahead <= CHANNEL + LIMIT + 1);
}

#[test]
fn the_example_runs() {
    main();
}
