//! What cannot be seen from outside: faults that cannot happen, injected, and which paths take no lock.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
};

use super::{PressureGauge, held::Held};
use crate::{Line, Reason, outcome::Standing};

#[test]
fn a_poisoned_lock_is_counted_and_the_gauge_goes_on() {
    let gauge = PressureGauge::new(1);
    let held = gauge.try_acquire().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = gauge.core.lock();
        panic!("a fault under the lock");
    }));
    assert!(panicked.is_err());
    assert_eq!(gauge.snapshot().faults, 1);
    assert_eq!(gauge.try_acquire().unwrap_err().reason, Reason::Full);
    drop(held);
    gauge.set_limit(2);
    assert!(gauge.acquire_blocking().is_ok());
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.limit, snapshot.in_flight, snapshot.faults), (2, 0, 1), "counted once");
}

#[test]
fn a_place_given_back_twice_is_counted_and_the_gauge_goes_on() {
    let gauge = PressureGauge::new(1);
    let core = Arc::clone(&gauge.core);
    core.give_back(Held::new(1, Standing::Real));
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.faults), (0, 1), "in flight saturates");
    assert!(gauge.process(|| ()).is_ok());
    gauge.drain_blocking();
}

#[test]
fn admitting_and_refusing_without_a_line_take_no_lock() {
    let gauge = PressureGauge::new(1);
    let guard = gauge.core.lock();
    let held = gauge.try_acquire().unwrap();
    assert!(gauge.process(|| ()).is_err());
    drop(held.into_owned());
    assert!(gauge.process(|| ()).is_ok());
    drop(guard);
}

#[test]
fn refusing_at_a_full_line_takes_no_lock() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
    let _held = gauge.try_acquire().unwrap();
    let mut waiting = pin!(gauge.acquire());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let guard = gauge.core.lock();
    assert_eq!(gauge.acquire_blocking().unwrap_err().reason, Reason::LineFull);
    assert_eq!(gauge.try_acquire().unwrap_err().reason, Reason::Full);
    drop(guard);
}
