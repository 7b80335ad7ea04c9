//! Waiting: who is next, for how long, and where.

use super::*;

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
fn more_important_calls_come_first_and_take_the_place_of_the_least_important_in_a_full_line() {
    let (gauge, _clock) = gauge(1, Line::fifo(3));
    let mut held = gauge.try_acquire().unwrap().into_owned();
    let wait = |priority| {
        let mut task = Task::new(gauge.acquire_for(Arrival::new().priority(priority)));
        let answer = task.poll();
        (task, answer)
    };
    let (mut first, answer) = wait(Priority::Low);
    assert!(answer.is_pending());
    let (mut second, answer) = wait(Priority::Low);
    assert!(answer.is_pending());
    let (mut normal, answer) = wait(Priority::Normal);
    assert!(answer.is_pending());
    let (_, answer) = wait(Priority::Background);
    assert!(matches!(answer, Poll::Ready(Err(rejected)) if rejected.reason == Reason::LineFull));
    let (_, answer) = wait(Priority::Low);
    assert!(matches!(answer, Poll::Ready(Err(rejected)) if rejected.reason == Reason::LineFull), "an equal");
    let (mut critical, answer) = wait(Priority::Critical);
    assert!(answer.is_pending());
    assert_eq!(gauge.snapshot().in_line, 3, "the bound holds");
    let Poll::Ready(Err(displaced)) = second.poll_if_rung() else { panic!("the last of the least goes") };
    assert_eq!(displaced.reason, Reason::Displaced);
    for task in [&mut critical, &mut normal, &mut first] {
        drop(held);
        held = granted(task.poll_if_rung());
    }
    assert_eq!(gauge.snapshot().refused.by(Reason::Displaced), 1);
}

