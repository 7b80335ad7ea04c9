//! What one admission and one refusal cost, beside tokio's semaphore and the cheapest thing that could work: a bare
//! compare-and-swap and subtraction.
//!
//! Prints one line a measure: name, threads, nanoseconds an operation (wall time through all threads' operations). All
//! measures take turns within a round, and the median of the rounds counts, so that a noisy moment does not favour
//! anybody. `cargo xtask bench primitives` runs this and draws the comparison.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    collections::VecDeque,
    env,
    future::{Future, poll_fn},
    hint::black_box,
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use pushback::{Arrival, Line, Permit, PressureGauge, Priority, limit::Auto};
use tokio::sync::Semaphore;

const ROUNDS: usize = 8;
/// How long one measure runs in one round, roughly.
const ROUND_TIME: Duration = Duration::from_millis(25);
/// After so long under load a limit that moves has found how many calls to time.
const STEADY: Duration = Duration::from_millis(250);

/// Does a number of operations on a state of its own.
type Operate = Box<dyn Fn(u64) + Sync>;

/// One thing to measure, with the number of operations that one thread does in a round.
struct Measure {
    name: &'static str,
    threads: u32,
    make: fn() -> Operate,
    /// Its limit moves. While the others have their turns nobody calls, and after that each call is timed for a while.
    moves: bool,
    /// One for each round, all alive: where a state lies in memory decides which of its parts share a cache line, and
    /// that luck should not decide the comparison.
    states: Vec<Operate>,
    operations: u64,
    times: Vec<f64>,
}

fn main() {
    let only = env::args().skip_while(|arg| arg != "--only").nth(1);
    let mut measures: Vec<Measure> = measures()
        .into_iter()
        .filter(|measure| only.as_ref().is_none_or(|only| measure.name == only))
        .collect();
    for measure in &mut measures {
        measure.calibrate();
    }
    for round in 0..ROUNDS {
        for measure in &mut measures {
            measure.steady(round);
            let time = measure.run(round);
            measure.times.push(time);
        }
    }
    for measure in &mut measures {
        measure.times.sort_by(f64::total_cmp);
        let median = (measure.times[(ROUNDS - 1) / 2] + measure.times[ROUNDS / 2]) / 2.0;
        println!("{}\t{}\t{median:.3}", measure.name, measure.threads);
    }
}

impl Measure {
    /// Finds how many operations fill a round.
    fn calibrate(&mut self) {
        self.states.extend((0..ROUNDS).map(|_| (self.make)()));
        self.steady(0);
        loop {
            let time = Duration::from_secs_f64(
                self.run(0) * (self.operations * u64::from(self.threads)) as f64 / 1e9,
            );
            if time >= ROUND_TIME {
                return;
            }
            let missing = (ROUND_TIME.as_nanos() / time.as_nanos().max(1)).try_into().unwrap_or(u64::MAX);
            self.operations *= missing.clamp(2, 100);
        }
    }

    fn steady(&self, round: usize) {
        let start = Instant::now();
        while self.moves && start.elapsed() < STEADY {
            self.states[round](10_000);
        }
    }

    /// Nanoseconds an operation.
    fn run(&self, round: usize) -> f64 {
        let operate = &self.states[round];
        let elapsed = if self.threads == 1 {
            let start = Instant::now();
            operate(self.operations);
            start.elapsed()
        } else {
            let barrier = Barrier::new(usize::try_from(self.threads).expect("there are few") + 1);
            thread::scope(|scope| {
                let threads: Vec<_> = (0..self.threads)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            operate(self.operations);
                        })
                    })
                    .collect();
                // Taken before the threads go: afterwards this one may come to it late.
                let start = Instant::now();
                barrier.wait();
                for thread in threads {
                    thread.join().expect("a measure does not panic");
                }
                start.elapsed()
            })
        };
        elapsed.as_nanos() as f64 / (self.operations * u64::from(self.threads)) as f64
    }
}

