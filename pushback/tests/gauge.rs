//! What a gauge promises, one promise a test. Time stands still unless a test moves it.

mod support;

use std::{
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
    Alarm, Arrival, Clock, DryRunMode, Line, ManualClock, Outcome, OwnedPermit, PressureGauge, Reason,
    Rejected,
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
fn the_line_serves_whoever_came_first() {
    let (gauge, _clock) = gauge(1, Line::fifo(3));
    let held = gauge.try_acquire().unwrap();
    let mut tasks: Vec<_> = (0..3).map(|_| Task::new(gauge.acquire())).collect();
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    assert_eq!(gauge.snapshot().in_line, 3);
    let mut last = held.into_owned();
    for index in 0..3 {
        drop(last);
        assert_eq!(gauge.snapshot().in_flight, 1, "the place goes to the next without a gap");
        assert!(
            tasks[index + 1..].iter().all(|later| later.rung() == 0),
            "only the one whose turn it is wakes"
        );
        last = granted(tasks[index].poll_if_rung());
    }
    drop(last);
    assert_eq!(gauge.snapshot().in_flight, 0);
}

#[test]
fn nobody_overtakes_the_line() {
    let (gauge, _clock) = gauge(2, Line::fifo(3));
    let held = gauge.try_acquire().unwrap();
    let mut large = Task::new(gauge.acquire_for(Arrival::new().cost(2)));
    assert!(large.poll().is_pending());
    // One place is free, but it is for the one in front.
    assert_eq!(reason(gauge.try_acquire()), Reason::Full);
    let mut small = Task::new(gauge.acquire());
    assert!(small.poll().is_pending());
    drop(held);
    let permit = granted(large.poll_if_rung());
    assert!(small.poll_if_rung().is_pending());
    drop(permit);
    drop(granted(small.poll_if_rung()));
    assert!(gauge.try_acquire().is_ok(), "the gate is open again");
}

#[test]
fn a_full_line_refuses_and_a_line_of_zero_never_waits() {
    let (gauge, _clock) = gauge(1, Line::fifo(1));
    let _held = gauge.try_acquire().unwrap();
    let mut first = Task::new(gauge.acquire());
    assert!(first.poll().is_pending());
    assert_eq!(reason(gauge.acquire_blocking()), Reason::LineFull);
    drop(first);
    let mut second = Task::new(gauge.acquire());
    assert!(second.poll().is_pending(), "who left made room");
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.left_line, snapshot.refused.by(Reason::LineFull)), (1, 1));

    let (gauge, _clock) = self::gauge(1, Line::fifo(0));
    let _held = gauge.try_acquire().unwrap();
    assert_eq!(reason(gauge.acquire_blocking()), Reason::LineFull);
}

#[test]
fn the_default_line_is_as_long_as_the_limit_and_follows_it() {
    let gauge = PressureGauge::new(2);
    let _held = (gauge.try_acquire().unwrap(), gauge.try_acquire().unwrap());
    let mut tasks: Vec<_> = (0..2).map(|_| Task::new(gauge.acquire())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    assert_eq!(reason(gauge.acquire_blocking()), Reason::LineFull);
    gauge.set_limit(1);
    assert_eq!(gauge.snapshot().in_line, 2, "those in line stay");
    gauge.set_limit(3);
    assert_eq!(gauge.snapshot().in_line, 1, "one moved up");
    let mut tasks: Vec<_> = (0..2).map(|_| Task::new(gauge.acquire())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()), "three may wait now");
}

