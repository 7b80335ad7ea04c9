//! Whether callers who come back when they are told find a place: the *kept word*. The real layer in virtual time, before a service
//! with as many workers as the gauge has places.

use std::{cmp::Reverse, collections::BinaryHeap};

use tokio::sync::oneshot;

use super::*;

/// What becomes of whom, and when, in nanoseconds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done(usize),
    Asks { caller: usize, comes_back: bool },
}

/// How callers are told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    Seconds,
    Milliseconds,
}

#[derive(Debug, Default)]
struct Count {
    came_back: u32,
    were_admitted: u32,
    last: Duration,
}

impl Count {
    fn kept(&self) -> f64 {
        f64::from(self.were_admitted) / f64::from(self.came_back.max(1))
    }
}

/// Callers ask at these times, and come back when told, as often as it takes. One call is served before them.
fn run(limit: u32, told: Told, mut work: impl FnMut() -> Duration, asks: &[Duration]) -> Count {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(limit).clock(clock.clone()).build().unwrap();
    let service = tower::service_fn(|mut request: Request<_>| async move {
        let done: oneshot::Receiver<()> = request.extensions_mut().remove::<Wait>().unwrap().take();
        let _ = done.await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let mut layered = BackpressureLayer::new(gauge).layer(service);
    let mut events = BinaryHeap::new();
    let mut running = Vec::new();
    let mut now = Duration::ZERO;
    let warm = work();
    events.push(Reverse((Duration::ZERO, Event::Asks { caller: 0, comes_back: false })));
    for (caller, at) in asks.iter().enumerate() {
        events.push(Reverse((warm + *at, Event::Asks { caller: caller + 1, comes_back: false })));
    }
    let mut count = Count::default();
    while let Some(Reverse((at, event))) = events.pop() {
        clock.advance(at - now);
        now = at;
        match event {
            Event::Done(number) => {
                let (tell, mut task): (oneshot::Sender<()>, Task<_>) =
                    Option::take(&mut running[number]).unwrap();
                tell.send(()).unwrap();
                assert!(task.poll().is_ready());
                count.last = now - warm;
            }
            Event::Asks { caller, comes_back } => {
                let (tell, done) = oneshot::channel();
                let mut request = match told {
                    Told::Seconds => request("/"),
                    Told::Milliseconds => grpc_request(),
                };
                request.extensions_mut().insert(Wait::new(done));
                let mut task = Task::new(layered.call(request));
                count.came_back += u32::from(comes_back);
                match task.poll() {
                    Poll::Pending => {
                        count.were_admitted += u32::from(comes_back);
                        events.push(Reverse((
                            now + if caller == 0 { warm } else { work() },
                            Event::Done(running.len()),
                        )));
                        running.push(Some((tell, task)));
                    }
                    Poll::Ready(refused) => {
                        let back = Event::Asks { caller, comes_back: true };
                        events.push(Reverse((now + wait_of(&refused.unwrap(), told), back)));
                    }
                }
            }
        }
    }
    count
}

/// What a request's handler waits for.
#[derive(Clone)]
struct Wait(Arc<std::sync::Mutex<Option<oneshot::Receiver<()>>>>);

impl Wait {
    fn new(done: oneshot::Receiver<()>) -> Self {
        Wait(Arc::new(std::sync::Mutex::new(Some(done))))
    }

    fn take(self) -> oneshot::Receiver<()> {
        self.0.lock().unwrap().take().unwrap()
    }
}

fn grpc_request() -> Request<Empty<Bytes>> {
    let request =
        Request::post("/").version(http::Version::HTTP_2).header("content-type", "application/grpc");
    request.body(Empty::new()).unwrap()
}

fn wait_of<B>(refused: &Response<B>, told: Told) -> Duration {
    let number = |name: &str| refused.headers()[name].to_str().unwrap().parse().unwrap();
    match told {
        Told::Seconds => Duration::from_secs(number("retry-after")),
        Told::Milliseconds => Duration::from_millis(number("grpc-retry-pushback-ms")),
    }
}

const WORK: Duration = Duration::from_millis(20);

fn constant(time: Duration) -> impl FnMut() -> Duration {
    move || time
}

/// Of this mean.
fn exponential(mean: Duration) -> impl FnMut() -> Duration {
    let mut random = fastrand::Rng::with_seed(7);
    move || mean.mul_f64(-(1.0 - random.f64()).ln())
}

/// At such a rate, for so many seconds.
fn poisson(rate: f64, lasts: f64) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(3);
    let mut at = 0.0;
    let next = || {
        at += -(1.0 - random.f64()).ln() / rate;
        (at < lasts).then(|| Duration::from_secs_f64(at))
    };
    std::iter::from_fn(next).collect()
}

/// The worst part of words kept, of calls that take equally long and of others.
fn kept(limit: u32, told: Told, mean: Duration, asks: &[Duration]) -> f64 {
    let counts = [run(limit, told, constant(mean), asks), run(limit, told, exponential(mean), asks)];
    println!("{counts:?}");
    counts.iter().map(Count::kept).fold(1.0, f64::min)
}

#[test]
fn whoever_is_refused_in_a_rush_finds_a_place_when_told() {
    let at_once = |count: usize| vec![Duration::ZERO; count];
    for told in [Told::Seconds, Told::Milliseconds] {
        for (name, limit, asks, mean) in [
            ("the demo", 10, at_once(50), Duration::from_secs(2)),
            ("three times a pool", 8, at_once(24), WORK),
            ("ten times a pool", 8, at_once(80), WORK),
            ("few places", 2, at_once(30), Duration::from_millis(50)),
        ] {
            let kept = kept(limit, told, mean, &asks);
            assert!(kept >= 0.8, "{name}, {told:?}: {kept}");
        }
    }
}

#[test]
fn whoever_is_refused_in_a_second_of_three_times_what_can_be_done_mostly_finds_a_place_when_told() {
    for told in [Told::Seconds, Told::Milliseconds] {
        let kept = kept(8, told, WORK, &poisson(1_200.0, 1.0));
        assert!(kept >= 0.7, "{told:?}: {kept}");
    }
}

/// While three times as many come for the first time as can be served, nobody can be promised a place: who comes back in that time has
/// the chance of anybody, a third. Behind it, all find one.
#[test]
fn in_a_lasting_rush_nobody_is_worse_off_for_coming_back_when_told() {
    for told in [Told::Seconds, Told::Milliseconds] {
        let kept = kept(8, told, WORK, &poisson(1_200.0, 10.0));
        assert!(kept >= 1.0 / 3.0, "{told:?}: {kept}");
    }
}

/// Thirty calls of 50 ms, two at a time, are three quarters of a second of work. They used to take 8.8 s.
#[test]
fn callers_told_in_milliseconds_are_served_hardly_later_than_in_a_line() {
    let count = run(2, Told::Milliseconds, constant(Duration::from_millis(50)), &[Duration::ZERO; 30]);
    assert!(count.last < Duration::from_millis(1_000), "{count:?}");
}
