//! A limit that moves: what the gauge tells its controller, and what it does with the answers.

use std::{
    future::Future,
    ops::RangeInclusive,
    pin::pin,
    sync::{Arc, Mutex, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use pushback::{
    Arrival, BuildError, Clock, Line, ManualClock, Outcome, PressureGauge, Reason,
    limit::{Auto, Controller, Decision, Limit, Sample, Start, Totals, Vegas},
};

use super::CountingClock;

/// Decides what it is told to, and keeps what it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripted {
    seen: Arc<Mutex<Vec<(Sample, f64)>>>,
    next: Arc<Mutex<Vec<f64>>>,
    /// What was counted whenever it was to measure anew.
    anew: Arc<Mutex<Vec<Totals>>>,
    /// Whether what it decides is a look.
    looks: bool,
}

impl Scripted {
    pub(super) fn deciding(decisions: impl IntoIterator<Item = f64>) -> Self {
        let mut decisions: Vec<_> = decisions.into_iter().collect();
        decisions.reverse();
        Scripted { next: Arc::new(Mutex::new(decisions)), ..Scripted::default() }
    }

    pub(super) fn looking(decisions: impl IntoIterator<Item = f64>) -> Self {
        Scripted { looks: true, ..Scripted::deciding(decisions) }
    }

    pub(super) fn seen(&self) -> Vec<(Sample, f64)> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn anew(&self) -> Vec<Totals> {
        self.anew.lock().unwrap().clone()
    }
}

impl Limit for Scripted {
    fn start(&self) -> Result<Start, BuildError> {
        Ok(Start::moving(4, self.clone()))
    }
}

impl Controller for Scripted {
    fn observe(&mut self, sample: &Sample, limit: f64) -> Option<Decision> {
        self.seen.lock().unwrap().push((*sample, limit));
        let next = self.next.lock().unwrap().pop()?;
        assert!(next != -1.0, "a controller that panics");
        Some(Decision::new(next, "told so"))
    }

    fn is_looking(&self) -> bool {
        self.looks
    }

    fn rest(&mut self, _now: Duration, _totals: Totals) -> Option<Decision> {
        self.looks = false;
        Some(Decision::new(40.0, "at rest"))
    }

    fn measure_anew(&mut self, _now: Duration, totals: Totals) {
        self.anew.lock().unwrap().push(totals);
        assert!(self.next.lock().unwrap().last() != Some(&-2.0), "a controller that panics");
    }

    fn bounds(&self) -> RangeInclusive<u32> {
        2..=50
    }
}

pub(super) fn gauge(limit: &Scripted, clock: &ManualClock) -> PressureGauge {
    PressureGauge::builder().limit(limit.clone()).clock(clock.clone()).build().unwrap()
}

pub(super) fn run(gauge: &PressureGauge, clock: &ManualClock, time: u64) {
    let permit = gauge.try_acquire().unwrap();
    clock.advance(Duration::from_millis(time));
    drop(permit);
}

#[test]
fn each_call_that_ended_is_told_once_with_its_times_and_whom_it_met() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let first = gauge.try_acquire().unwrap();
    clock.advance(Duration::from_millis(5));
    let mut second = gauge.try_acquire().unwrap().into_owned();
    clock.advance(Duration::from_millis(10));
    assert!(gauge.try_acquire_for(Arrival::new().cost(3)).is_err());
    second.record(Outcome::Overload);
    drop(second);
    clock.advance(Duration::from_millis(1));
    drop(first);
    let ms = Duration::from_millis;
    let told = |began, ended, in_flight, outcome| {
        let (began, ended) = (ms(began), ms(ended));
        let mut sample = Sample::new(began, ended);
        (sample.in_flight, sample.outcome) = (in_flight, outcome);
        (sample.totals.admitted, sample.totals.refused, sample.totals.timed) = (2, 1, 2);
        (sample, 4.0)
    };
    assert_eq!(limit.seen(), [told(5, 15, 2, Outcome::Overload), told(0, 16, 1, Outcome::Success)]);
}

