//! Who is served where nobody waits and there is not enough for all.

use super::*;

fn ranked(limit: u32) -> (PressureGauge, ManualClock) {
    gauge(limit, Line::fifo(0))
}

fn of(priority: Priority) -> Arrival {
    Arrival::new().priority(priority)
}

/// Calls of these priorities come one after the other, 10 ms apart, and each that is admitted takes 200 ms; how many of each are refused.
fn refused(gauge: &PressureGauge, clock: &ManualClock, calls: usize, come: &[Arrival]) -> Vec<usize> {
    let mut running = std::collections::VecDeque::new();
    let mut refused = vec![0; come.len()];
    for call in 0..calls {
        clock.advance(Duration::from_millis(10));
        let now = clock.now();
        while running.front().is_some_and(|(until, _)| *until <= now) {
            running.pop_front();
        }
        let kind = call % come.len();
        match gauge.try_acquire_for(come[kind]) {
            Ok(permit) => running.push_back((now + Duration::from_millis(200), permit.into_owned())),
            Err(_) => refused[kind] += 1,
        }
    }
    refused
}

#[test]
fn the_less_important_are_refused_first() {
    // It can do 50 a second, and 100 come, of which a quarter is critical.
    let (gauge, clock) = ranked(10);
    let come = [Priority::Critical, Priority::Low, Priority::Low, Priority::Low].map(of);
    let refused = refused(&gauge, &clock, 4_000, &come);
    assert!(refused[0] < 20, "{refused:?} of 1000 each");
    assert!(refused[1] > 400, "{refused:?} of 1000 each");
    let snapshot = gauge.snapshot();
    assert!(snapshot.refused.by(Reason::Outranked) > 1_000, "{snapshot:?}");
}

#[test]
fn of_equal_priority_retries_are_refused_first() {
    let (gauge, clock) = ranked(10);
    let come = [Arrival::new(), Arrival::new().retry(true)];
    let refused = refused(&gauge, &clock, 4_000, &come);
    assert!(refused[0] < 200, "{refused:?} of 2000 each");
    assert!(refused[1] > 1_500, "{refused:?} of 2000 each");
    assert_eq!(gauge.snapshot().retries, 2_000, "they are counted, admitted or refused");
}

#[test]
fn a_retry_that_waits_is_counted_once() {
    let gauge = PressureGauge::builder().limit(1).line(Line::fifo(1)).build().unwrap();
    let retry = Arrival::new().retry(true);
    let held = gauge.try_acquire().unwrap();
    let mut waits = Task::new(gauge.acquire_for(retry));
    assert!(waits.poll().is_pending());
    assert_eq!(reason(gauge.acquire_blocking_for(retry)), Reason::LineFull);
    drop(held);
    drop(granted(waits.poll_if_rung()));
    assert_eq!(gauge.snapshot().retries, 2);
}

#[test]
fn a_retry_goes_before_the_next_lower_priority() {
    let (gauge, clock) = ranked(10);
    let come = [Arrival::new().retry(true), of(Priority::Low)];
    let refused = refused(&gauge, &clock, 4_000, &come);
    assert!(refused[0] < 200 && refused[1] > 1_500, "{refused:?} of 2000 each");
}

#[test]
fn without_pressure_each_call_may_have_every_place() {
    let (gauge, _clock) = ranked(4);
    let _critical = gauge.try_acquire_for(of(Priority::Critical)).unwrap();
    let others: Vec<_> = (0..3).map(|_| gauge.try_acquire_for(of(Priority::Background)).unwrap()).collect();
    assert_eq!(others.len(), 3);
}

#[test]
fn where_nothing_runs_the_least_important_runs_and_a_dear_one_has_all_places() {
    let (gauge, clock) = ranked(10);
    let come = [Priority::Critical, Priority::Background].map(of);
    refused(&gauge, &clock, 2_000, &come);
    let dear = of(Priority::Background).cost(10);
    assert!(gauge.try_acquire_for(dear).is_ok());
    assert_eq!(gauge.try_acquire_for(dear.cost(11)).unwrap_err().reason, Reason::CostAboveLimit);
}

