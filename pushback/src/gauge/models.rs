//! Interleavings of acquire, release, cancel, resize, close and dry run, in pairs and threes, by loom: all of them with at
//! most three preemptions, and with what weak memory may do.
//!
//! `cargo xtask loom` runs them. They model what the tests on real threads can only try often: a place that comes back
//! while somebody joins the line, a caller that leaves while its turn comes, a limit that changes between the two.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use super::{Acquire, DryRunMode, PressureGauge, thread_waker};
use crate::{Alarm, Arrival, Clock, Line, OwnedPermit, Priority, Reason, Rejected};

/// A clock that stands still, or is two seconds late from one moment on: the models are about order, not about time.
#[derive(Debug, Clone)]
struct Still {
    begin: Instant,
    is_late: Arc<AtomicBool>,
}

impl Clock for Still {
    fn now(&self) -> Instant {
        self.begin + Duration::from_secs(if self.is_late.load(Ordering::Relaxed) { 2 } else { 0 })
    }

    fn ring_at(&self, _when: Instant, _alarm: Alarm) {}
}

/// A gauge, and how many of its places are in use, measured inside the protected work.
#[derive(Clone)]
struct Service {
    gauge: PressureGauge,
    inside: Arc<AtomicU32>,
    clock: Still,
}

impl Service {
    fn new(limit: u32, line: u32) -> Self {
        Service::with(limit, Line::fifo(line))
    }

    fn with(limit: u32, line: Line) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the model's clock stands still, it only needs some time"
        )]
        let clock = Still { begin: Instant::now(), is_late: Arc::new(AtomicBool::new(false)) };
        let line = line.wait_at_most(Duration::MAX);
        let gauge = PressureGauge::builder().limit(limit).line(line).clock(clock.clone()).build().unwrap();
        Service { gauge, inside: Arc::new(AtomicU32::new(0)), clock }
    }

    /// Runs the protected work and fails if more than `limit` places are in use.
    fn work(&self, cost: u32, limit: u32) {
        let inside = self.inside.fetch_add(cost, Ordering::Relaxed) + cost;
        assert!(inside <= limit, "{inside} places in use, {limit} allowed");
        self.inside.fetch_sub(cost, Ordering::Relaxed);
    }

    fn nothing_is_left(&self, limit: u32) {
        let snapshot = self.gauge.snapshot();
        assert_eq!((snapshot.limit, snapshot.in_flight, snapshot.in_line), (limit, 0, 0));
        assert_eq!(snapshot.faults, 0);
        // The gate is open again, and exactly the limit's places are free.
        let held: Vec<_> = (0..limit).map(|_| self.gauge.try_acquire().unwrap()).collect();
        assert!(self.gauge.try_acquire().is_err());
        drop(held);
    }
}

/// Few preemptions show nearly all errors of this kind, and keep models of three threads small.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(run);
}

