//! One task makes the frames that all viewers of a dashboard get, as long as there are any.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{Gauges, Routes, frame};
use crate::{
    clock::{Clock, SystemClock},
    gauge::PressureGauge,
};

/// Often enough to see a burst come and go; each costs a snapshot of each gauge.
const PERIOD: Duration = Duration::from_millis(250);

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

    /// The frames from now on.
    pub(super) fn subscribe(self: &Arc<Self>) -> watch::Receiver<Frame> {
        let mut is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = self.frames.subscribe();
        if !*is_running {
            *is_running = true;
            tokio::spawn(Arc::clone(self).run());
        }
        frames
    }

    async fn run(self: Arc<Self>) {
        let began = SystemClock.now();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let gauges = (self.gauges)();
            if self.is_left() {
                gauges.iter().for_each(|gauge| gauge.watch().end());
                return;
            }
            gauges.iter().for_each(|gauge| gauge.watch().begin());
            let now = SystemClock.now();
            let text = frame::text(now.saturating_duration_since(began), &gauges, &(self.routes)());
            let frame = Frame {
                event: format!("data: {text}\n\n").into(),
                is_last: !gauges.is_empty() && gauges.iter().all(is_drained),
            };
            self.frames.send_replace(frame);
        }
    }

    /// Whether nobody looks any more; then the next who comes begins anew.
    fn is_left(&self) -> bool {
        let mut is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        *is_running = self.frames.receiver_count() > 0;
        !*is_running
    }
}

fn is_drained(gauge: &PressureGauge) -> bool {
    let now = gauge.snapshot();
    now.closed && now.in_flight == 0 && now.dry_run.is_none_or(|dry_run| dry_run.phantoms == 0)
}