#[test]
fn who_waits_too_long_is_refused_when_the_time_has_come_and_not_before() {
    let (gauge, clock) = gauge(1, Line::fifo(2).wait_at_most(Duration::from_millis(50)));
    let _held = gauge.try_acquire().unwrap();
    let mut first = Task::new(gauge.acquire());
    assert!(first.poll().is_pending());
    clock.advance(Duration::from_millis(20));
    let mut second = Task::new(gauge.acquire());
    assert!(second.poll().is_pending());
    assert_eq!(gauge.snapshot().oldest_wait, Some(Duration::from_millis(20)));
    clock.advance(Duration::from_millis(29));
    assert!(first.poll_if_rung().is_pending());
    clock.advance(Duration::from_millis(1));
    assert!(
        matches!(first.poll_if_rung(), Poll::Ready(Err(rejected)) if rejected.reason == Reason::WaitedTooLong)
    );
    assert!(second.poll_if_rung().is_pending());
    clock.advance(Duration::from_millis(20));
    assert!(second.poll_if_rung().is_ready());
    assert_eq!(gauge.snapshot().refused.by(Reason::WaitedTooLong), 2);
}

#[test]
fn a_deadline_refuses_on_arrival_and_in_line() {
    let (gauge, clock) = gauge(1, Line::fifo(2));
    let now = clock.now();
    assert_eq!(reason(gauge.try_acquire_for(Arrival::new().deadline(now))), Reason::DeadlinePassed);
    let soon = Arrival::new().deadline(now + Duration::from_millis(10));
    let held = gauge.try_acquire_for(soon).unwrap();
    let mut task = Task::new(gauge.acquire_for(soon));
    assert!(task.poll().is_pending());
    clock.advance(Duration::from_millis(10));
    assert!(
        matches!(task.poll_if_rung(), Poll::Ready(Err(rejected)) if rejected.reason == Reason::DeadlinePassed)
    );
    assert_eq!(gauge.snapshot().in_flight, 1, "what runs is not interrupted");
    drop(held);
}

#[test]
fn time_is_driven_by_hand_where_somebody_wants_that() {
    let (gauge, clock) = gauge(1, Line::fifo(1).wait_at_most(Duration::from_millis(5)));
    let _held = gauge.try_acquire().unwrap();
    let mut task = Task::new(gauge.acquire());
    assert!(task.poll().is_pending());
    let due = gauge.next_expiry().unwrap();
    assert_eq!(due, clock.now() + Duration::from_millis(5));
    gauge.expire(due - Duration::from_nanos(1));
    assert!(task.poll_if_rung().is_pending());
    gauge.expire(due);
    assert!(task.poll_if_rung().is_ready());
    assert_eq!(gauge.next_expiry(), None);
}

#[test]
fn the_machines_clock_ends_a_wait_without_anybody_else_moving() {
    let line = Line::fifo(2).wait_at_most(Duration::from_millis(20));
    let gauge = PressureGauge::builder().limit(1).line(line).build().unwrap();
    let _held = gauge.try_acquire().unwrap();
    let blocked = thread::spawn({
        let gauge = gauge.clone();
        move || gauge.acquire_blocking().map(drop)
    });
    assert_eq!(reason(smol::block_on(gauge.acquire())), Reason::WaitedTooLong);
    assert_eq!(reason(blocked.join().unwrap()), Reason::WaitedTooLong);
}

#[test]
fn a_cost_above_the_limit_is_refused_at_once_with_its_own_reason() {
    let (gauge, _clock) = gauge(3, Line::fifo(9));
    let large = Arrival::new().cost(4);
    assert_eq!(reason(gauge.try_acquire_for(large)), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.acquire_blocking_for(large)), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.try_acquire_for(Arrival::new().cost(u32::MAX))), Reason::CostAboveLimit);
    drop(gauge.try_acquire_for(Arrival::new().cost(3)).unwrap());
    assert_eq!(gauge.try_acquire_for(Arrival::new().cost(0)).unwrap().cost(), 1, "no call is free");
}