#[test]
fn how_long_callers_wait_is_told_as_far_as_their_deadlines_say_also_from_the_line() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    gauge.set_limit(1);
    let ms = Duration::from_millis;
    let in_time = |millis| Arrival::new().deadline(clock.now() + ms(millis));
    run(&gauge, &clock, 5);
    let first = gauge.try_acquire_for(in_time(300)).unwrap();
    let mut waiting = pin!(gauge.acquire_for(in_time(300)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    clock.advance(ms(100));
    drop(first);
    let Poll::Ready(Ok(permit)) = waiting.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("its turn has come");
    };
    drop(permit);
    let patience =
        |seen: Vec<(Sample, f64)>| seen.iter().map(|(sample, _)| sample.patience).collect::<Vec<_>>();
    let told = patience(limit.seen());
    assert_eq!(
        told[..2],
        [None, Some(ms(300))],
        "it has another 200 ms to wait when its turn has come: {told:?}"
    );
    assert!(told[2] < Some(ms(300)) && told[2] >= Some(ms(200)), "{told:?}");
    (0..50).for_each(|_| drop(gauge.try_acquire_for(in_time(200)).unwrap()));
    assert_eq!(patience(limit.seen()).last(), Some(&Some(ms(200))));
    (0..1000).for_each(|_| drop(gauge.try_acquire().unwrap()));
    assert_eq!(patience(limit.seen()).last(), Some(&None), "nobody says so any more");
}

#[test]
fn a_call_that_says_nothing_about_the_load_is_not_told() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let mut permit = gauge.try_acquire().unwrap();
    permit.record(Outcome::Ignore);
    drop(permit);
    assert_eq!(limit.seen(), []);
}

#[test]
fn a_call_that_is_not_timed_reads_no_clock_whatever_is_said_of_it() {
    let (limit, clock) = (Scripted::default(), CountingClock::default());
    let gauge = PressureGauge::builder().limit(limit).clock(clock.clone()).build().unwrap();
    gauge.pin(4); // so that none is timed
    let before = clock.asked.load(Ordering::SeqCst);
    for outcome in [Outcome::Success, Outcome::Overload, Outcome::Ignore, Outcome::Cancelled] {
        let mut permit = gauge.try_acquire().unwrap();
        permit.record(outcome);
    }
    assert_eq!(clock.asked.load(Ordering::SeqCst), before);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.overloaded, snapshot.ignored, snapshot.cancelled), (1, 1, 1));
}

#[test]
fn the_wait_in_line_is_not_part_of_a_calls_time() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    gauge.set_limit(1);
    let first = gauge.try_acquire().unwrap();
    let mut waiting = pin!(gauge.acquire());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    clock.advance(Duration::from_millis(30));
    drop(first);
    let std::task::Poll::Ready(Ok(permit)) = waiting.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("its turn has come");
    };
    clock.advance(Duration::from_millis(7));
    drop(permit);
    assert_eq!(limit.seen()[1].0.time(), Duration::from_millis(7));
}