fn measures() -> Vec<Measure> {
    let mut all = Vec::new();
    let mut add = |name: &'static str, threads, make: fn() -> Operate| {
        let moves = name.starts_with("pushback auto");
        let (states, times) = (Vec::new(), Vec::new());
        all.push(Measure { name, threads, make, moves, states, operations: 1_000, times });
    };
    for threads in [1, 2, 4] {
        add("floor", threads, floor);
        add("pushback borrowed", threads, borrowed);
        add("tokio borrowed", threads, tokio_borrowed);
        add("pushback auto", threads, auto);
        add("pushback owned", threads, owned);
        add("tokio owned", threads, tokio_owned);
        add("pushback kept", threads, kept);
        add("pushback auto kept", threads, auto_kept);
        add("tokio kept", threads, tokio_kept);
        add("pushback owned kept", threads, owned_kept);
        add("pushback auto owned kept", threads, auto_owned_kept);
        add("tokio owned kept", threads, tokio_owned_kept);
        add("pushback process_async", threads, process_async);
        add("pushback auto process_async", threads, auto_process_async);
    }
    for threads in [1, 2, 4] {
        add("pushback ranked", threads, ranked);
    }
    add("pushback in line", 1, in_line);
    add("tokio in line", 1, tokio_in_line);
    add("pushback left line", 1, left_line);
    add("tokio left line", 1, tokio_left_line);
    add("pushback refusal", 1, refusal);
    add("tokio refusal", 1, tokio_refusal);
    add("pushback refusal, line full", 1, refusal_at_full_line);
    add("pushback refusal, line full", 4, refusal_at_full_line);
    add("pushback process", 1, process);
    all
}

/// The work inside: nothing, but the compiler must not see that.
#[inline(always)]
fn held<T>(permit: T) {
    black_box(());
    drop(permit);
}

/// Drives a call that waits once while it holds its permit. A permit that is taken and dropped in one loop lives in registers; in a service
/// it lies in the future that holds it, and the executor knows that future by a pointer alone, so it is written in one poll
/// and read in another. Where the future lies is no affair of the permit's, so none is allocated.
#[inline(always)]
fn drive(call: impl Future<Output = ()>) {
    let call = pin!(call);
    let mut call: Pin<&mut dyn Future<Output = ()>> = black_box(call);
    let mut context = Context::from_waker(Waker::noop());
    while call.as_mut().poll(&mut context).is_pending() {
        black_box(&mut call);
    }
}

/// Is ready when it is asked a second time.
fn once() -> impl Future<Output = ()> {
    let mut is_second = false;
    poll_fn(move |_| if mem::replace(&mut is_second, true) { Poll::Ready(()) } else { Poll::Pending })
}

/// A bare counter of places, taken by compare-and-swap and given back by subtraction; it counts no admissions.
fn floor() -> Operate {
    let taken = AtomicU64::new(0);
    Box::new(move |operations| {
        for _ in 0..operations {
            let mut now = black_box(&taken).load(Ordering::Relaxed);
            while now < 1_000 {
                match taken.compare_exchange_weak(now, now + 1, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(newer) => now = newer,
                }
            }
            black_box(());
            taken.fetch_sub(1, Ordering::Release);
        }
    })
}

fn borrowed() -> Operate {
    let gauge = PressureGauge::new(1_000);
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Ok(permit) = black_box(&gauge).try_acquire() {
                held(permit);
            }
        }
    })
}

/// Priorities are on: calls of two came, and some were refused.
fn ranked() -> Operate {
    let gauge = PressureGauge::new(1_000);
    let low = Arrival::new().priority(Priority::Low);
    let all: Vec<_> = (0..1_000).filter_map(|_| gauge.try_acquire().ok()).collect();
    assert!(gauge.try_acquire_for(low).is_err(), "nothing is free");
    drop(all);
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Ok(permit) = black_box(&gauge).try_acquire_for(Arrival::new().priority(Priority::Critical))
            {
                held(permit);
            }
        }
    })
}

/// So many wait in line.
const WAITING: usize = 10_000;

type Waiting<T> = Mutex<(VecDeque<Pin<Box<dyn Future<Output = T> + Send>>>, Option<T>)>;

