//! A stream has two times: when its caller has what it asked for, and how long the service has it.

use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use pushback::{
    Outcome,
    http::{Answered, Hold, ResponseBody},
    limit::Sample,
};

use super::{
    timing::{Listens, Scene},
    *,
};

/// A stream whose service and reader do what a test says.
struct Stream {
    clock: ManualClock,
    limit: Listens,
    gauge: PressureGauge,
    writer: Option<Sender<Bytes>>,
    body: Option<ResponseBody<Channel<Bytes>>>,
}

impl Stream {
    fn new() -> Self {
        Stream::of("text/event-stream", Answered::default())
    }

    /// Its head comes at once.
    fn of(content_type: &str, answered: Answered) -> Self {
        let scene = Scene::with(Request::get("/"), |layer| layer.hold(Hold::Body).answered(answered));
        let Scene { clock, limit, gauge, sender, mut upload, answers, mut call } = scene;
        drop(sender);
        assert!(matches!(Task::new(upload.frame()).poll(), Poll::Ready(None)));
        let (writer, body) = Channel::new(8);
        let answer = Response::builder().header(header::CONTENT_TYPE, content_type).body(body).unwrap();
        assert!(answers.send(answer).is_ok());
        let Poll::Ready(answer) = call.poll() else { panic!("it has answered") };
        Stream { clock, limit, gauge, writer: Some(writer), body: Some(answer.into_body()) }
    }

    /// The service says something, after so many milliseconds in which the reader is there.
    fn says(&mut self, millis: u64, part: &'static str) {
        let body = self.body.as_mut().unwrap();
        assert!(Task::new(body.frame()).poll().is_pending());
        self.clock.advance(Duration::from_millis(millis));
        assert!(self.writer.as_mut().unwrap().try_send(Frame::data(part.into())).is_ok());
        assert!(matches!(Task::new(body.frame()).poll(), Poll::Ready(Some(Ok(_)))));
    }

    /// The service is done, after so many milliseconds.
    fn ends(&mut self, millis: u64) {
        let body = self.body.as_mut().unwrap();
        assert!(Task::new(body.frame()).poll().is_pending());
        self.clock.advance(Duration::from_millis(millis));
        self.writer.take();
        assert!(matches!(Task::new(body.frame()).poll(), Poll::Ready(None)));
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn leaves(&mut self) {
        self.body.take();
    }

    /// Held and answered, in milliseconds, whether it is open, and how it went.
    fn told(&self) -> Vec<(u128, u128, bool, Outcome)> {
        let seen = self.limit.0.lock().unwrap();
        let told = |sample: &Sample| {
            (sample.held.as_millis(), sample.answered.as_millis(), sample.is_open, sample.outcome)
        };
        seen.iter().map(told).collect()
    }
}

const OPEN: bool = true;
const ENDED: bool = false;

#[test]
fn a_stream_is_the_services_to_its_end_and_answered_with_its_first_part() {
    let mut stream = Stream::new();
    stream.says(400, "data: a\n\n");
    stream.says(100, "data: b\n\n");
    assert_eq!(stream.told(), []);
    stream.ends(500);
    assert_eq!(stream.told(), [(1000, 400, ENDED, Outcome::Success)]);
    stream.leaves();
    assert_eq!(stream.told().len(), 1, "only once");
}

#[test]
fn what_the_reader_takes_is_not_the_services_time() {
    let mut stream = Stream::new();
    for _ in 0..9 {
        stream.says(100, "data: a\n\n");
        stream.pass(200); // it does not ask for more
    }
    stream.ends(100);
    assert_eq!(stream.told(), [(1000, 100, ENDED, Outcome::Success)]);
}

#[test]
fn a_reader_who_leaves_when_it_was_answered_says_only_how_soon_that_was() {
    let mut stream = Stream::new();
    stream.says(400, "data: a\n\n");
    stream.says(100, "data: b\n\n");
    stream.leaves();
    assert_eq!(stream.told(), [(400, 400, OPEN, Outcome::Success)]);
    assert_eq!(stream.gauge.snapshot().in_flight, 0);
}

#[test]
fn a_reader_who_leaves_before_the_first_part_has_given_up() {
    let mut stream = Stream::new();
    assert!(Task::new(stream.body.as_mut().unwrap().frame()).poll().is_pending());
    stream.pass(700);
    stream.leaves();
    assert_eq!(stream.told(), [(700, 700, ENDED, Outcome::Cancelled)]);
}

#[test]
fn a_reader_who_is_slow_for_a_moment_says_only_how_soon_it_was_answered_and_lends_its_place() {
    let mut stream = Stream::new();
    stream.says(400, "data: a\n\n");
    stream.pass(1_100);
    assert_eq!(stream.told(), [(400, 400, OPEN, Outcome::Success)]);
    let snapshot = stream.gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.awaiting_client), (0, 1));
    stream.says(400, "data: b\n\n");
    stream.ends(1);
    assert_eq!(stream.told().len(), 1);
    assert_eq!(stream.gauge.snapshot().awaiting_client, 0);
}

#[test]
fn a_subscription_lends_its_place_after_a_minute_to_its_end() {
    let mut stream = Stream::new();
    stream.says(10, "data: a\n\n");
    assert!(Task::new(stream.body.as_mut().unwrap().frame()).poll().is_pending());
    stream.pass(59_000);
    assert_eq!(stream.told(), []);
    assert_eq!(stream.gauge.snapshot().in_flight, 1);
    stream.pass(2_000);
    assert_eq!(stream.told(), [(10, 10, OPEN, Outcome::Success)]);
    for _ in 0..3 {
        let snapshot = stream.gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.awaiting_client), (0, 1));
        stream.says(5_000, "data: b\n\n");
    }
    stream.leaves();
    let snapshot = stream.gauge.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.awaiting_client, stream.told().len()), (0, 0, 1));
}

#[test]
fn a_call_without_an_answer_is_no_subscription_however_long_it_takes() {
    let mut stream = Stream::new();
    assert!(Task::new(stream.body.as_mut().unwrap().frame()).poll().is_pending());
    stream.pass(100_000);
    assert_eq!((stream.told(), stream.gauge.snapshot().in_flight), (vec![], 1));
}

#[test]
fn when_a_stream_is_answered_is_a_setting() {
    let lines = "application/x-ndjson";
    for (content_type, answered, after) in [
        ("text/event-stream", Answered::Head, 0),
        ("text/event-stream", Answered::FirstData, 100),
        ("text/event-stream", Answered::FirstEvent(2), 300),
        (lines, Answered::FirstEvent(2), 100),
        ("text/plain", Answered::FirstEvent(2), 100),
        ("text/event-stream", Answered::FirstEvent(100), 400),
        ("text/event-stream", Answered::End, 400),
    ] {
        let mut stream = Stream::of(content_type, answered);
        stream.says(100, ": it begins\n\ndata: a\n\n");
        stream.says(100, "data: b\n");
        stream.says(100, "\n");
        stream.ends(100);
        assert_eq!(stream.told(), [(400, after, ENDED, Outcome::Success)], "{content_type} {answered}");
    }
}
