//! Other people's code around a gauge: clocks, wakers and executors that do what they should not, or much of what they may.

use pushback::limit::Auto;

use super::*;

/// A clock that panics when it is told to.
#[derive(Debug, Clone, Default)]
struct Broken {
    hands: ManualClock,
    panics: Arc<AtomicU32>,
}

impl Broken {
    fn panic_if_broken(&self) {
        assert!(self.panics.load(Ordering::SeqCst) == 0, "a broken clock");
    }
}

impl Clock for Broken {
    fn now(&self) -> Instant {
        self.panic_if_broken();
        self.hands.now()
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        self.panic_if_broken();
        self.hands.ring_at(when, alarm);
    }
}

#[test]
fn a_clock_that_panics_takes_no_place_and_is_counted() {
    let clock = Broken::default();
    let auto = Auto::new().bounds(1..=1).initial(1);
    let gauge =
        PressureGauge::builder().limit(auto).line(Line::fifo(2)).clock(clock.clone()).build().unwrap();
    clock.panics.store(1, Ordering::SeqCst);
    let held = gauge.try_acquire().unwrap();
    let mut waiting = Task::new(gauge.acquire());
    assert!(waiting.poll().is_pending());
    drop(held);
    drop(granted(waiting.poll_if_rung()));
    clock.panics.store(0, Ordering::SeqCst);
    let snapshot = gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.in_line), (0, 0));
    assert!(snapshot.faults > 0);
    assert!(gauge.try_acquire().is_ok());
}

#[test]
fn a_clock_that_jumps_by_years_moves_no_limit() {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(Auto::new()).clock(clock.clone()).build().unwrap();
    let call = || {
        let permit = gauge.try_acquire().unwrap();
        clock.advance(Duration::from_millis(20));
        drop(permit);
    };
    (0..200).for_each(|_| call());
    let before = gauge.snapshot().limit;
    let across: Vec<_> = (0..before / 2).map(|_| gauge.try_acquire().unwrap()).collect();
    clock.advance(YEARS);
    drop(across);
    (0..200).for_each(|_| call());
    assert!(gauge.snapshot().limit >= before, "{} after {before}", gauge.snapshot().limit);
}

/// Looks at the gauge when it is woken.
struct Looks {
    gauge: PressureGauge,
    in_line: Arc<AtomicU32>,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        self.in_line.fetch_max(self.gauge.snapshot().in_line, Ordering::SeqCst);
    }
}

/// However long a line is, nobody else waits until all of it is decided.
#[test]
fn others_have_their_turn_while_a_long_line_is_decided() {
    const LINE: u32 = 5_000;
    let ways: [fn(&PressureGauge); 3] =
        [|gauge| gauge.set_limit(LINE), |gauge| gauge.set_limit(0), PressureGauge::close];
    for way in ways {
        let (gauge, _clock) = gauge(1, Line::fifo(LINE));
        let _held = gauge.try_acquire().unwrap();
        let in_line = Arc::new(AtomicU32::new(0));
        let waker = Waker::from(Arc::new(Looks { gauge: gauge.clone(), in_line: Arc::clone(&in_line) }));
        let mut waiting: Vec<_> = (0..LINE).map(|_| gauge.acquire()).collect();
        for acquire in &mut waiting {
            assert!(Pin::new(acquire).poll(&mut Context::from_waker(&waker)).is_pending());
        }
        way(&gauge);
        assert!(gauge.snapshot().in_line <= 1, "all but one have their answer");
        assert!(in_line.load(Ordering::SeqCst) > LINE / 2, "the first were woken when all were decided");
    }
}

#[test]
fn a_task_that_is_always_admitted_lets_others_go_first_now_and_then() {
    let gauge = PressureGauge::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let greedy = tokio::spawn({
            let gauge = gauge.clone();
            async move {
                loop {
                    drop(gauge.acquire().await.unwrap());
                }
            }
        });
        // Each time this goes on, the other has let it.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        greedy.abort();
    });
    assert!(gauge.snapshot().admitted >= 100);
}
