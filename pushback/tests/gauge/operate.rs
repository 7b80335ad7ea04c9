//! What operators do: limits, closing, draining, rehearsing, settings.

use super::*;

#[test]
fn a_lowered_limit_is_a_debt_that_is_paid_before_anyone_new_runs() {
    let (gauge, _clock) = gauge(4, Line::fifo(4));
    let mut held: Vec<_> = (0..4).map(|_| gauge.try_acquire().unwrap()).collect();
    let mut waiting = Task::new(gauge.acquire());
    assert!(waiting.poll().is_pending());
    gauge.set_limit(2);
    for in_flight in [3, 2] {
        held.pop();
        assert!(waiting.poll_if_rung().is_pending());
        assert_eq!(gauge.snapshot().in_flight, in_flight);
        assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    }
    held.pop();
    drop(granted(waiting.poll_if_rung()));
}

#[test]
fn a_raised_limit_admits_those_in_line() {
    let (gauge, _clock) = gauge(1, Line::fifo(4));
    let _held = gauge.try_acquire().unwrap();
    let mut tasks: Vec<_> = (0..3).map(|_| Task::new(gauge.acquire())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    gauge.set_limit(3);
    let permits: Vec<_> = tasks.iter_mut().filter(|task| task.rung() > 0).map(|task| task.poll()).collect();
    assert_eq!(permits.len(), 2);
    assert_eq!(gauge.snapshot().in_flight, 3);
}

#[test]
fn a_waiter_that_no_longer_fits_a_lowered_limit_does_not_stall_the_line() {
    let (gauge, _clock) = gauge(4, Line::fifo(4));
    let held = gauge.try_acquire().unwrap();
    let mut large = Task::new(gauge.acquire_for(Arrival::new().cost(4)));
    let mut small = Task::new(gauge.acquire());
    assert!(large.poll().is_pending() && small.poll().is_pending());
    gauge.set_limit(2);
    assert!(
        matches!(large.poll_if_rung(), Poll::Ready(Err(rejected)) if rejected.reason == Reason::CostAboveLimit)
    );
    drop(granted(small.poll_if_rung()));
    drop(held);
}

#[test]
fn a_closed_gauge_refuses_all_and_those_in_line() {
    let (gauge, _clock) = gauge(1, Line::fifo(4));
    let held = gauge.try_acquire().unwrap();
    let mut waiting = Task::new(gauge.acquire());
    assert!(waiting.poll().is_pending());
    gauge.close();
    assert!(
        matches!(waiting.poll_if_rung(), Poll::Ready(Err(rejected)) if rejected.reason == Reason::Closed)
    );
    drop(held);
    assert_eq!(reason(gauge.try_acquire()), Reason::Closed);
    assert_eq!(reason(gauge.acquire_blocking()), Reason::Closed);
    assert!(gauge.snapshot().closed);
}

#[test]
fn drain_waits_for_the_last_permit_for_everybody_who_asks() {
    let gauge = PressureGauge::new(2);
    let mut held = vec![gauge.try_acquire().unwrap(), gauge.try_acquire().unwrap()];
    let (mut one, mut two) = (Task::new(gauge.drain()), Task::new(gauge.drain()));
    let mut dropped = Task::new(gauge.drain());
    assert!(one.poll().is_pending() && two.poll().is_pending() && dropped.poll().is_pending());
    drop(dropped);
    held.pop();
    assert!(one.poll_if_rung().is_pending() && two.poll_if_rung().is_pending());
    held.pop();
    assert!(one.poll_if_rung().is_ready() && two.poll_if_rung().is_ready());
    gauge.drain_blocking();
}

#[test]
fn drain_blocking_returns_when_another_thread_gives_the_last_permit_back() {
    let gauge = PressureGauge::new(1);
    let permit = gauge.try_acquire().unwrap().into_owned();
    thread::scope(|scope| {
        scope.spawn(move || drop(permit));
        gauge.drain_blocking();
    });
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[test]
fn a_dry_run_admits_all_counts_what_it_would_have_refused_and_leaves_no_debt() {
    let clock = ManualClock::new();
    let gauge =
        PressureGauge::builder().limit(1).dry_run(DryRunMode::On).clock(clock.clone()).build().unwrap();
    let held: Vec<_> = (0..3).map(|_| gauge.try_acquire().unwrap()).collect();
    let waited = gauge.acquire_blocking().unwrap();
    let large = gauge.try_acquire_for(Arrival::new().cost(9)).unwrap();
    let late = gauge.try_acquire_for(Arrival::new().deadline(clock.now())).unwrap();
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.admitted, snapshot.refused.total()), (1, 1, 0));
    let dry = snapshot.dry_run.unwrap();
    assert_eq!((dry.on, dry.phantoms, dry.would_wait), (true, 5, 1));
    assert_eq!(
        [Reason::Full, Reason::CostAboveLimit, Reason::DeadlinePassed].map(|r| dry.would_refuse.by(r)),
        [2, 1, 1]
    );
    gauge.set_dry_run(DryRunMode::Off);
    assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    drop((held, waited, large, late));
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.dry_run.unwrap().phantoms), (0, 0));
    let held = gauge.try_acquire().unwrap();
    assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    drop(held);
}