#[test]
fn decisions_keep_their_fraction_and_stay_in_bounds() {
    let (limit, clock) = (Scripted::deciding([7.9, 1000.0, 0.3]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let limits: Vec<u32> = (0..4)
        .map(|_| {
            run(&gauge, &clock, 1);
            gauge.snapshot().limit
        })
        .collect();
    assert_eq!(limits, [7, 50, 2, 2]);
    let told: Vec<f64> = limit.seen().iter().map(|(_, limit)| *limit).collect();
    assert_eq!(told, [4.0, 7.9, 50.0, 2.0]);
}

#[test]
fn what_is_no_number_and_a_panic_change_nothing_and_are_counted() {
    let (limit, clock) = (Scripted::deciding([9.0, f64::NAN, f64::INFINITY, -1.0, 10.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    for _ in 0..4 {
        run(&gauge, &clock, 1);
    }
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.limit, snapshot.faults, snapshot.in_flight), (9, 3, 0));
    run(&gauge, &clock, 1);
    assert_eq!(gauge.snapshot().limit, 10, "the next decision counts again");
}

#[test]
fn an_operators_limit_is_where_the_controller_goes_on() {
    let (limit, clock) = (Scripted::deciding([8.5]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    run(&gauge, &clock, 1);
    gauge.set_limit(30);
    run(&gauge, &clock, 1);
    assert_eq!((gauge.snapshot().limit, limit.seen()[1].1), (30, 30.0));
}

#[test]
fn a_limit_that_grows_admits_those_in_line() {
    let (limit, clock) = (Scripted::deciding([6.0]), ManualClock::new());
    let gauge = PressureGauge::builder()
        .limit(limit.clone())
        .line(Line::fifo(10))
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut held: Vec<_> = (0..4).map(|_| gauge.try_acquire().unwrap()).collect();
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(gauge.acquire())).collect();
    let context = &mut Context::from_waker(Waker::noop());
    assert!(waiting.iter_mut().all(|call| call.as_mut().poll(context).is_pending()));
    held.pop();
    assert_eq!((gauge.snapshot().limit, gauge.snapshot().in_line), (6, 0));
}

#[test]
fn wrong_settings_are_named_when_the_gauge_is_built() {
    let wrong = PressureGauge::builder().limit(Vegas::new().initial(2000)).build().unwrap_err();
    assert_eq!(wrong.to_string(), "initial is 2000; allowed: a limit within its bounds");
}

#[test]
fn calls_from_many_threads_leave_nothing_in_flight_and_a_limit_within_bounds() {
    let gauge = PressureGauge::builder().limit(Vegas::new().bounds(1..=64).seed(7)).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let _ = gauge.process(|| std::hint::black_box(1 + 1));
                }
            });
        }
    });
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.faults), (0, 0));
    assert!((1..=64).contains(&snapshot.limit), "{}", snapshot.limit);
}

