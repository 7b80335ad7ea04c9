//! The service of the demo: so many workers, each of which takes so long for a request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    routing::{MethodRouter, get},
};
use pushback::{
    Clock, PressureGauge, SystemClock,
    http::{BackpressureLayer, Hold, Place},
};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::sleep,
};

use super::sharing::Sharing;

/// What the service does for a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub(super) time: Duration,
    pub(super) workers: usize,
    pub(super) beyond: Beyond,
}

/// What becomes of requests beyond those that there are workers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Beyond {
    /// All share the workers, and get slower in proportion, as threads on a processor do; whoever leaves is abandoned
    Share,
    /// They wait until a worker is free; what was begun is finished, also for callers who have left
    Queue,
}

impl Beyond {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Beyond::Share => "share",
            Beyond::Queue => "queue",
        }
    }
}

impl Work {
    /// How many requests it can do a second.
    pub(super) fn capacity(self) -> f64 {
        self.workers as f64 / self.time.as_secs_f64()
    }
}

pub(super) fn router(gauge: &PressureGauge, work: Work) -> Router {
    // On the route and not on the whole router, or unknown paths and methods would be refused too.
    let layer = BackpressureLayer::new(gauge.clone());
    let route = match work.beyond {
        Beyond::Share => sharing(work).route_layer(layer),
        Beyond::Queue => queueing(work).route_layer(layer.hold(Hold::Task)),
    };
    Router::new().route("/request", route)
}

fn sharing(work: Work) -> MethodRouter {
    let workers = Workers::of(work);
    get(move || {
        let workers = Arc::clone(&workers);
        async move {
            workers.work().await;
            "done"
        }
    })
}

fn queueing(work: Work) -> MethodRouter {
    let workers = Arc::new(Semaphore::new(work.workers));
    get(move |Extension(place): Extension<Place>| {
        let workers = Arc::clone(&workers);
        async move {
            // The semaphore is never closed, so this waits and nothing else.
            let worker = workers.acquire_owned().await;
            // What is begun is finished, and keeps its place, though its caller may have left: most services do not notice.
            let work = tokio::spawn(async move {
                sleep(work.time).await;
                drop((worker, place));
            });
            let _ = work.await;
            "done"
        }
    })
}

/// Workers that requests share.
struct Workers {
    sharing: Mutex<Sharing<oneshot::Sender<()>>>,
    /// Somebody has come or left, so that somebody else is next, or sooner or later.
    changed: Notify,
}

impl Workers {
    fn of(work: Work) -> Arc<Self> {
        let sharing = Sharing::new(work.workers, work.time, SystemClock.now());
        let workers = Arc::new(Workers { sharing: Mutex::new(sharing), changed: Notify::new() });
        tokio::spawn(Arc::clone(&workers).tell_in_time());
        workers
    }

    /// Ends when the work of one request is done. Whoever drops it before leaves, and the work is abandoned: went it on for callers who are
    /// gone, it would keep the workers from those who still wait.
    async fn work(&self) {
        let (done, is_done) = oneshot::channel();
        let number = self.locked().begin(SystemClock.now(), done);
        let _present = Present { workers: self, number };
        self.changed.notify_one();
        let _ = is_done.await;
    }

    /// Tells each who is done, when it is.
    async fn tell_in_time(self: Arc<Self>) {
        loop {
            let (done, next) = {
                let mut sharing = self.locked();
                (sharing.done(SystemClock.now()), sharing.next_in())
            };
            for request in done {
                // Whoever has left this very moment need not hear it.
                let _ = request.send(());
            }
            match next {
                Some(time) => tokio::select! {
                    () = sleep(time) => (),
                    () = self.changed.notified() => (),
                },
                None => self.changed.notified().await,
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Sharing<oneshot::Sender<()>>> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that workers work for, as long as somebody waits for it.
struct Present<'a> {
    workers: &'a Workers,
    number: u64,
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.workers.locked().leave(SystemClock.now(), self.number);
        self.workers.changed.notify_one();
    }
}