#[test]
fn a_limit_of_zero_admits_nothing_and_keeps_nobody_waiting() {
    let (gauge, _clock) = gauge(0, Line::fifo(9));
    assert_eq!(reason(gauge.process(|| ())), Reason::CostAboveLimit);
    assert_eq!(reason(gauge.acquire_blocking()), Reason::CostAboveLimit);
    assert_eq!(reason(smol::block_on(gauge.acquire())), Reason::CostAboveLimit);
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
fn high_and_low_costs_all_have_their_turn() {
    let (gauge, _clock) = gauge(4, Line::fifo(64));
    let first = gauge.try_acquire_for(Arrival::new().cost(4)).unwrap();
    let costs: Vec<u32> = (0..64).map(|index| [1, 4, 2, 1, 3][index % 5]).collect();
    let mut tasks: Vec<_> =
        costs.iter().map(|cost| Task::new(gauge.acquire_for(Arrival::new().cost(*cost)))).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    drop(first);
    let mut served = Vec::new();
    while served.len() < tasks.len() {
        let permits: Vec<_> = (tasks.iter_mut().enumerate())
            .filter_map(|(index, task)| match task.poll_if_rung() {
                Poll::Ready(permit) => Some((index, permit.unwrap())),
                Poll::Pending => None,
            })
            .collect();
        assert!(!permits.is_empty(), "the line stands still after {served:?}");
        assert!(permits.iter().map(|(_, permit)| permit.cost()).sum::<u32>() <= 4);
        served.extend(permits.iter().map(|(index, _)| *index));
    }
    assert!(served.is_sorted(), "first come, first served: {served:?}");
}

#[test]
fn a_waiter_that_goes_away_at_any_point_loses_nothing() {
    // Before its first poll, while it waits, and after its turn came but before it knew.
    for polls_before_turn in [false, true] {
        for turn_came in [false, true] {
            let (gauge, _clock) = gauge(1, Line::fifo(4));
            let held = gauge.try_acquire().unwrap();
            let mut leaver = Task::new(gauge.acquire());
            if polls_before_turn {
                assert!(leaver.poll().is_pending());
            }
            let mut next = Task::new(gauge.acquire());
            assert!(next.poll().is_pending());
            if turn_came {
                drop(held);
                drop(leaver);
            } else {
                drop(leaver);
                drop(held);
            }
            drop(granted(next.poll_if_rung()));
            let snapshot = gauge.snapshot();
            assert_eq!((snapshot.in_flight, snapshot.in_line), (0, 0));
            assert_eq!(snapshot.left_line, u64::from(polls_before_turn && !turn_came));
            assert_eq!(snapshot.cancelled, u64::from(polls_before_turn && turn_came));
        }
    }
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
fn an_owned_permit_holds_the_place_wherever_it_goes() {
    let gauge = PressureGauge::new(1);
    let permit = gauge.try_acquire().unwrap().into_owned();
    assert_eq!(permit.gauge().name(), "gauge");
    assert_eq!(gauge.snapshot().in_flight, 1, "neither given back nor taken twice by the change of hands");
    thread::spawn(move || drop(permit)).join().unwrap();
    assert_eq!((gauge.snapshot().in_flight, gauge.snapshot().admitted), (0, 1));
}

#[test]
fn a_waiter_that_moved_to_another_task_is_woken_there() {
    let (gauge, _clock) = gauge(1, Line::fifo(1));
    let held = gauge.try_acquire().unwrap();
    let mut task = Task::new(gauge.acquire());
    assert!(task.poll().is_pending());
    let (polled, before) = task.poll_as_another_task();
    assert!(polled.is_pending());
    drop(held);
    assert_eq!((before.rung(), task.rung()), (0, 1));
    drop(granted(task.poll_if_rung()));
}

#[test]
fn a_waiter_made_owned_keeps_its_place_in_line() {
    let (gauge, _clock) = gauge(1, Line::fifo(2));
    let held = gauge.try_acquire().unwrap();
    let mut first = gauge.acquire();
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut second = Task::new(gauge.acquire());
    assert!(second.poll().is_pending());
    let mut first = Task::new(first.into_owned());
    assert_eq!(gauge.snapshot().in_line, 2, "it neither left nor came twice");
    assert!(first.poll().is_pending());
    drop(held);
    assert!(second.poll_if_rung().is_pending());
    drop(granted(first.poll_if_rung()));
    drop(granted(second.poll_if_rung()));
}

/// Its owner's fault: it panics when it is woken.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        panic!("a broken waker");
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_their_turn() {
    let (gauge, _clock) = gauge(1, Line::fifo(3));
    let held = gauge.try_acquire().unwrap();
    let mut broken = gauge.acquire();
    let waker = Waker::from(Arc::new(Broken));
    assert!(Pin::new(&mut broken).poll(&mut Context::from_waker(&waker)).is_pending());
    let mut others: Vec<_> = (0..2).map(|_| Task::new(gauge.acquire())).collect();
    assert!(others.iter_mut().all(|task| task.poll().is_pending()));
    gauge.set_limit(4);
    assert!(others.iter().all(|task| task.rung() == 1));
    drop(broken);
    assert_eq!(gauge.snapshot().faults, 1);
    drop((held, others));
    assert_eq!(gauge.snapshot().in_flight, 0);
}

/// A clock that counts the alarms that are set and have not rung.
#[derive(Debug, Clone, Default)]
struct AlarmedClock(ManualClock, Arc<AtomicU32>);

impl Clock for AlarmedClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.ring_at(when, alarm);
    }
}