/// The line moves on: a place comes back, whoever is next has it, and somebody joins the line at its end.
fn moves_on<T: Send + 'static>(
    join: impl Fn() -> Pin<Box<dyn Future<Output = T> + Send>> + Sync + 'static,
) -> Operate {
    let waiting = line(&join);
    Box::new(move |operations| {
        let mut waiting = waiting.lock().expect("no measure panics");
        let (line, holds) = &mut *waiting;
        for _ in 0..operations {
            drop(holds.take());
            let mut next = line.pop_front().expect("some wait");
            let Poll::Ready(permit) = look(&mut next) else { panic!("it is its turn") };
            *holds = Some(permit);
            let mut last = join();
            assert!(look(&mut last).is_pending());
            line.push_back(last);
        }
    })
}

/// Callers give up anywhere in the line, and others join it.
fn gives_up<T: Send + 'static>(
    join: impl Fn() -> Pin<Box<dyn Future<Output = T> + Send>> + Sync + 'static,
) -> Operate {
    let waiting = line(&join);
    Box::new(move |operations| {
        let mut waiting = waiting.lock().expect("no measure panics");
        let (line, _) = &mut *waiting;
        let mut place = 0;
        for _ in 0..operations {
            place = (place + 7_919) % WAITING;
            let mut other = join();
            assert!(look(&mut other).is_pending());
            line[place] = other;
        }
    })
}

/// One has the place, and the others wait for it.
fn line<T: Send + 'static>(join: &impl Fn() -> Pin<Box<dyn Future<Output = T> + Send>>) -> Waiting<T> {
    let Poll::Ready(permit) = look(&mut join()) else { panic!("nobody waits yet") };
    let mut line: VecDeque<_> = (0..WAITING).map(|_| join()).collect();
    line.iter_mut().for_each(|waits| assert!(look(waits).is_pending()));
    Mutex::new((line, Some(permit)))
}

fn look<T>(waits: &mut Pin<Box<dyn Future<Output = T> + Send>>) -> Poll<T> {
    waits.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn in_line() -> Operate {
    let gauge = gauge_with_line();
    moves_on(move || Box::pin(gauge.acquire().into_owned()))
}

fn left_line() -> Operate {
    let gauge = gauge_with_line();
    gives_up(move || Box::pin(gauge.acquire().into_owned()))
}

fn gauge_with_line() -> PressureGauge {
    let line = Line::fifo(20_000).wait_at_most(Duration::from_secs(100_000_000));
    PressureGauge::builder().limit(1).line(line).build().expect("the settings are right")
}

fn tokio_in_line() -> Operate {
    let semaphore = Arc::new(Semaphore::new(1));
    moves_on(move || Box::pin(Arc::clone(&semaphore).acquire_owned()))
}

fn tokio_left_line() -> Operate {
    let semaphore = Arc::new(Semaphore::new(1));
    gives_up(move || Box::pin(Arc::clone(&semaphore).acquire_owned()))
}

/// A limit that moves, in a closed loop. With `--share`, the share of timed calls goes to standard error.
fn auto() -> Operate {
    let gauge = moving();
    let shows_share = env::args().any(|arg| arg == "--share");
    Box::new(move |operations| {
        let before = shows_share.then(|| timed(&gauge));
        for _ in 0..operations {
            if let Ok(permit) = black_box(&gauge).try_acquire() {
                held(permit);
            }
        }
        if let Some(before) = before {
            let after = timed(&gauge);
            let share = (after.0 - before.0) as f64 / (after.1 - before.1) as f64;
            eprintln!("{share:.6} of {operations} calls are timed");
        }
    })
}

fn moving() -> PressureGauge {
    let limit = Auto::new().bounds(1_000..=1_000).initial(1_000);
    PressureGauge::builder().limit(limit).build().expect("the settings are right")
}

/// The calls that were timed, and all.
fn timed(gauge: &PressureGauge) -> (u64, u64) {
    let snapshot = gauge.snapshot();
    (snapshot.why.unwrap_or_default().timed, snapshot.admitted)
}

fn tokio_borrowed() -> Operate {
    let semaphore = Semaphore::new(1_000);
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Ok(permit) = black_box(&semaphore).try_acquire() {
                held(permit);
            }
        }
    })
}

fn owned() -> Operate {
    let gauge = PressureGauge::new(1_000);
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Ok(permit) = black_box(&gauge).try_acquire() {
                held(permit.into_owned());
            }
        }
    })
}