#[test]
fn an_important_call_that_fits_at_once_takes_nobodys_place_in_a_full_line() {
    let (gauge, _clock) = gauge(2, Line::fifo(1));
    let held = gauge.try_acquire().unwrap();
    let mut large = Task::new(gauge.acquire_for(Arrival::new().cost(2)));
    assert!(large.poll().is_pending());
    // One place is free, and the call in front needs two.
    let urgent = Arrival::new().priority(Priority::High);
    let permit = granted(Task::new(gauge.acquire_for(urgent)).poll());
    assert_eq!((gauge.snapshot().in_line, gauge.snapshot().refused.total()), (1, 0));
    drop((held, permit));
    drop(granted(large.poll_if_rung()));
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
fn a_call_may_wait_for_less_than_the_line_lets_it_but_not_for_more() {
    let (gauge, clock) = gauge(1, Line::fifo(3).wait_at_most(Duration::from_millis(50)));
    let _held = gauge.try_acquire().unwrap();
    let for_ms = |wait| Arrival::new().wait_at_most(Duration::from_millis(wait));
    let mut tasks = [10, 900].map(|wait| Task::new(gauge.acquire_for(for_ms(wait))));
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    let at_once = gauge.acquire_blocking_for(for_ms(0));
    assert_eq!(reason(at_once), Reason::WaitedTooLong, "it was not served at once");
    let [mut brief, mut long] = tasks;
    clock.advance(Duration::from_millis(10));
    let Poll::Ready(Err(refused)) = brief.poll_if_rung() else { panic!("its time is up") };
    assert_eq!(refused.reason, Reason::WaitedTooLong);
    clock.advance(Duration::from_millis(39));
    assert!(long.poll_if_rung().is_pending());
    clock.advance(Duration::from_millis(1));
    assert!(long.poll_if_rung().is_ready(), "the line's own bound holds for all");
}

#[test]
fn nobody_waits_for_more_than_a_second_unless_told_otherwise() {
    for line in [Line::fifo(1), Line::default()] {
        let (gauge, clock) = gauge(1, line);
        let _held = gauge.try_acquire().unwrap();
        let mut waiting = Task::new(gauge.acquire());
        assert!(waiting.poll().is_pending());
        clock.advance(Duration::from_millis(999));
        assert!(waiting.poll_if_rung().is_pending());
        clock.advance(Duration::from_millis(1));
        let Poll::Ready(Err(refused)) = waiting.poll_if_rung() else { panic!("its time is up") };
        assert_eq!(refused.reason, Reason::WaitedTooLong);
    }
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

#[test]
fn many_short_waits_beside_a_long_one_do_not_pile_up_alarms() {
    let clock = CountingClock::default();
    let line = Line::fifo(9).wait_at_most(Duration::from_secs(60));
    let gauge = PressureGauge::builder().limit(1).line(line).clock(clock.clone()).build().unwrap();
    let _held = gauge.try_acquire().unwrap();
    let mut long = Task::new(gauge.acquire());
    assert!(long.poll().is_pending());
    for _ in 0..100 {
        let soon = Arrival::new().deadline(clock.now() + Duration::from_millis(10));
        let mut short = Task::new(gauge.acquire_for(soon));
        assert!(short.poll().is_pending());
        clock.hands.advance(Duration::from_millis(10));
        assert!(short.poll_if_rung().is_ready());
    }
    let alarms = clock.alarms.load(Ordering::SeqCst);
    assert_eq!(alarms, 201, "one for the long wait, one for each short one, and one for the long one again");
}

#[test]
fn waiting_works_on_tokio_on_smol_and_on_threads_at_once() {
    const CALLS: u32 = 200;
    let line = Line::fifo(3 * CALLS).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().limit(2).line(line).build().unwrap();
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

/// Such as a future that is kept beside a `select!` which does something else for long.
#[test]
fn a_turn_that_nobody_fetches_for_a_second_goes_to_the_next() {
    let (gauge, clock) = gauge(1, Line::fifo(3).wait_at_most(Duration::from_secs(60)));
    let held = gauge.try_acquire().unwrap();
    let [mut sleeper, mut next, mut last] = [0; 3].map(|_| Task::new(gauge.acquire()));
    assert!(sleeper.poll().is_pending() && next.poll().is_pending());
    drop(held);
    assert_eq!(gauge.snapshot().in_flight, 1, "the turn of the first has come");
    clock.advance(Duration::from_millis(999));
    assert!(next.poll_if_rung().is_pending());
    clock.advance(Duration::from_millis(1));
    let permit = granted(next.poll_if_rung());
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.turns_passed_on, snapshot.cancelled, snapshot.in_line), (1, 1, 0));
    // It stands where it stood as soon as it is looked after.
    assert!(last.poll().is_pending() && sleeper.poll().is_pending());
    drop(permit);
    assert!(last.poll_if_rung().is_pending());
    let permit = granted(sleeper.poll_if_rung());
    assert_eq!((gauge.snapshot().admitted, gauge.snapshot().turns_passed_on), (4, 1));
    drop(permit);
    drop(granted(last.poll_if_rung()));
}

#[test]
fn whose_turn_went_to_others_waits_on_but_not_beyond_its_deadline() {
    let (gauge, clock) = gauge(1, Line::fifo(3));
    let held = gauge.try_acquire().unwrap();
    let deadline = Arrival::new().deadline(clock.now() + Duration::from_millis(2_100));
    let [mut keeps, mut late, leaves] =
        [Arrival::new(), deadline, Arrival::new()].map(|arrival| Task::new(gauge.acquire_for(arrival)));
    assert!(keeps.poll().is_pending());
    clock.advance(Duration::from_millis(900)); // of the second that it may wait
    drop(held);
    clock.advance(Duration::from_millis(999));
    assert!(late.poll().is_pending());
    clock.advance(Duration::from_millis(1));
    assert_eq!(gauge.snapshot().turns_passed_on, 1, "the next has its turn");
    // A tenth of a second is left to it.
    assert!(keeps.poll().is_pending());
    clock.advance(Duration::from_millis(99));
    assert!(keeps.poll_if_rung().is_pending());
    clock.advance(Duration::from_millis(1));
    assert_eq!(refused(keeps.poll_if_rung()), Reason::WaitedTooLong);
    clock.advance(Duration::from_secs(1));
    assert_eq!(refused(late.poll()), Reason::DeadlinePassed, "its turn was given on, too");
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.in_line, snapshot.turns_passed_on), (0, 0, 2));

    let held = gauge.try_acquire().unwrap();
    let mut kept = Task::new(gauge.acquire());
    assert!(kept.poll().is_pending());
    drop((held, leaves));
    clock.advance(Duration::from_secs(60));
    drop(granted(kept.poll()));
}

#[test]
fn a_drain_does_not_wait_for_a_turn_that_nobody_fetches() {
    let (gauge, clock) = gauge(1, Line::fifo(3));
    let held = gauge.try_acquire().unwrap();
    let mut sleeper = Task::new(gauge.acquire());
    assert!(sleeper.poll().is_pending());
    drop(held);
    let mut drain = Task::new(gauge.drain());
    assert!(drain.poll().is_pending());
    clock.advance(Duration::from_secs(1));
    assert!(drain.poll_if_rung().is_ready());
    assert_eq!(refused(sleeper.poll()), Reason::Closed);
}