#[test]
fn a_snapshot_says_why_the_limit_stands_where_it_does() {
    let (limit, clock) = (Scripted::deciding([9.0, 9.5, 7.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let why = gauge.snapshot().why.unwrap();
    assert_eq!((why.reason, why.timed), (None, 0), "nothing was decided yet");
    for _ in 0..3 {
        run(&gauge, &clock, 5);
    }
    clock.advance(Duration::from_secs(2));
    let why = gauge.snapshot().why.unwrap();
    assert_eq!((why.reason.as_deref(), why.ago), (Some("told so"), Duration::from_secs(2)));
    assert_eq!(why.moves, [("told so", 2)].into(), "half a place is no move");
    assert_eq!(why.timed, 3);
    assert_eq!(PressureGauge::new(3).snapshot().why, None, "a fixed limit has no reason");
}

/// One refused call used to open the limit to whatever it had asked for, over an operator's word too.
#[test]
fn what_a_call_asks_for_moves_no_limit() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let ask = |cost| gauge.try_acquire_for(Arrival::new().cost(cost));
    let cheap = ask(1).unwrap();
    for cost in [5, 9, 50, 51, u32::MAX] {
        assert!(ask(cost).is_err());
        assert_eq!(gauge.snapshot().limit, 4, "after a call of cost {cost}");
    }
    drop(cheap);
    gauge.set_limit(2);
    assert_eq!(ask(51).unwrap_err().reason, Reason::CostAboveLimit, "above the bounds it never fits");
    drop(ask(50).unwrap());
    assert_eq!(gauge.snapshot().limit, 2);
    let auto = PressureGauge::auto();
    drop(auto.try_acquire_for(Arrival::new().cost(90_000)));
    drop(auto.try_acquire_for(Arrival::new().cost(u32::MAX)));
    assert_eq!(auto.snapshot().limit, 4);
}

#[test]
fn a_limit_that_is_known_from_before_begins_there_within_its_bounds() {
    let begins = |limit: Auto| PressureGauge::builder().limit(limit).build().unwrap().snapshot().limit;
    assert_eq!(begins(Auto::new().initial(300)), 4);
    assert_eq!(begins(Auto::new().resume(300)), 300);
    assert_eq!(begins(Auto::new().resume(300).bounds(1..=100)), 100);
    assert_eq!(begins(Auto::new().resume(0)), 1);
}

#[test]
fn a_call_that_costs_more_than_a_limit_that_moves_runs_alone() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let ask = |cost| gauge.try_acquire_for(Arrival::new().cost(cost));
    let cheap = ask(1).unwrap();
    assert_eq!(ask(9).unwrap_err().reason, Reason::Full, "it is not alone");
    drop(cheap);
    let dear = ask(9).unwrap();
    assert_eq!(gauge.snapshot().in_flight, 9);
    assert_eq!(ask(1).unwrap_err().reason, Reason::Full, "it runs alone");
    assert_eq!(ask(9).unwrap_err().reason, Reason::Full);
    clock.advance(Duration::from_millis(7));
    drop(dear);
    assert_eq!(gauge.snapshot().in_flight, 0);
    let seen = limit.seen();
    assert_eq!(seen.last().unwrap().0.in_flight, 4, "what it asked for is no sign of room");
    gauge.set_limit(0);
    assert_eq!(ask(9).unwrap_err().reason, Reason::CostAboveLimit, "an operator wants nothing admitted");
}

#[test]
fn a_call_that_costs_more_than_a_limit_that_moves_waits_until_it_is_alone() {
    let (limit, clock) = (Scripted::deciding([]), ManualClock::new());
    let line = Line::fifo(10);
    let gauge =
        PressureGauge::builder().limit(limit.clone()).line(line).clock(clock.clone()).build().unwrap();
    let cheap = [gauge.try_acquire().unwrap(), gauge.try_acquire().unwrap()];
    let mut dear = pin!(gauge.acquire_for(Arrival::new().cost(9)));
    let mut next = pin!(gauge.acquire());
    let mut context = Context::from_waker(Waker::noop());
    assert!(dear.as_mut().poll(&mut context).is_pending());
    assert!(next.as_mut().poll(&mut context).is_pending());
    gauge.set_limit(3);
    drop(cheap);
    let Poll::Ready(Ok(dear)) = dear.poll(&mut context) else { panic!("it is alone now") };
    assert_eq!(gauge.snapshot().in_flight, 9);
    assert!(next.as_mut().poll(&mut context).is_pending(), "nobody runs beside it");
    drop(dear);
    assert!(next.poll(&mut context).is_ready());
}

/// A limit lowered for a look used to stay when the load ended just then, and to refuse the next callers.
#[test]
fn a_look_ends_when_the_load_does() {
    for deciding in [vec![2.0], vec![3.0, 2.0]] {
        let (limit, clock) = (Scripted::looking(deciding.clone()), ManualClock::new());
        let gauge = gauge(&limit, &clock);
        for _ in &deciding {
            run(&gauge, &clock, 5);
        }
        assert_eq!(gauge.snapshot().limit, 2, "it looks");
        for _ in 0..20 {
            run(&gauge, &clock, 50);
        }
        assert_eq!(gauge.snapshot().limit, 2, "calls go on, so the look does");
        let held = gauge.try_acquire().unwrap();
        clock.advance(Duration::from_secs(5));
        assert_eq!(gauge.snapshot().limit, 2, "a call is still in flight");
        drop(held);
        clock.advance(Duration::from_millis(250));
        assert_eq!(gauge.snapshot().limit, 40, "as it was before");
        assert_eq!(gauge.snapshot().why.unwrap().reason.as_deref(), Some("at rest"));
    }
    let (limit, clock) = (Scripted::looking([2.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    run(&gauge, &clock, 5);
    gauge.set_limit(7);
    clock.advance(Duration::from_secs(5));
    assert_eq!(gauge.snapshot().limit, 7, "an operator's word stays");
}

/// Of a million a second one in hundreds is timed. When five a second come after that, all of them are.
#[test]
fn a_load_that_falls_is_seen_within_two_seconds() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(Auto::new()).seed(1).clock(clock.clone()).build().unwrap();
    for _ in 0..1_000 {
        for _ in 0..1_000 {
            drop(gauge.try_acquire().unwrap());
        }
        clock.advance(Duration::from_millis(1));
    }
    clock.advance(Duration::from_secs(2));
    let timed = || gauge.snapshot().why.unwrap().timed;
    let before = timed();
    assert!(before < 500_000, "{before} of a million were timed");
    for _ in 0..10 {
        drop(gauge.try_acquire().unwrap());
        clock.advance(Duration::from_millis(200));
    }
    assert_eq!(timed() - before, 10);
}
