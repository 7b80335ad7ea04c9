//! Panics in protected work, on many threads. A file of its own, because it silences the panic hook of its process.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    thread,
    time::Duration,
};

use pushback::{Line, PressureGauge};

#[test]
fn panics_on_many_threads_lose_nothing() {
    let line = Line::fifo(8).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().limit(2).line(line).build().unwrap();
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let _ = catch_unwind(AssertUnwindSafe(|| gauge.process(|| panic!("the work fails"))));
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        let _permit = gauge.acquire_blocking();
                        panic!("the work fails");
                    }));
                }
            });
        }
    });
    set_hook(hook);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.in_line, snapshot.faults), (0, 0, 0));
    assert_eq!(snapshot.ignored, snapshot.admitted);
}
