//! A gauge's clock as the gauge asks it.
//!
//! A clock is other people's code, and a gauge asks it in the middle of an admission and of a drop. So there is one place where it may
//! panic: here that is counted, and the gauge goes on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use super::{Alarm, Clock, SystemClock};
use crate::sync::{AtomicU64, Ordering};

pub(crate) struct Guarded {
    clock: AssertUnwindSafe<Arc<dyn Clock>>,
    faults: AtomicU64,
}

impl Guarded {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Guarded { clock: AssertUnwindSafe(clock), faults: AtomicU64::new(0) }
    }

    /// The machine's time, if the clock cannot tell.
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        catch_unwind(AssertUnwindSafe(|| self.clock.now())).unwrap_or_else(|_| {
            self.count_fault();
            SystemClock.now()
        })
    }

    /// Whether the alarm is set.
    pub(crate) fn ring_at(&self, when: Instant, alarm: Alarm) -> bool {
        let set = catch_unwind(AssertUnwindSafe(|| self.clock.ring_at(when, alarm)));
        if set.is_err() {
            self.count_fault();
        }
        set.is_ok()
    }

    fn count_fault(&self) {
        self.faults.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it panicked.
    pub(crate) fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}
