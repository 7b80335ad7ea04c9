//! The service of the demo: so many workers, each of which takes so long for a request.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router, routing::get};
use pushback::{
    PressureGauge,
    http::{BackpressureLayer, Hold, Place},
};
use tokio::sync::Semaphore;

/// What the service does for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) time: Duration,
    pub(super) workers: usize,
}

impl Work {
    /// How many requests it can do a second.
    pub(super) fn capacity(self) -> f64 {
        self.workers as f64 / self.time.as_secs_f64()
    }
}

pub(super) fn router(gauge: &PressureGauge, work: Work) -> Router {
    let workers = Arc::new(Semaphore::new(work.workers));
    let do_thing_that_should_be_limited = move |Extension(place): Extension<Place>| {
        let workers = Arc::clone(&workers);
        async move {
            // The semaphore is never closed, so this waits and nothing else.
            let worker = workers.acquire_owned().await;
            // What is begun is finished, and keeps its place, though its caller may have left: most services do not notice.
            let work = tokio::spawn(async move {
                tokio::time::sleep(work.time).await;
                drop((worker, place));
            });
            let _ = work.await;
            "done"
        }
    };
    let layer = BackpressureLayer::new(gauge.clone()).hold(Hold::Task);
    // On the route and not on the whole router, or unknown paths and methods would be refused too.
    Router::new().route("/request", get(do_thing_that_should_be_limited).route_layer(layer))
}
