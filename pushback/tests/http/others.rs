//! Other people's code in the layer: bodies that take their time when they are dropped, and readers who read on after an error.

use std::{
    sync::{Mutex, mpsc},
    task::Waker,
    thread,
};

use http_body::{Body as _, Frame, SizeHint};
use http_body_util::channel::Channel;
use pushback::{
    Arrival,
    http::{Classify, Hold, ReaderStalled, RequestBody, ResponseBody, SenderStalled},
};
use tokio::runtime::Handle;

use super::*;

type Ends = Box<dyn FnOnce() + Send>;

/// A body that has one part, and does something when it is dropped.
struct Holds {
    part: Option<Result<&'static str, &'static str>>,
    length: Option<u64>,
    on_poll: Option<Ends>,
    on_drop: Option<Ends>,
}

impl Holds {
    fn new(on_drop: impl FnOnce() + Send + 'static) -> Self {
        Holds { part: Some(Ok("part")), length: None, on_poll: None, on_drop: Some(Box::new(on_drop)) }
    }
}

impl http_body::Body for Holds {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        if let Some(on_poll) = self.on_poll.take() {
            on_poll();
        }
        match self.part {
            // One that fails goes on to do so.
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            _ => self.part.take().map_or(Poll::Pending, |part| {
                Poll::Ready(Some(part.map(|part| Frame::data(Bytes::from_static(part.as_bytes())))))
            }),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Holds {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

/// Answers with this body, which holds the only place of its gauge.
fn answer(gauge: &PressureGauge, body: Holds, stall: Duration) -> ResponseBody<Holds> {
    let body = Arc::new(Mutex::new(Some(body)));
    let service = tower::service_fn(move |_: Request<RequestBody<Empty<Bytes>>>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    let mut service = BackpressureLayer::new(gauge.clone()).stall(stall).unwrap().layer(service);
    let Poll::Ready(Ok(response)) = Task::new(service.call(request("/"))).poll() else {
        panic!("it is free")
    };
    response.into_body()
}

fn next<B>(body: &mut Pin<Box<B>>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>>
where
    B: http_body::Body<Data = Bytes>,
{
    body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
}

const SOON: Duration = Duration::from_millis(30);

/// As a pooled connection of a database does, which goes back to its pool in a task.
#[tokio::test]
async fn a_stalled_body_is_dropped_in_the_runtime_that_it_came_from() {
    let (gauge, (dropped, is_dropped)) = (PressureGauge::new(1), tokio::sync::oneshot::channel());
    let body = Holds::new(move || {
        let spawned = Handle::try_current().map(|runtime| runtime.spawn(async {})).is_ok();
        let _ = dropped.send(spawned);
    });
    let _unread = answer(&gauge, body, SOON);
    assert!(is_dropped.await.unwrap(), "there was no runtime");
    assert_eq!(gauge.snapshot().faults, 0);
}

#[test]
fn a_body_that_takes_its_time_to_be_dropped_keeps_no_other_gauges_clock() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for within in [Some(runtime.handle()), None] {
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        let body = Holds::new(move || {
            begun.send(()).unwrap();
            let _ = may_end.recv();
        });
        let entered = within.map(Handle::enter);
        let _unread = answer(&PressureGauge::new(1), body, SOON);
        drop(entered);
        has_begun.recv().unwrap();
        let line = Line::fifo(1).wait_at_most(SOON);
        let other = PressureGauge::builder().limit(1).line(line).build().unwrap();
        let _held = other.try_acquire().unwrap();
        assert_eq!(other.acquire_blocking().unwrap_err().reason, Reason::WaitedTooLong);
        drop(end);
    }
}

#[test]
fn a_body_that_stalls_while_somebody_looks_for_its_next_part_ends_then() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let (polled, is_polled) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let (dropped, is_dropped) = mpsc::channel();
    let mut body = Holds::new(move || dropped.send(()).unwrap());
    body.on_poll = Some(Box::new(move || {
        polled.send(()).unwrap();
        goes_on.recv().unwrap();
    }));
    let mut answer = Box::pin(answer(&gauge, body, SOON));
    let reader = thread::spawn(move || (next(&mut answer), next(&mut answer)));
    is_polled.recv().unwrap();
    clock.advance(10 * SOON);
    assert_eq!(gauge.snapshot().in_flight, 0, "the place goes to somebody else");
    go_on.send(()).unwrap();
    let (Poll::Ready(Some(Err(error))), Poll::Ready(None)) = reader.join().unwrap() else {
        panic!("it has stalled, and ends")
    };
    assert!(error.is::<ReaderStalled>(), "{error}");
    is_dropped.recv().unwrap();
}

#[test]
fn an_answers_body_that_broke_off_says_so_once_and_ends() {
    for (length, stalls) in [(None, true), (Some(8), true), (None, false), (Some(8), false)] {
        let clock = ManualClock::new();
        let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
        let mut body = Holds::new(|| ());
        body.length = length;
        if !stalls {
            body.part = Some(Err("the service broke off"));
        }
        let mut answer = Box::pin(answer(&gauge, body, SOON));
        if stalls {
            clock.advance(10 * SOON);
        }
        let first = next(&mut answer);
        assert!(matches!(first, Poll::Ready(Some(Err(_)))), "{length:?}, {stalls}: {first:?}");
        assert!(matches!(next(&mut answer), Poll::Ready(None)) && answer.is_end_stream());
        assert_eq!(gauge.snapshot().in_flight, 0);
    }
}

#[test]
fn a_requests_body_whose_sender_has_stalled_says_so_once_and_ends() {
    let clock = ManualClock::new();
    let gauge = PressureGauge::builder().limit(1).clock(clock.clone()).build().unwrap();
    let handed = Arc::new(Mutex::new(None));
    let handed_over = Arc::clone(&handed);
    let service = tower::service_fn(move |request: Request<RequestBody<Channel<Bytes>>>| {
        *handed_over.lock().unwrap() = Some(Box::pin(request.into_body()));
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let layer = BackpressureLayer::new(gauge.clone()).body_buffer(0).unwrap().stall(SOON).unwrap();
    let (_sender, body) = Channel::new(1);
    let mut call = Task::new(layer.layer(service).call(Request::post("/").body(body).unwrap()));
    assert!(call.poll().is_pending());
    let mut upload = handed.lock().unwrap().take().unwrap();
    assert!(next(&mut upload).is_pending());
    clock.advance(10 * SOON);
    let Poll::Ready(Some(Err(error))) = next(&mut upload) else { panic!("its sender has stalled") };
    assert!(error.is::<SenderStalled>(), "{error}");
    assert!(matches!(next(&mut upload), Poll::Ready(None)) && upload.is_end_stream());
}

/// Six hundred of these used to keep the first who could fit away for 44 seconds.
#[test]
fn who_never_fits_stands_in_nobodys_way() {
    let gauge = PressureGauge::new(2);
    let classify = Classify::new()
        .arrival(|request| Arrival::new().cost(if request.uri.path() == "/dear" { 3 } else { 1 }));
    let layer = BackpressureLayer::new(gauge.clone()).classify(classify).hold(Hold::Head);
    let told = |path| {
        let Poll::Ready(Ok(response)) = Task::new(layer.layer(Fast).call(request(path))).poll() else {
            panic!("a refusal must be a response")
        };
        response.headers().get(header::RETRY_AFTER).map(|seconds| seconds.to_str().unwrap().to_owned())
    };
    let _held = gauge.try_acquire_for(Arrival::new().cost(2)).unwrap();
    for _ in 0..600 {
        assert_eq!(told("/dear"), None);
    }
    assert_eq!(told("/").as_deref(), Some("1"));
}
