//! What a gauge costs in memory, counted by an allocator.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

use allocation_counter::measure;
use pushback::{Line, OwnedPermit, Permit, PressureGauge};

#[test]
fn a_gauge_without_a_line_takes_at_most_328_bytes_of_heap() {
    drop(PressureGauge::new(1)); // what all gauges share is allocated once
    let mut gauge = None;
    let info = measure(|| gauge = Some(PressureGauge::new(10)));
    println!("{info:?}");
    assert!(info.bytes_current <= 328, "{} bytes", info.bytes_current);
    assert_eq!(info.count_current, 1);
}

#[test]
fn a_permit_takes_at_most_24_bytes() {
    assert!(size_of::<Permit<'_>>() <= 24);
    assert!(size_of::<OwnedPermit>() <= 24);
}

#[test]
fn admitting_and_refusing_without_a_line_allocate_nothing() {
    let gauge = PressureGauge::new(1);
    let info = measure(|| {
        for _ in 0..100 {
            let permit = gauge.try_acquire().expect("it is free");
            assert!(gauge.try_acquire().is_err());
            drop(permit.into_owned());
            gauge.process(|| ()).expect("it is free");
            drop(gauge.acquire_blocking());
            smol::future::block_on(async { gauge.process_async(async || ()).await }).expect("it is free");
        }
    });
    // The executor that runs the future allocates its own waker once; the gauge allocates nothing.
    assert!(info.count_total <= 2, "{info:?}");
    let info = measure(|| {
        for _ in 0..100 {
            let permit = gauge.try_acquire();
            drop((gauge.try_acquire(), permit));
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn refusing_at_a_full_line_allocates_nothing() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
    let _held = gauge.try_acquire().unwrap();
    let mut waiting = pin!(gauge.acquire());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let info = measure(|| {
        for _ in 0..100 {
            assert!(gauge.acquire_blocking().is_err());
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn a_gauge_whose_line_was_in_use_takes_a_little_more_and_only_once() {
    let gauge = PressureGauge::new(10);
    let first = measure(|| gauge.set_limit(11));
    println!("{first:?}");
    assert!(first.bytes_current <= 3_500, "{} bytes", first.bytes_current);
    assert_eq!(measure(|| gauge.set_limit(12)).count_total, 0);
}
