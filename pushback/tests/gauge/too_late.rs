//! Who need not wait, for the turn would come too late.

use pushback::Acquire;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// One place that comes back each 10 ms, before a line whose pace is known; so many wait in it.
struct Scene<'gauge> {
    clock: ManualClock,
    gauge: &'gauge PressureGauge,
    held: Option<OwnedPermit>,
    waiting: Vec<Task<Acquire<'gauge>>>,
}

impl<'gauge> Scene<'gauge> {
    fn new(gauge: &'gauge PressureGauge, clock: &ManualClock, waiting: usize) -> Self {
        let held = gauge.try_acquire().ok().map(Permit::into_owned);
        let mut scene = Scene { clock: clock.clone(), gauge, held, waiting: Vec::new() };
        for _ in 0..70 {
            assert_eq!(scene.come(Arrival::new()), None);
            scene.turn();
        }
        for _ in 0..waiting {
            assert_eq!(scene.come(Arrival::new()), None);
        }
        scene
    }

    /// A call comes, and waits or is refused.
    fn come(&mut self, arrival: Arrival) -> Option<Reason> {
        let mut task = Task::new(self.gauge.acquire_for(arrival));
        match task.poll() {
            Poll::Pending => self.waiting.push(task),
            Poll::Ready(answer) => return Some(reason(answer)),
        }
        None
    }

    /// The place comes back, and whoever came first has it.
    fn turn(&mut self) {
        self.clock.advance(ms(10));
        drop(self.held.take());
        self.held = Some(granted(self.waiting.remove(0).poll_if_rung()));
    }

    /// How many of those that waited have been refused for this.
    fn refused(&mut self) -> usize {
        let before = self.waiting.len();
        self.waiting.retain_mut(|task| match task.poll_if_rung() {
            Poll::Pending => true,
            Poll::Ready(answer) => {
                assert_eq!(reason(answer), Reason::TooLate);
                false
            }
        });
        before - self.waiting.len()
    }
}

#[test]
fn whoever_would_wait_for_too_long_is_refused_at_once() {
    let (gauge, clock) = gauge(1, Line::fifo(1_000).wait_at_most(ms(100)));
    let mut scene = Scene::new(&gauge, &clock, 0);
    let takes = (0..20).take_while(|_| scene.come(Arrival::new()).is_none()).count();
    // Ten have a turn in time, and some of them may be late by chance.
    assert!((3..10).contains(&takes), "{takes}");
    assert_eq!(scene.come(Arrival::new()), Some(Reason::TooLate));
    assert_eq!(scene.come(Arrival::new().priority(Priority::High)), None, "nobody stands before it");
    let snapshot = gauge.snapshot();
    assert_eq!(snapshot.refused.total(), snapshot.refused.by(Reason::TooLate));
}

#[test]
fn what_a_call_itself_says_counts_too() {
    let (gauge, clock) = gauge(1, Line::fifo(1_000).wait_at_most(Duration::from_secs(60)));
    let mut scene = Scene::new(&gauge, &clock, 20);
    assert_eq!(scene.come(Arrival::new().deadline(clock.now() + ms(150))), Some(Reason::TooLate));
    assert_eq!(scene.come(Arrival::new().wait_at_most(ms(150))), Some(Reason::TooLate));
    assert_eq!(scene.come(Arrival::new().deadline(clock.now() + ms(900))), None);
}

#[test]
fn a_dear_call_waits_for_as_many_turns_as_places() {
    let (gauge, clock) = gauge(4, Line::fifo(1_000).wait_at_most(ms(300)));
    let dear = Arrival::new().cost(4);
    let mut scene = Scene { clock: clock.clone(), gauge: &gauge, held: None, waiting: Vec::new() };
    scene.held = gauge.try_acquire_for(dear).ok().map(Permit::into_owned);
    for _ in 0..70 {
        assert_eq!(scene.come(dear), None);
        scene.turn();
    }
    let takes = (0..100).take_while(|_| scene.come(dear).is_none()).count();
    assert!((10..30).contains(&takes), "{takes}: four places come back each 10 ms");
}

#[test]
fn where_the_newest_is_next_nobody_stands_before_it() {
    let (gauge, clock) = gauge(1, Line::lifo(1_000).wait_at_most(ms(100)));
    let mut scene = Scene::new(&gauge, &clock, 0);
    assert_eq!((0..50).filter_map(|_| scene.come(Arrival::new())).count(), 0);
}

#[test]
fn nobody_is_refused_for_it_before_the_pace_is_known() {
    let (gauge, _clock) = gauge(1, Line::fifo(1_000).wait_at_most(ms(1)));
    let _held = gauge.try_acquire().unwrap();
    let mut tasks: Vec<_> = (0..100).map(|_| Task::new(gauge.acquire())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_pending()));
}

