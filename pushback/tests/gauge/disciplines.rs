//! Who is next in a line of each discipline, and who is refused.

use pushback::Acquire;

use super::*;

/// The call whose turn has come, if any has.
fn served_now(tasks: &mut [Task<Acquire<'_>>]) -> Option<(usize, OwnedPermit)> {
    tasks.iter_mut().enumerate().find_map(|(index, task)| match task.poll_if_rung() {
        Poll::Ready(Ok(permit)) => Some((index, permit)),
        _ => None,
    })
}

/// Serves whoever waits, one after the other, each for so long; gives in which order they were served.
fn serve_all(
    clock: &ManualClock,
    held: OwnedPermit,
    tasks: &mut [Task<Acquire<'_>>],
    each: Duration,
) -> Vec<usize> {
    let (mut served, mut last) = (Vec::new(), held);
    loop {
        clock.advance(each);
        drop(last);
        let Some((index, permit)) = served_now(tasks) else { return served };
        served.push(index);
        last = permit;
    }
}

fn waiting(gauge: &PressureGauge, many: usize) -> Vec<Task<Acquire<'_>>> {
    let mut tasks: Vec<_> = (0..many).map(|_| Task::new(gauge.acquire())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    tasks
}

#[test]
fn a_lifo_line_serves_whoever_came_last() {
    let (gauge, clock) = gauge(1, Line::lifo(3));
    let held = gauge.try_acquire().unwrap().into_owned();
    let mut tasks = waiting(&gauge, 3);
    assert_eq!(serve_all(&clock, held, &mut tasks, Duration::ZERO), [2, 1, 0]);
}

#[test]
fn a_full_lifo_line_refuses_its_oldest_and_takes_the_new_one_unless_that_is_less_important() {
    let (gauge, _clock) = gauge(1, Line::lifo(2));
    let _held = gauge.try_acquire().unwrap();
    let mut tasks = waiting(&gauge, 2);
    let mut newest = Task::new(gauge.acquire());
    assert!(newest.poll().is_pending());
    let Poll::Ready(Err(refused)) = tasks[0].poll_if_rung() else { panic!("it made way") };
    assert_eq!(refused.reason, Reason::Displaced);
    assert!(tasks[1].poll_if_rung().is_pending());
    let low = Arrival::new().priority(Priority::Low);
    assert_eq!(reason(gauge.acquire_blocking_for(low)), Reason::LineFull);
}

#[test]
fn among_the_more_important_a_lifo_line_serves_whoever_came_last_too() {
    let (gauge, clock) = gauge(1, Line::lifo(4));
    let held = gauge.try_acquire().unwrap().into_owned();
    let priorities = [Priority::High, Priority::Normal, Priority::High, Priority::Normal];
    let of = |priority| Task::new(gauge.acquire_for(Arrival::new().priority(priority)));
    let mut tasks: Vec<_> = priorities.into_iter().map(of).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    assert_eq!(serve_all(&clock, held, &mut tasks, Duration::ZERO), [2, 0, 3, 1]);
}

/// A hundred calls come at once to a place that serves one in 2 ms: a short line would be ten long.
fn of_a_hundred_at_once(line: Line) -> (Vec<usize>, u64) {
    let (gauge, clock) = gauge(1, line);
    let held = gauge.try_acquire().unwrap().into_owned();
    let mut tasks = waiting(&gauge, 100);
    let served = serve_all(&clock, held, &mut tasks, Duration::from_millis(2));
    (served, gauge.snapshot().refused.by(Reason::WaitedTooLong))
}

#[test]
fn a_plain_line_serves_all_of_a_crowd_and_codel_refuses_whoever_waits_in_a_line_that_stands() {
    assert_eq!(of_a_hundred_at_once(Line::fifo(100)), ((0..100).collect(), 0));
    let (served, refused) = of_a_hundred_at_once(Line::codel(100));
    assert_eq!(served.len() as u64 + refused, 100);
    assert!(served.is_sorted(), "whoever came first is next: {served:?}");
    // The pace is known after eight turns of 2 ms, when nobody has waited for a target of 20 ms yet. After the first interval of
    // three, all in the second have.
    assert!((66..=70).contains(&served.len()), "{served:?}");
}

#[test]
fn an_adaptive_line_begins_with_the_oldest_and_turns_round_when_it_stands() {
    let (gauge, clock) = gauge(1, Line::adaptive_lifo(200));
    let mut last = gauge.try_acquire().unwrap().into_owned();
    let (mut tasks, mut served) = (Vec::new(), Vec::new());
    // Two come in the time that one takes.
    for _ in 0..90 {
        for _ in 0..2 {
            let mut task = Task::new(gauge.acquire());
            assert!(task.poll().is_pending());
            tasks.push(task);
        }
        clock.advance(Duration::from_millis(2));
        drop(last);
        let (index, permit) = served_now(&mut tasks).expect("somebody waits");
        served.push(index);
        last = permit;
    }
    assert_eq!(served[..40], (0..40).collect::<Vec<_>>(), "whoever came first");
    assert!(served[60..].windows(2).all(|two| two[0] + 2 == two[1]), "the newest each time: {served:?}");
    assert!(gauge.snapshot().refused.by(Reason::WaitedTooLong) > 0, "the old end is refused");
}

/// In which order fifty-three important calls and two that are not are served, by whether each is important.
fn served_in_order(line: Line) -> (Vec<bool>, u64) {
    let (gauge, clock) = gauge(1, line);
    let held = gauge.try_acquire().unwrap().into_owned();
    let low = || Task::new(gauge.acquire_for(Arrival::new().priority(Priority::Low)));
    let mut tasks = vec![low(), low()];
    tasks.extend((0..53).map(|_| Task::new(gauge.acquire())));
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
    let order = serve_all(&clock, held, &mut tasks, Duration::ZERO);
    (order.into_iter().map(|index| index > 1).collect(), gauge.snapshot().starvation_grants)
}

#[test]
fn two_of_a_hundred_places_go_to_the_least_important() {
    let (order, grants) = served_in_order(Line::fifo(100));
    assert_eq!(order.iter().position(|is_important| !is_important), Some(50));
    assert_eq!((order.iter().rposition(|is_important| *is_important), grants), (Some(53), 1));
}

#[test]
fn without_starvation_grants_the_order_is_strict() {
    let (order, grants) = served_in_order(Line::fifo(100).starvation_grants(0));
    assert_eq!((order.iter().position(|is_important| !is_important), grants), (Some(53), 0));
}
