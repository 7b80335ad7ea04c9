//! The gauge as metrics, again and again, on any executor.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{PressureGauge, core::Core};
use crate::{
    clock::{Alarm, Ring},
    sync::{Mutex, locked},
};

/// More often is a mistake that would cost a core.
const PERIOD_MIN: Duration = Duration::from_millis(10);
/// Nobody scrapes less often.
const PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);

/// The future of [`PressureGauge::publish_metrics_every`].
///
/// It publishes when it is first polled, and then once a period, by the gauge's own clock.
#[derive(Debug)]
#[must_use = "nothing is published unless the future is polled, so spawn it"]
pub struct PublishMetrics {
    core: Weak<Core>,
    period: Duration,
    next: Option<Instant>,
    bell: Arc<Bell>,
}

impl PressureGauge {
    /// Publishes the gauge's figures to the [`metrics`] facade, now and once a period, until the
    /// gauge is gone. A future to spawn.
    ///
    /// This is the usual way. [`publish_metrics`](Self::publish_metrics) is for a loop of your own,
    /// or for a page that asks for the figures when it is asked.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # let _entered = runtime.enter();
    /// let gauge = pushback::PressureGauge::new(10);
    /// tokio::spawn(gauge.publish_metrics_every(std::time::Duration::from_secs(5)));
    /// ```
    ///
    /// `period` is 10 ms to 24 h; what is outside counts as the nearest. Choose less than the time
    /// between two scrapes. The future needs no runtime's timer and does not keep the gauge alive.
    /// It ends within a period after the last clone is gone, or at once if the gauge's clock
    /// panics.
    pub fn publish_metrics_every(&self, period: Duration) -> PublishMetrics {
        PublishMetrics {
            core: Arc::downgrade(&self.core),
            period: period.clamp(PERIOD_MIN, PERIOD_MAX),
            next: None,
            bell: Arc::new(Bell(Mutex::new(None))),
        }
    }
}

impl Future for PublishMetrics {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(core) = self.core.upgrade() else { return Poll::Ready(()) };
        let before = locked(&self.bell.0).replace(cx.waker().clone());
        drop(before);
        let now = core.clock.now();
        let next = match self.next {
            Some(next) if now < next => next,
            _ => {
                PressureGauge { core: Arc::clone(&core) }.publish_metrics();
                now + self.period
            }
        };
        self.next = Some(next);
        // At each poll, for the alarm before may have rung early.
        let bell = Arc::downgrade(&self.bell) as Weak<dyn Ring>;
        if core.clock.ring_at(next, Alarm::new(bell, next)) { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Whom the clock rings up.
#[derive(Debug)]
struct Bell(Mutex<Option<Waker>>);

impl Ring for Bell {
    fn ring(self: Arc<Self>, _when: Instant) {
        let waker = locked(&self.0).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
