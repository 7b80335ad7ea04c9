//! What a gauge promises, one promise a test. Time stands still unless a test moves it.

mod adaptive;
mod admit;
mod disciplines;
mod line;
mod operate;
mod others;
mod outsiders;
mod pinned;
mod priorities;
#[path = "../support/mod.rs"]
mod support;
mod too_late;

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use pushback::{
    Alarm, Arrival, Clock, DryRunMode, Line, ManualClock, Outcome, OwnedPermit, Permit, PressureGauge,
    Priority, Reason, Rejected,
};
use support::Task;

fn gauge(limit: u32, line: Line) -> (PressureGauge, ManualClock) {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(limit).line(line).clock(clock.clone()).build().unwrap();
    (gauge, clock)
}

fn reason<T>(answer: Result<T, Rejected>) -> Reason {
    answer.err().expect("the call was admitted").reason
}

fn granted(poll: Poll<Result<OwnedPermit, Rejected>>) -> OwnedPermit {
    match poll {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("its turn has not come: {other:?}"),
    }
}

fn refused(poll: Poll<Result<OwnedPermit, Rejected>>) -> Reason {
    match poll {
        Poll::Ready(Err(rejected)) => rejected.reason,
        other => panic!("it was not refused: {other:?}"),
    }
}

/// A clock that counts how often it is asked and how many alarms it is given.
#[derive(Debug, Clone, Default)]
struct CountingClock {
    hands: ManualClock,
    asked: Arc<AtomicU32>,
    alarms: Arc<AtomicU32>,
}

impl Clock for CountingClock {
    fn now(&self) -> Instant {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.hands.now()
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        self.alarms.fetch_add(1, Ordering::SeqCst);
        self.hands.ring_at(when, alarm);
    }
}