#[test]
fn once_the_pressure_is_over_nothing_is_kept() {
    let (gauge, clock) = ranked(10);
    refused(&gauge, &clock, 2_000, &[Priority::Critical, Priority::Low].map(of));
    clock.advance(Duration::from_secs(20));
    let all: Vec<_> = (0..10).filter_map(|_| gauge.try_acquire_for(of(Priority::Low)).ok()).collect();
    assert_eq!(all.len(), 10);
}

#[test]
fn whoever_only_waits_keeps_nothing_for_anybody() {
    // In a line, the order is what counts.
    let (gauge, clock) = gauge(10, Line::fifo(10));
    refused(&gauge, &clock, 2_000, &[Priority::Critical, Priority::Low].map(of));
    let all: Vec<_> = (0..10).map(|_| Task::new(gauge.acquire_for(of(Priority::Low))).poll()).collect();
    assert!(all.iter().all(|answer| matches!(answer, Poll::Ready(Ok(_)))));
}

#[test]
fn a_rejection_says_that_more_important_calls_are_the_reason() {
    let (gauge, clock) = ranked(10);
    let come = [Priority::Critical, Priority::Low, Priority::Low, Priority::Low].map(of);
    refused(&gauge, &clock, 1_000, &come);
    let _one = gauge.try_acquire_for(of(Priority::Critical)).unwrap();
    let all: Vec<_> = (0..10).map_while(|_| gauge.try_acquire_for(of(Priority::Low)).ok()).collect();
    let rejected = gauge.try_acquire_for(of(Priority::Low)).unwrap_err();
    assert_eq!(rejected.reason, Reason::Outranked);
    assert!(all.len() < 9, "{rejected}");
    let text = rejected.to_string();
    assert!(text.contains("what is free is kept for more important calls"), "{text}");
}

#[test]
fn a_priority_is_read_from_its_word_alone() {
    for priority in Priority::ALL {
        assert_eq!(priority.as_str().parse(), Ok(*priority));
    }
    for wrong in ["", "Critical", " low", "urgent", "0"] {
        let error = wrong.parse::<Priority>().unwrap_err();
        let said = format!("priority is {wrong:?}; allowed: critical, high, normal, low, background");
        assert_eq!(error.to_string(), said);
    }
}

/// What is due to the least important waited for a moment at which nobody came, and all of it came at once.
#[test]
fn a_dear_call_of_low_rank_has_its_turn_though_more_important_ones_come_with_each_place() {
    let clock = ManualClock::new();
    let line = Line::fifo(100).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().limit(10).line(line).clock(clock.clone()).build().unwrap();
    let mut held: VecDeque<_> = (0..10).map(|_| gauge.try_acquire().unwrap().into_owned()).collect();
    let mut dear = Task::new(gauge.acquire_for(of(Priority::Background).cost(10)));
    assert!(dear.poll().is_pending());
    let mut waiting = VecDeque::new();
    let mut has_come = None;
    for turn in 0..2_000 {
        clock.advance(Duration::from_millis(10));
        drop(held.pop_front());
        let mut critical = Task::new(gauge.acquire_for(of(Priority::Critical)));
        match critical.poll() {
            Poll::Ready(permit) => held.push_back(permit.unwrap()),
            Poll::Pending => waiting.push_back(critical),
        }
        if let (None, Poll::Ready(permit)) = (has_come, dear.poll_if_rung()) {
            has_come = Some(turn);
            drop(permit.unwrap());
        }
        while let Some(Poll::Ready(permit)) = waiting.front_mut().map(Task::poll_if_rung) {
            held.push_back(permit.unwrap());
            waiting.pop_front();
        }
        if has_come.is_some() {
            break;
        }
    }
    assert!(has_come.is_some_and(|turn| turn < 600), "ten places are 2 % of 500: {has_come:?}");
}