fn poll(acquire: &mut Acquire<'_>) -> Poll<Result<OwnedPermit, Rejected>> {
    Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits for a call that is in line already.
fn block(acquire: Acquire<'static>) -> Result<OwnedPermit, Rejected> {
    thread_waker::block_on(acquire)
}

#[test]
fn two_that_try_never_exceed_the_limit_and_lose_nothing() {
    model(|| {
        let service = Service::new(1, 0);
        let other = service.clone();
        let thread = thread::spawn(move || other.gauge.process(|| other.work(1, 1)).is_ok());
        let mine = service.gauge.process(|| service.work(1, 1)).is_ok();
        let theirs = thread.join().unwrap();
        assert!(mine || theirs);
        assert_eq!(service.gauge.snapshot().admitted, u64::from(mine) + u64::from(theirs));
        service.nothing_is_left(1);
    });
}

#[test]
fn two_that_wait_both_have_their_turn() {
    model(|| {
        let service = Service::new(1, 1);
        let other = service.clone();
        let thread = thread::spawn(move || {
            let _permit = other.gauge.acquire_blocking().unwrap();
            other.work(1, 1);
        });
        {
            let _permit = service.gauge.acquire_blocking().unwrap();
            service.work(1, 1);
        }
        thread.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn three_that_wait_all_have_their_turn() {
    model(|| {
        let service = Service::new(1, 2);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let other = service.clone();
                thread::spawn(move || {
                    let _permit = other.gauge.acquire_blocking().unwrap();
                    other.work(1, 1);
                })
            })
            .collect();
        {
            let _permit = service.gauge.acquire_blocking().unwrap();
            service.work(1, 1);
        }
        for thread in threads {
            thread.join().unwrap();
        }
        service.nothing_is_left(1);
    });
}

#[test]
fn two_that_wait_where_the_newest_is_next_both_have_their_turn() {
    model(|| {
        let service = Service::with(1, Line::lifo(2));
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut first = service.gauge.acquire().into_owned();
        assert!(poll(&mut first).is_pending());
        let other = service.clone();
        let waits = thread::spawn(move || {
            let _permit = other.gauge.acquire_blocking().unwrap();
            other.work(1, 1);
        });
        drop(held);
        let permit = match poll(&mut first) {
            Poll::Ready(permit) => permit,
            Poll::Pending => block(first),
        };
        service.work(1, 1);
        drop(permit.unwrap());
        waits.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn a_more_important_call_that_comes_with_a_place_leaves_the_other_its_turn() {
    model(|| {
        let service = Service::new(1, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut low = service.gauge.acquire_for(Arrival::new().priority(Priority::Low)).into_owned();
        assert!(poll(&mut low).is_pending());
        let other = service.clone();
        let comes = thread::spawn(move || {
            // In a full line the low one makes way, unless its turn has come.
            let _permit =
                other.gauge.acquire_blocking_for(Arrival::new().priority(Priority::Critical)).unwrap();
            other.work(1, 1);
        });
        drop(held);
        match block(low) {
            Ok(permit) => {
                service.work(1, 1);
                drop(permit);
            }
            Err(rejected) => assert_eq!(rejected.reason, Reason::Displaced),
        }
        comes.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn a_pause_that_ends_while_a_place_comes_back_leaves_nobody_waiting() {
    model(|| {
        let service = Service::new(1, 1);
        service.gauge.pause();
        let mut waiter = service.gauge.acquire().into_owned();
        assert!(poll(&mut waiter).is_pending());
        let other = service.clone();
        let resumes = thread::spawn(move || other.gauge.resume());
        let tries = service.gauge.process(|| service.work(1, 1)).is_ok();
        let permit = block(waiter).unwrap();
        resumes.join().unwrap();
        service.work(1, 1);
        drop(permit);
        assert_eq!(service.gauge.snapshot().admitted, 1 + u64::from(tries));
        service.nothing_is_left(1);
    });
}

#[test]
fn a_turn_that_is_given_on_while_its_caller_looks_is_had_by_one() {
    model(|| {
        let service = Service::new(1, 2);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut sleeper = service.gauge.acquire().into_owned();
        assert!(poll(&mut sleeper).is_pending());
        drop(held); // its turn has come
        let other = service.clone();
        let late = thread::spawn(move || {
            other.clock.is_late.store(true, Ordering::Relaxed);
            let _permit = other.gauge.acquire_blocking().unwrap();
            other.work(1, 1);
        });
        let permit = block(sleeper).unwrap();
        service.work(1, 1);
        drop(permit);
        late.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn a_high_cost_in_front_is_not_overtaken_by_one_that_tries() {
    model(|| {
        let service = Service::new(2, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let large = service.clone();
        let waits = thread::spawn(move || {
            let _permit = large.gauge.acquire_blocking_for(Arrival::new().cost(2)).unwrap();
            large.work(2, 2);
        });
        let small = service.clone();
        let tries = thread::spawn(move || small.gauge.process(|| small.work(1, 2)).is_ok());
        drop(held);
        waits.join().unwrap();
        tries.join().unwrap();
        service.nothing_is_left(2);
    });
}

#[test]
fn a_place_that_comes_back_while_somebody_leaves_goes_to_the_next() {
    model(|| {
        let service = Service::new(1, 2);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut leaver = service.gauge.acquire().into_owned();
        assert!(poll(&mut leaver).is_pending());
        let next = service.clone();
        let waits = thread::spawn(move || {
            let _permit = next.gauge.acquire_blocking().unwrap();
            next.work(1, 1);
        });
        let leaves = thread::spawn(move || drop(leaver));
        drop(held);
        leaves.join().unwrap();
        waits.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn a_turn_that_comes_while_its_caller_looks_is_seen_once() {
    model(|| {
        let service = Service::new(1, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut waiter = service.gauge.acquire();
        assert!(poll(&mut waiter).is_pending());
        let gives = thread::spawn(move || drop(held));
        let first_look = poll(&mut waiter);
        gives.join().unwrap();
        let permit = match first_look {
            Poll::Ready(answer) => answer,
            Poll::Pending => match poll(&mut waiter) {
                Poll::Ready(answer) => answer,
                Poll::Pending => panic!("the turn was lost"),
            },
        };
        assert_eq!(service.gauge.snapshot().in_flight, 1);
        drop(permit.unwrap());
        service.nothing_is_left(1);
    });
}

#[test]
fn a_limit_lowered_while_calls_come_and_go_is_kept() {
    model(|| {
        let service = Service::new(2, 1);
        let other = service.clone();
        let thread = thread::spawn(move || other.gauge.process(|| other.work(1, 2)).is_ok());
        service.gauge.set_limit(1);
        // Whatever the other holds now is a debt or a place; with it, this one makes two only if the limit does.
        {
            let mine = service.gauge.try_acquire();
            let snapshot = service.gauge.snapshot();
            assert!(mine.is_err() || snapshot.in_flight == 1, "admitted above the lowered limit");
        }
        thread.join().unwrap();
        service.nothing_is_left(1);
    });
}

#[test]
fn a_limit_raised_while_a_place_comes_back_admits_all_who_wait() {
    model(|| {
        let service = Service::new(1, 2);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut first = service.gauge.acquire().into_owned();
        let mut second = service.gauge.acquire().into_owned();
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        let gives = thread::spawn(move || drop(held));
        service.gauge.set_limit(2);
        gives.join().unwrap();
        let permits = [poll(&mut first), poll(&mut second)];
        assert!(permits.iter().all(|permit| matches!(permit, Poll::Ready(Ok(_)))), "both fit");
        assert_eq!(service.gauge.snapshot().in_flight, 2);
        drop(permits);
        service.nothing_is_left(2);
    });
}

#[test]
fn one_who_leaves_while_the_limit_changes_takes_no_place_along() {
    model(|| {
        let service = Service::new(1, 2);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut leaver = service.gauge.acquire().into_owned();
        let mut next = service.gauge.acquire().into_owned();
        assert!(poll(&mut leaver).is_pending() && poll(&mut next).is_pending());
        let leaves = thread::spawn(move || drop(leaver));
        service.gauge.set_limit(2);
        leaves.join().unwrap();
        let permit = poll(&mut next);
        assert!(matches!(permit, Poll::Ready(Ok(_))), "the raised limit has a place for it");
        drop((permit, held));
        service.nothing_is_left(2);
    });
}

#[test]
fn one_who_leaves_while_the_gauge_closes_leaves_nothing() {
    model(|| {
        let service = Service::new(1, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let mut leaver = service.gauge.acquire().into_owned();
        assert!(poll(&mut leaver).is_pending());
        let leaves = thread::spawn(move || drop(leaver));
        let gives = thread::spawn(move || drop(held));
        service.gauge.drain_blocking();
        leaves.join().unwrap();
        gives.join().unwrap();
        let snapshot = service.gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.in_line), (0, 0));
    });
}

#[test]
fn two_limits_set_at_once_and_a_close_leave_one_of_them_and_no_places_lost() {
    model(|| {
        let service = Service::new(2, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let threads = [1, 3].map(|limit| {
            let other = service.clone();
            thread::spawn(move || other.gauge.set_limit(limit))
        });
        service.gauge.close();
        drop(held);
        for thread in threads {
            thread.join().unwrap();
        }
        let snapshot = service.gauge.snapshot();
        assert!(snapshot.limit == 1 || snapshot.limit == 3);
        assert_eq!((snapshot.in_flight, snapshot.faults), (0, 0));
        assert_eq!(service.gauge.try_acquire().unwrap_err().reason, Reason::Closed);
    });
}

#[test]
fn a_gauge_closed_while_somebody_waits_leaves_nobody_waiting() {
    model(|| {
        let service = Service::new(1, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let other = service.clone();
        let waits = thread::spawn(move || match other.gauge.acquire_blocking() {
            Ok(_permit) => other.work(1, 1),
            Err(rejected) => assert_eq!(rejected.reason, Reason::Closed),
        });
        let closes = service.clone();
        let close = thread::spawn(move || {
            closes.gauge.close();
            closes.gauge.snapshot().admitted
        });
        drop(held);
        waits.join().unwrap();
        let admitted = close.join().unwrap();
        assert_eq!(service.gauge.snapshot().admitted, admitted, "a closed gauge admitted somebody");
        assert_eq!(service.gauge.try_acquire().unwrap_err().reason, Reason::Closed);
        assert_eq!(service.gauge.snapshot().in_flight, 0);
    });
}

#[test]
fn a_drain_ends_when_the_last_of_two_comes_back() {
    model(|| {
        let service = Service::new(2, 0);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let permit = service.gauge.try_acquire().unwrap().into_owned();
                thread::spawn(move || drop(permit))
            })
            .collect();
        service.gauge.drain_blocking();
        assert_eq!(service.gauge.snapshot().in_flight, 0);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_drain_waits_for_a_phantom_and_for_one_that_comes_meanwhile() {
    model(|| {
        let service = Service::new(1, 0);
        service.gauge.set_dry_run(DryRunMode::On);
        let real = service.gauge.try_acquire().unwrap().into_owned();
        let phantom = service.gauge.try_acquire().unwrap().into_owned();
        let gives = thread::spawn(move || drop((phantom, real)));
        let other = service.clone();
        let drained = Arc::new(AtomicBool::new(false));
        let is_drained = Arc::clone(&drained);
        let comes = thread::spawn(move || {
            other
                .gauge
                .process(|| assert!(!is_drained.load(Ordering::SeqCst), "it runs on a drained gauge"))
                .is_ok()
        });
        service.gauge.drain_blocking();
        drained.store(true, Ordering::SeqCst);
        gives.join().unwrap();
        comes.join().unwrap();
        let snapshot = service.gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.dry_run.unwrap().phantoms), (0, 0));
    });
}

#[test]
fn a_dry_run_switched_on_while_somebody_waits_lets_it_through() {
    model(|| {
        let service = Service::new(1, 1);
        let held = service.gauge.try_acquire().unwrap().into_owned();
        let other = service.clone();
        let waits = thread::spawn(move || drop(other.gauge.acquire_blocking().unwrap()));
        service.gauge.set_dry_run(DryRunMode::On);
        waits.join().unwrap();
        drop(held);
        service.gauge.set_dry_run(DryRunMode::Off);
        service.nothing_is_left(1);
    });
}