#[test]
fn a_dry_run_switched_on_admits_those_in_line_and_a_drain_waits_for_phantoms() {
    let (gauge, _clock) = gauge(1, Line::fifo(4));
    let held = gauge.try_acquire().unwrap();
    let mut waiting = Task::new(gauge.acquire());
    assert!(waiting.poll().is_pending());
    gauge.set_dry_run(DryRunMode::On);
    let phantom = granted(waiting.poll_if_rung());
    let mut drain = Task::new(gauge.drain());
    assert!(drain.poll().is_pending());
    drop(held);
    assert!(drain.poll_if_rung().is_pending(), "the phantom still runs");
    drop(phantom);
    assert!(drain.poll_if_rung().is_ready());
    assert_eq!(reason(gauge.try_acquire()), Reason::Closed, "a closed gauge refuses in dry run too");
}

#[test]
fn wrong_settings_are_one_error_that_names_key_value_and_allowed_range() {
    let long = "x".repeat(65);
    for name in ["", "two\nlines", &long] {
        let error = PressureGauge::builder().limit(1).name(name).build().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("name is {name:?}; allowed: 1 to 64 bytes without control characters")
        );
    }
    let line = Line::fifo(1).starvation_grants(51);
    let error = PressureGauge::builder().limit(1).line(line).build().unwrap_err();
    assert_eq!(error.to_string(), "starvation_grants is 51 %; allowed: 0 to 50 %");
    let error = PressureGauge::builder().build().unwrap_err();
    assert_eq!(error.to_string(), "limit is not set; allowed: 0 to 4294967295 places");
}

#[test]
fn a_paused_gauge_admits_nobody_and_keeps_its_line() {
    let (gauge, clock) = gauge(2, Line::fifo(2).wait_at_most(Duration::from_secs(1)));
    let running = gauge.try_acquire().unwrap();
    gauge.pause();
    assert!(gauge.snapshot().paused);
    assert_eq!(reason(gauge.try_acquire()), Reason::Full, "though a place is free");
    let mut waiting = [Task::new(gauge.acquire()), Task::new(gauge.acquire())];
    assert!(waiting.iter_mut().all(|task| task.poll().is_pending()));
    drop(running);
    let urgent = Arrival::new().priority(Priority::Critical).wait_at_most(Duration::ZERO);
    assert_eq!(reason(gauge.acquire_blocking_for(urgent)), Reason::WaitedTooLong, "nor past the line");
    clock.advance(Duration::from_millis(900));
    assert!(waiting[1].poll_if_rung().is_pending());
    gauge.resume();
    let _both = waiting.map(|mut task| granted(task.poll_if_rung()));
    assert!(!gauge.snapshot().paused);
}

#[test]
fn deadlines_count_in_a_pause_and_a_closed_gauge_stays_closed() {
    let (gauge, clock) = gauge(1, Line::fifo(2).wait_at_most(Duration::from_secs(1)));
    gauge.pause();
    let (mut first, mut second) = (Task::new(gauge.acquire()), Task::new(gauge.acquire()));
    let soon = Arrival::new().deadline(clock.now() + Duration::from_millis(10));
    assert!(first.poll().is_pending());
    let mut hurried = Task::new(gauge.acquire_for(soon));
    assert!(hurried.poll().is_pending());
    clock.advance(Duration::from_millis(10));
    let Poll::Ready(answer) = hurried.poll_if_rung() else { panic!("its time is up") };
    assert_eq!(reason(answer), Reason::DeadlinePassed);
    assert!(second.poll().is_pending());
    gauge.close();
    gauge.resume();
    let Poll::Ready(answer) = first.poll_if_rung() else { panic!("it is closed") };
    assert_eq!(reason(answer), Reason::Closed);
    assert_eq!(reason(gauge.try_acquire()), Reason::Closed);
}

#[test]
fn a_pause_is_no_slow_service() {
    let (gauge, clock) = gauge(1, Line::fifo(100).wait_at_most(Duration::from_secs(60)));
    let mut held = gauge.try_acquire().unwrap().into_owned();
    for _ in 0..70 {
        let mut next = Task::new(gauge.acquire());
        assert!(next.poll().is_pending());
        clock.advance(Duration::from_millis(10));
        drop(held);
        held = granted(next.poll_if_rung());
    }
    let mut waiting: Vec<_> = (0..50).map(|_| Task::new(gauge.acquire())).collect();
    assert!(waiting.iter_mut().all(|task| task.poll().is_pending()));
    gauge.pause();
    clock.advance(Duration::from_secs(40));
    gauge.resume();
    assert!(Task::new(gauge.acquire()).poll().is_pending(), "it would wait for half a second");
}
