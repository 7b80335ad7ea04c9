//! An operator's word about a limit that moves: it stays where it is pinned, and goes on from where it is set.

use std::time::Duration;

use pushback::{
    ManualClock, Outcome, PressureGauge,
    limit::{Aimd, Auto, Gradient2, Limit},
};

use super::{
    adaptive::{Scripted, gauge, run},
    outsiders::Service,
};

fn stands(gauge: &PressureGauge) -> (u32, bool) {
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.faults), (0, 0));
    (snapshot.limit, snapshot.pinned)
}

fn why(gauge: &PressureGauge) -> (String, Duration) {
    let why = gauge.snapshot().why.unwrap();
    (why.reason.unwrap_or_default().into_owned(), why.ago)
}

#[test]
fn a_pinned_limit_stays_and_its_controller_is_not_asked_until_it_is_let_go() {
    let (limit, clock) = (Scripted::deciding([9.5, 7.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    run(&gauge, &clock, 1);
    assert_eq!(stands(&gauge), (9, false));
    let before = gauge.try_acquire().unwrap();
    gauge.pin(60);
    drop(before);
    for _ in 0..5 {
        run(&gauge, &clock, 1);
    }
    assert_eq!(stands(&gauge), (60, true), "it moves no further than 50 by itself");
    assert_eq!(why(&gauge), ("pinned by an operator".to_owned(), Duration::from_millis(5)));
    gauge.set_limit(12);
    run(&gauge, &clock, 1);
    assert_eq!(stands(&gauge), (12, true));
    assert_eq!(why(&gauge), ("pinned by an operator".to_owned(), Duration::from_millis(1)));
    let held: Vec<_> = (0..12).map(|_| gauge.try_acquire().unwrap()).collect();
    assert!(gauge.try_acquire().is_err(), "it is what admits");
    drop(held);
    assert_eq!(gauge.snapshot().why.unwrap().timed, 2, "those before it");
    gauge.unpin();
    assert_eq!(stands(&gauge), (12, false));
    assert_eq!(why(&gauge).0, "unpinned by an operator");
    assert_eq!(limit.seen().len(), 1);
    run(&gauge, &clock, 1);
    assert_eq!((stands(&gauge), limit.seen()[1].1), ((7, false), 12.0));
    assert_eq!(why(&gauge).0, "told so");
}

#[test]
fn a_controller_measures_anew_whenever_it_goes_on_from_an_operators_word() {
    let (limit, clock) = (Scripted::default(), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    let told = || limit.anew().into_iter().map(|totals| totals.admitted).collect::<Vec<_>>();
    run(&gauge, &clock, 1);
    gauge.unpin();
    assert!(told().is_empty(), "it was not pinned");
    gauge.set_limit(8);
    assert_eq!(told(), [1]);
    gauge.pin(9);
    gauge.set_limit(10);
    run(&gauge, &clock, 1);
    assert_eq!(told(), [1], "it is not asked");
    gauge.unpin();
    gauge.unpin();
    assert_eq!(told(), [1, 2]);
}

#[test]
fn an_operator_is_obeyed_also_where_the_controller_panics() {
    let (limit, clock) = (Scripted::deciding([-2.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    gauge.set_limit(8);
    gauge.pin(9);
    gauge.unpin();
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.limit, snapshot.pinned, snapshot.faults), (9, false, 2));
}

#[test]
fn to_pin_a_fixed_limit_is_to_set_it() {
    let gauge = PressureGauge::new(3);
    gauge.pin(5);
    assert_eq!((stands(&gauge), gauge.snapshot().why), ((5, false), None));
    gauge.unpin();
    assert_eq!(stands(&gauge), (5, false));
}

#[test]
fn a_look_that_was_running_does_not_end_while_it_is_pinned_or_afterwards() {
    let (limit, clock) = (Scripted::looking([2.0]), ManualClock::new());
    let gauge = gauge(&limit, &clock);
    run(&gauge, &clock, 5);
    gauge.pin(2);
    clock.advance(Duration::from_secs(5));
    assert_eq!(stands(&gauge), (2, true));
    gauge.unpin();
    clock.advance(Duration::from_secs(5));
    assert_eq!(stands(&gauge), (2, false));
}

#[test]
fn auto_goes_on_from_where_it_was_pinned() {
    let mut service = Service::new();
    // Where it stands, and not where a look at fewer in flight happens to have it at the end.
    let mut steps = |gauge: Option<u32>| {
        let mut limits = Vec::new();
        for _ in 0..10_000 {
            service.overload(8);
            service.step();
            limits.push(service.limit());
            if let Some(pinned) = gauge {
                assert_eq!(service.limit(), pinned);
            }
        }
        let last = &mut limits[5_000..];
        last.sort_unstable();
        (last[last.len() / 2], service.gauge.clone())
    };
    let (usual, gauge) = steps(None);
    gauge.pin(60);
    steps(Some(60));
    gauge.unpin();
    assert_eq!(gauge.snapshot().limit, 60);
    let (later, _) = steps(None);
    assert!((usual / 2..=2 * usual).contains(&later), "{usual} before, {later} ten seconds after");
}

type Word = fn(&PressureGauge, u32);

const WORDS: [Word; 2] = [
    |gauge, limit| gauge.set_limit(limit),
    |gauge, limit| {
        gauge.pin(limit);
        gauge.unpin();
    },
];

/// The end of a look went back to the limit before it.
#[test]
fn the_end_of_a_look_overrides_no_operator() {
    for word in WORDS {
        let mut service = Service::new();
        let mut looks = 0;
        for _ in 0..60_000 {
            let before = service.limit();
            service.overload(8);
            service.step();
            if service.limit() == before || !service.why().contains("a look at fewer") {
                continue;
            }
            looks += 1;
            word(&service.gauge, service.limit());
            let said = service.why();
            while service.why() == said {
                service.overload(8);
                service.step();
            }
            let next = service.why();
            let is_its_end = next.contains("with fewer in flight calls take");
            assert!(!is_its_end && !next.contains("still queue"), "it looked on: {next}");
        }
        assert!(looks > 3, "{looks} looks");
    }
}

/// So did the end of a trial of whether fewer fail less, on its way down and at its look at half.
#[test]
fn what_turns_out_to_be_chance_overrides_no_operator() {
    for (word, at) in WORDS.into_iter().flat_map(|word| ["shrank", "a look at half"].map(|at| (word, at))) {
        let mut service = Service::new();
        let is_there = (0..60_000).any(|step| {
            let before = service.limit();
            service.begin_one(step > 10_000);
            service.step();
            step > 10_000 && service.limit() != before && service.why().contains(at)
        });
        assert!(is_there, "{at}");
        let low = service.limit();
        word(&service.gauge, low);
        let is_chance = (0..60_000).any(|_| {
            service.begin_one(true);
            service.step();
            assert!(service.limit() <= low, "{low} was set: {}", service.why());
            service.why().contains("so it is chance")
        });
        assert!(is_chance, "it finds out anew");
    }
}

#[test]
fn what_a_window_held_before_a_pin_does_not_count_after_it() {
    let limits: [Box<dyn Limit>; 2] =
        [Box::new(Aimd::new().bounds(1..=100).initial(30)), Box::new(Gradient2::new().initial(30))];
    for limit in limits {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(limit).clock(clock.clone()).build().unwrap();
        let run = |times: u32, time, outcome| {
            for _ in 0..times {
                let mut permits = [(); 20].map(|()| gauge.try_acquire().unwrap());
                clock.advance(Duration::from_millis(time));
                permits.iter_mut().for_each(|permit| permit.record(outcome));
            }
        };
        run(20, 100, Outcome::Success);
        run(2, 200, Outcome::Overload);
        gauge.pin(30);
        clock.advance(Duration::from_secs(10));
        gauge.unpin();
        gauge.process(|| clock.advance(Duration::from_millis(1))).unwrap();
        assert_eq!(stands(&gauge), (30, false), "{}", why(&gauge).0);
    }
}

#[test]
fn a_pinned_gauge_times_no_call_and_finds_out_afterwards_how_many_it_must() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(Auto::new()).seed(1).clock(clock.clone()).build().unwrap();
    let timed = || gauge.snapshot().why.unwrap().timed;
    let admit_a_million_a_second = |millis: u64| {
        let before = timed();
        for _ in 0..1_000 * millis {
            drop(gauge.try_acquire().unwrap());
            clock.advance(Duration::from_micros(1));
        }
        timed() - before
    };
    gauge.pin(100);
    assert_eq!(admit_a_million_a_second(300), 0);
    gauge.unpin();
    let many = admit_a_million_a_second(300);
    assert!((100_000..150_000).contains(&many), "{many}: all, for a tenth of a second");
    gauge.pin(100);
    assert_eq!(admit_a_million_a_second(300), 0);
    gauge.unpin();
    let some = admit_a_million_a_second(300);
    assert!((200..10_000).contains(&some), "{some}: it knew");
    gauge.pin(100);
    clock.advance(Duration::from_secs(5));
    gauge.unpin();
    let before = timed();
    for _ in 0..10 {
        drop(gauge.try_acquire().unwrap());
        clock.advance(Duration::from_millis(200));
    }
    assert_eq!(timed() - before, 10, "fewer calls came meanwhile");
}
