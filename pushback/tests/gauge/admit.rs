//! Admitting and refusing: what runs, what it costs, what is counted.

use super::*;

#[test]
fn process_admits_up_to_the_limit_and_refuses_the_rest_at_once() {
    let gauge = PressureGauge::new(2);
    let (first, second) = (gauge.try_acquire().unwrap(), gauge.try_acquire().unwrap());
    let mut ran = false;
    let refused = gauge.process(|| ran = true).unwrap_err();
    assert!(!ran, "refused work must not run");
    assert_eq!((refused.reason, refused.limit, refused.in_flight), (Reason::Full, 2, 2));
    assert_eq!(refused.to_string(), "gauge 'gauge' refused the call: no more capacity (in flight 2 of 2)");
    drop((first, second));
    assert_eq!(gauge.process(|| 42), Ok(42));
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.admitted, snapshot.refused.by(Reason::Full)), (0, 3, 1));
}

#[test]
fn a_panic_in_process_gives_the_place_back_and_says_nothing_about_the_load() {
    let gauge = PressureGauge::new(1);
    let panicked = catch_unwind(|| gauge.process(|| panic!("the work fails")));
    assert!(panicked.is_err());
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.ignored, snapshot.faults), (0, 1, 0));
}

#[test]
fn a_panic_in_asynchronous_work_gives_the_place_back_and_is_no_cancellation() {
    let gauge = PressureGauge::new(1);
    let mut task = Task::new(gauge.process_async(async || panic!("the work fails")));
    assert!(catch_unwind(AssertUnwindSafe(|| task.poll())).is_err());
    drop(task);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.ignored, snapshot.cancelled), (0, 1, 0));
}

#[test]
fn process_with_counts_what_the_classifier_says() {
    let gauge = PressureGauge::new(1);
    for outcome in [Outcome::Success, Outcome::Overload, Outcome::Ignore, Outcome::Cancelled] {
        assert_eq!(gauge.process_with(|| 7, |_| outcome), Ok(7));
    }
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.overloaded, snapshot.ignored, snapshot.cancelled), (1, 1, 1));
    assert_eq!(snapshot.admitted, 4);
}

#[test]
fn process_async_does_not_build_the_work_that_it_refuses() {
    let gauge = PressureGauge::new(1);
    let _held = gauge.try_acquire().unwrap();
    let mut built = false;
    let mut task = Task::new(gauge.process_async(async || built = true));
    assert!(matches!(task.poll(), Poll::Ready(Err(Rejected { reason: Reason::Full, .. }))));
    drop(task);
    assert!(!built);
}

#[test]
fn process_async_dropped_at_its_await_gives_the_place_back_as_cancelled() {
    let gauge = PressureGauge::new(1);
    let mut task = Task::new(gauge.process_async(async || std::future::pending::<()>().await));
    assert!(task.poll().is_pending());
    assert_eq!(gauge.snapshot().in_flight, 1);
    drop(task);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.cancelled), (0, 1));
}

#[test]
fn process_async_can_be_spawned_on_a_runtime_with_many_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let gauge = PressureGauge::new(1);
    let answer = runtime.block_on(async {
        let gauge = gauge.clone();
        tokio::spawn(async move { gauge.process_async(async || 42).await }).await.unwrap()
    });
    assert_eq!(answer, Ok(42));
}

#[test]
fn a_cost_above_the_limit_is_refused_at_once_with_its_own_reason() {
    let (gauge, _clock) = gauge(3, Line::fifo(9));
    let large = Arrival::new().cost(4);
    assert_eq!(reason(gauge.try_acquire_for(large)), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.acquire_blocking_for(large)), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.try_acquire_for(Arrival::new().cost(u32::MAX))), Reason::CostAboveLimit);
    let refused = gauge.try_acquire_for(large).unwrap_err().to_string();
    assert!(refused.contains("it costs more than the whole limit (in flight 0 of 3)"), "{refused}");
    drop(gauge.try_acquire_for(Arrival::new().cost(3)).unwrap());
    assert_eq!(gauge.try_acquire_for(Arrival::new().cost(0)).unwrap().cost(), 1, "no call is free");
}

#[test]
fn a_limit_of_zero_admits_nothing_and_keeps_nobody_waiting() {
    let (gauge, _clock) = gauge(0, Line::fifo(9));
    assert_eq!(reason(gauge.process(|| ())), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.acquire_blocking()), Reason::CostAboveLimit);
    assert_eq!(reason(smol::block_on(gauge.acquire())), Reason::CostAboveLimit);
    let refused = gauge.process(|| ()).unwrap_err().to_string();
    assert_eq!(
        refused,
        "gauge 'gauge' refused the call: its limit is 0, which admits nothing (in flight 0 of 0)"
    );
    gauge.set_limit(1);
    assert!(gauge.process(|| ()).is_ok());
}

#[test]
fn the_largest_limit_and_cost_do_not_wrap() {
    let gauge = PressureGauge::new(u32::MAX);
    let all = gauge.try_acquire_for(Arrival::new().cost(u32::MAX)).unwrap();
    assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    gauge.set_limit(0);
    assert_eq!(gauge.snapshot().in_flight, u32::MAX);
    gauge.set_limit(u32::MAX);
    assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    drop(all);
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[test]
fn an_owned_permit_holds_the_place_wherever_it_goes() {
    let gauge = PressureGauge::new(1);
    let permit = gauge.try_acquire().unwrap().into_owned();
    assert_eq!(permit.gauge().name(), "gauge");
    assert_eq!(gauge.snapshot().in_flight, 1, "neither given back nor taken twice by the change of hands");
    thread::spawn(move || drop(permit)).join().unwrap();
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().admitted), (0, 1));
}

#[test]
fn admitting_and_refusing_read_the_clock_only_for_a_deadline() {
    let clock = CountingClock::default();
    let past = clock.hands.now();
    let asked = Arc::clone(&clock.asked);
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(0)).clock(clock).build().unwrap();
    let held = gauge.try_acquire().unwrap();
    assert!(gauge.process(|| ()).is_err() && gauge.acquire_blocking().is_err());
    drop(held.into_owned());
    assert!(gauge.process(|| ()).is_ok() && gauge.acquire_blocking().is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let late = Arrival::new().deadline(past);
    assert!(gauge.try_acquire_for(late).is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
