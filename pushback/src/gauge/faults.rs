//! Faults that cannot happen, injected: the gauge counts them and goes on.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{PressureGauge, core::Held};
use crate::{
    Reason,
    outcome::{Outcome, Place},
};

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
    core.give_back(Held { cost: 1, place: Place::Real }, Outcome::Success);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.faults), (0, 1), "in flight saturates");
    assert!(gauge.process(|| ()).is_ok());
    gauge.drain_blocking();
}