#[test]
fn many_short_waits_beside_a_long_one_do_not_pile_up_alarms() {
    let clock = AlarmedClock::default();
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(9)).clock(clock.clone()).build().unwrap();
    let _held = gauge.try_acquire().unwrap();
    let mut long = Task::new(gauge.acquire());
    assert!(long.poll().is_pending());
    for _ in 0..100 {
        let soon = Arrival::new().deadline(clock.now() + Duration::from_millis(10));
        let mut short = Task::new(gauge.acquire_for(soon));
        assert!(short.poll().is_pending());
        clock.0.advance(Duration::from_millis(10));
        assert!(short.poll_if_rung().is_ready());
    }
    assert_eq!(clock.1.load(Ordering::SeqCst), 101, "one for the long wait, and one for each short one");
}

/// Counts how often it was asked.
#[derive(Debug, Clone)]
struct AskedClock(ManualClock, Arc<AtomicU32>);

impl Clock for AskedClock {
    fn now(&self) -> Instant {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.now()
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        self.0.ring_at(when, alarm);
    }
}

#[test]
fn admitting_and_refusing_read_the_clock_only_for_a_deadline() {
    let clock = AskedClock(ManualClock::new(), Arc::default());
    let past = clock.0.now();
    let asked = Arc::clone(&clock.1);
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
    let error = PressureGauge::builder().build().unwrap_err();
    assert_eq!(error.to_string(), "limit is not set; allowed: 0 to 4294967295 places");
}

#[test]
fn waiting_works_on_tokio_on_smol_and_on_threads_at_once() {
    const CALLS: u32 = 200;
    let gauge = PressureGauge::builder().limit(2).line(Line::fifo(3 * CALLS)).build().unwrap();
    let (inside, peak, done) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let work = || {
        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        done.fetch_add(1, Ordering::SeqCst);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for _ in 0..CALLS {
                    let _permit = gauge.acquire().await.unwrap();
                    work();
                }
            });
        });
        scope.spawn(|| {
            smol::block_on(async {
                for _ in 0..CALLS {
                    let _permit = gauge.acquire().await.unwrap();
                    work();
                }
            });
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..CALLS {
                    let _permit = gauge.acquire_blocking().unwrap();
                    work();
                }
            });
        }
    });
    assert!(peak.into_inner() <= 2, "the limit was exceeded");
    assert_eq!(done.into_inner(), 4 * CALLS);
    assert!(gauge.snapshot().in_flight == 0 && gauge.snapshot().in_line == 0);
}
