//! One task makes the frames that all viewers of a dashboard get, as long as there are any.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{Gauges, Routes, frame};
use crate::{
    clock::{Clock, SystemClock},
    gauge::PressureGauge,
    sync::{Mutex, MutexGuard, locked},
};

/// Often enough to see a burst come and go; each costs a snapshot of each gauge.
const PERIOD: Duration = Duration::from_millis(250);

/// More do not get in: whoever looks holds a connection for as long as he likes.
const VIEWERS_MAX: usize = 32;

pub(super) struct Feed {
    gauges: Arc<Gauges>,
    routes: Arc<Routes>,
    /// Only the newest is kept: whoever reads slowly misses some.
    frames: watch::Sender<Frame>,
    is_running: Mutex<bool>,
}

/// What all viewers get next.
#[derive(Clone, Default)]
pub(super) struct Frame {
    /// As server-sent events are written.
    pub(super) event: Bytes,
    pub(super) is_last: bool,
}

impl Feed {
    pub(super) fn new(gauges: Arc<Gauges>, routes: Arc<Routes>) -> Arc<Self> {
        Arc::new(Feed { gauges, routes, frames: watch::Sender::default(), is_running: Mutex::new(false) })
    }

    /// The frames from now on, unless there are viewers enough.
    pub(super) fn subscribe(self: &Arc<Self>) -> Option<watch::Receiver<Frame>> {
        let mut is_running = self.is_running();
        if self.frames.receiver_count() >= VIEWERS_MAX {
            return None;
        }
        let frames = self.frames.subscribe();
        if !*is_running {
            *is_running = true;
            tokio::spawn(Running::new(self).run());
        }
        Some(frames)
    }

    fn is_running(&self) -> MutexGuard<'_, bool> {
        locked(&self.is_running)
    }
}

/// The task that makes frames. However it ends, by a panic of others' code or with its runtime, the next viewer begins it anew.
struct Running {
    feed: Arc<Feed>,
    watched: Vec<Watched>,
    /// It ended because nobody looks any more.
    is_done: bool,
}

impl Running {
    fn new(feed: &Arc<Feed>) -> Self {
        Running { feed: Arc::clone(feed), watched: Vec::new(), is_done: false }
    }

    async fn run(mut self) {
        let began = SystemClock.now();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut was_drained = None;
        loop {
            ticks.tick().await;
            if self.is_left() {
                self.is_done = true;
                return;
            }
            let gauges = (self.feed.gauges)();
            self.watch(&gauges);
            let passed = SystemClock.now().saturating_duration_since(began);
            let text = frame::text(passed, &gauges, &(self.feed.routes)());
            // The end of a drain is the end of the stream; who looks at what was drained before may go on.
            let is_drained = !gauges.is_empty() && gauges.iter().all(is_drained);
            let is_last = is_drained && was_drained == Some(false);
            was_drained = Some(is_drained);
            self.feed.frames.send_replace(Frame { event: format!("data: {text}\n\n").into(), is_last });
        }
    }

    /// Whether nobody looks any more; then the next who comes begins anew.
    fn is_left(&self) -> bool {
        let mut is_running = self.feed.is_running();
        *is_running = self.feed.frames.receiver_count() > 0;
        !*is_running
    }

    /// Watches these gauges, and no others any more.
    fn watch(&mut self, gauges: &[PressureGauge]) {
        let is_same = |(watched, gauge): (&Watched, &PressureGauge)| watched.0.is(gauge);
        if self.watched.len() != gauges.len() || !self.watched.iter().zip(gauges).all(is_same) {
            // The new ones first, so that whoever stays is watched all the time.
            self.watched = gauges.iter().map(Watched::new).collect();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        *self.feed.is_running() = false;
        // So that those who look come back, and begin it.
        self.feed.frames.send_replace(Frame { event: Bytes::new(), is_last: true });
    }
}

/// A gauge that notes what is asked for here, as long as this lives.
struct Watched(PressureGauge);

impl Watched {
    fn new(gauge: &PressureGauge) -> Self {
        gauge.notebook().begin();
        Watched(gauge.clone())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.notebook().end();
    }
}

fn is_drained(gauge: &PressureGauge) -> bool {
    let now = gauge.snapshot();
    now.closed && now.in_flight == 0 && now.dry_run.is_none_or(|dry_run| dry_run.phantoms == 0)
}