fn tokio_owned() -> Operate {
    let semaphore = Arc::new(Semaphore::new(1_000));
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Ok(permit) = Arc::clone(black_box(&semaphore)).try_acquire_owned() {
                held(permit);
            }
        }
    })
}

fn kept() -> Operate {
    keep(PressureGauge::new(1_000))
}

fn auto_kept() -> Operate {
    keep(moving())
}

fn keep(gauge: PressureGauge) -> Operate {
    Box::new(move |operations| {
        for _ in 0..operations {
            let gauge = black_box(&gauge);
            drive(async {
                let Ok(_permit) = gauge.try_acquire() else { return };
                once().await;
            });
        }
    })
}

fn tokio_kept() -> Operate {
    let semaphore = Semaphore::new(1_000);
    Box::new(move |operations| {
        for _ in 0..operations {
            let semaphore = black_box(&semaphore);
            drive(async {
                let Ok(_permit) = semaphore.try_acquire() else { return };
                once().await;
            });
        }
    })
}

fn owned_kept() -> Operate {
    keep_owned(PressureGauge::new(1_000))
}

fn auto_owned_kept() -> Operate {
    keep_owned(moving())
}

fn keep_owned(gauge: PressureGauge) -> Operate {
    Box::new(move |operations| {
        for _ in 0..operations {
            let gauge = black_box(&gauge);
            drive(async {
                let Ok(_permit) = gauge.try_acquire().map(Permit::into_owned) else { return };
                once().await;
            });
        }
    })
}

fn tokio_owned_kept() -> Operate {
    let semaphore = Arc::new(Semaphore::new(1_000));
    Box::new(move |operations| {
        for _ in 0..operations {
            let semaphore = black_box(&semaphore);
            drive(async {
                let Ok(_permit) = Arc::clone(semaphore).try_acquire_owned() else { return };
                once().await;
            });
        }
    })
}

fn process_async() -> Operate {
    keep_told(PressureGauge::new(1_000))
}

fn auto_process_async() -> Operate {
    keep_told(moving())
}

/// A permit that is kept and told how its call went.
fn keep_told(gauge: PressureGauge) -> Operate {
    Box::new(move |operations| {
        for _ in 0..operations {
            let gauge = black_box(&gauge);
            drive(async {
                let _ = gauge.process_async(async || once().await).await;
            });
        }
    })
}

fn refusal() -> Operate {
    let gauge = PressureGauge::new(1);
    let held = gauge.try_acquire().expect("a new gauge is empty").into_owned();
    Box::new(move |operations| {
        black_box(&held);
        for _ in 0..operations {
            if let Err(rejected) = black_box(&gauge).try_acquire() {
                black_box(rejected.reason);
            }
        }
    })
}

/// tokio counts nothing here, and says nothing but "no permits".
fn tokio_refusal() -> Operate {
    let semaphore = Semaphore::new(0);
    Box::new(move |operations| {
        for _ in 0..operations {
            if let Err(error) = black_box(&semaphore).try_acquire() {
                black_box(error);
            }
        }
    })
}

fn refusal_at_full_line() -> Operate {
    // Who waits in it waits for as long as the benchmark takes.
    let line = Line::fifo(1).wait_at_most(Duration::MAX);
    let gauge = PressureGauge::builder().limit(1).line(line).build().expect("the settings are right");
    let held = gauge.try_acquire().expect("a new gauge is empty").into_owned();
    let mut waiting = Box::pin(gauge.acquire().into_owned());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    Box::new(move |operations| {
        black_box((&held, &waiting));
        for _ in 0..operations {
            let acquire = pin!(gauge.acquire());
            if let Poll::Ready(Err(rejected)) = acquire.poll(&mut Context::from_waker(Waker::noop())) {
                black_box(rejected.reason);
            }
        }
    })
}

fn process() -> Operate {
    let gauge = PressureGauge::new(10);
    Box::new(move |operations| {
        let mut sum = 0;
        for _ in 0..operations {
            let _ = gauge.process(|| sum = black_box(sum + 1));
        }
        black_box(sum);
    })
}