#[test]
fn whoever_waits_is_refused_once_the_turn_cannot_come_in_time_any_more() {
    let (gauge, clock) = gauge(1, Line::fifo(1_000).wait_at_most(Duration::from_secs(1)));
    let mut scene = Scene::new(&gauge, &clock, 60);
    clock.advance(ms(200));
    assert_eq!(scene.refused(), 0, "nobody has looked");
    // A turn is as long as twenty of those before, at least. Whoever comes sees it.
    assert_eq!(scene.come(Arrival::new()), Some(Reason::TooLate));
    let refused = scene.refused();
    assert!((10..50).contains(&refused), "{refused} of 60");
    scene.turn();
    assert_eq!(scene.refused(), 0, "those who are left may have their turn in time");
}

/// So many calls wait for this long each, one after the other.
fn turns(gauge: &PressureGauge, clock: &ManualClock, count: u32, turn: Duration) {
    for _ in 0..count {
        let held = gauge.try_acquire().unwrap();
        let mut waits = Task::new(gauge.acquire());
        assert!(waits.poll().is_pending());
        clock.advance(turn);
        drop(held);
        drop(granted(waits.poll_if_rung()));
    }
}

/// Turns of 10 ms are known, and then nobody comes for a while, or a call hangs: the line was dead from then on, for nobody was let wait
/// and so nothing else was ever learned.
#[test]
fn after_a_rest_or_a_call_that_hangs_calls_wait_again() {
    for line in [Line::fifo(100), Line::codel(100), Line::adaptive_lifo(100), Line::lifo(100)] {
        for rest in [1, 3, 60, 3_600] {
            for hangs in [false, true] {
                let (gauge, clock) = gauge(1, line);
                turns(&gauge, &clock, 300, ms(10));
                if hangs {
                    let held = gauge.try_acquire().unwrap();
                    let mut waits = Task::new(gauge.acquire());
                    assert!(waits.poll().is_pending());
                    clock.advance(Duration::from_secs(rest));
                    assert!(waits.poll().is_ready(), "its longest wait is over");
                    drop(held);
                } else {
                    clock.advance(Duration::from_secs(rest));
                }
                turns(&gauge, &clock, 5, ms(10));
            }
        }
    }
}

/// Turns of two seconds were known where callers wait for one, so nobody was let wait when they became turns of 10 ms.
#[test]
fn a_service_that_becomes_fast_again_has_a_line_again() {
    let (gauge, clock) = gauge(1, Line::fifo(100).wait_at_most(Duration::from_secs(600)));
    turns(&gauge, &clock, 100, Duration::from_secs(2));
    let mut let_wait = 0;
    for _ in 0..100 {
        let held = gauge.try_acquire().unwrap();
        let soon = Arrival::new().wait_at_most(Duration::from_secs(1));
        let [mut first, mut second] = [0; 2].map(|_| Task::new(gauge.acquire_for(soon)));
        assert!(first.poll().is_pending());
        let_wait += usize::from(second.poll().is_pending());
        clock.advance(Duration::from_millis(10));
        drop(held);
        drop(granted(first.poll_if_rung()));
        drop(second.poll_if_rung());
    }
    assert!(let_wait > 20, "{let_wait} of a hundred stood behind another");
}

/// A call of the whole limit gathers places that come back each 10 ms: those behind it were told that a turn takes as long as it waits.
#[test]
fn a_dear_call_that_gathers_its_places_makes_nobody_seem_late() {
    let (gauge, clock) = gauge(100, Line::fifo(1_000).wait_at_most(Duration::from_secs(10)));
    // Calls of a second, one each 10 ms.
    let mut held: VecDeque<_> = (0..100).map(|_| gauge.try_acquire().unwrap().into_owned()).collect();
    for _ in 0..400 {
        let mut waits = Task::new(gauge.acquire());
        assert!(waits.poll().is_pending());
        clock.advance(Duration::from_millis(10));
        drop(held.pop_front());
        held.push_back(granted(waits.poll_if_rung()));
    }
    let mut dear = Task::new(gauge.acquire_for(Arrival::new().cost(100)));
    assert!(dear.poll().is_pending());
    let mut behind = Vec::new();
    for _ in 0..100 {
        let deadline = clock.now() + Duration::from_secs(5);
        let mut waits = Task::new(gauge.acquire_for(Arrival::new().deadline(deadline)));
        assert!(waits.poll().is_pending(), "{} wait", behind.len());
        behind.push(waits);
        clock.advance(Duration::from_millis(10));
        drop(held.pop_front());
    }
    drop(granted(dear.poll_if_rung()));
    for mut waits in behind {
        drop(granted(waits.poll_if_rung()));
    }
}
