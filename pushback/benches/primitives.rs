//! What one admission and one refusal cost, beside tokio's semaphore and the cheapest thing that could work: a bare
//! compare-and-swap and subtraction.
//!
//! Prints one line a measure: name, threads, nanoseconds an operation (wall time through all threads' operations). All
//! measures take turns within a round, and the median of the rounds counts, so that a noisy moment does not favour
//! anybody. `cargo xtask bench primitives` runs this and draws the comparison.
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::{
    env,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use pushback::{Line, PressureGauge, limit::Auto};
use tokio::sync::Semaphore;

const ROUNDS: usize = 8;
/// How long one measure runs in one round, roughly.
const ROUND_TIME: Duration = Duration::from_millis(25);
/// After so long a limit that moves has found how many calls to time.
const STEADY: Duration = Duration::from_millis(350);

/// Does a number of operations on a state of its own.
type Operate = Box<dyn Fn(u64) + Sync>;

/// One thing to measure, with the number of operations that one thread does in a round.
struct Measure {
    name: &'static str,
    threads: u32,
    make: fn() -> Operate,
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
    let mut add = |name, threads, make: fn() -> Operate| {
        all.push(Measure { name, threads, make, states: Vec::new(), operations: 1_000, times: Vec::new() });
    };
    for threads in [1, 2, 4] {
        add("floor", threads, floor);
        add("pushback borrowed", threads, borrowed);
        add("tokio borrowed", threads, tokio_borrowed);
        add("pushback auto", threads, auto);
        add("pushback owned", threads, owned);
        add("tokio owned", threads, tokio_owned);
    }
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

/// A limit that moves, in a closed loop that has run for long enough for its sampling to be steady. The share of timed calls goes to
/// standard error.
fn auto() -> Operate {
    let limit = Auto::new().bounds(1_000..=1_000).initial(1_000);
    let gauge = PressureGauge::builder().limit(limit).build().expect("the settings are right");
    let loop_ = move |operations: u64| {
        for _ in 0..operations {
            if let Ok(permit) = black_box(&gauge).try_acquire() {
                held(permit);
            }
        }
        let snapshot = gauge.snapshot();
        (snapshot.why.unwrap_or_default().timed, snapshot.admitted)
    };
    let start = Instant::now();
    while start.elapsed() < STEADY {
        loop_(10_000);
    }
    let before = loop_(0);
    let after = loop_(1_000_000);
    if env::args().any(|arg| arg == "--share") {
        eprintln!("{:.6} of the calls are timed", (after.0 - before.0) as f64 / (after.1 - before.1) as f64);
    }
    Box::new(move |operations| {
        loop_(operations);
    })
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
    let gauge =
        PressureGauge::builder().limit(1).line(Line::fifo(1)).build().expect("the settings are right");
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
