//! How long a call was, for a limit that moves: from the end of the request to the head of its answer.

use std::sync::Mutex;

use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use pushback::{
    BuildError, Outcome,
    http::{Classify, Hold, RequestBody, ResponseBody, Trust},
    limit::{Controller, Decision, Limit, Sample, Start},
};
use tokio::sync::oneshot;
use tower::service_fn;

use super::*;

/// A limit that stays, and keeps what it is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Listens(pub(super) Arc<Mutex<Vec<Sample>>>);

impl Limit for Listens {
    fn start(&self) -> Result<Start, BuildError> {
        Ok(Start::moving(1, self.clone()))
    }
}

impl Controller for Listens {
    fn observe(&mut self, sample: &Sample, _limit: f64) -> Option<Decision> {
        self.0.lock().unwrap().push(*sample);
        None
    }
}

pub(super) type Upload = RequestBody<Channel<Bytes>>;
pub(super) type Answer = Response<Channel<Bytes>>;
pub(super) type Answered = Response<ResponseBody<Channel<Bytes>>>;
type Call = Pin<Box<dyn Future<Output = Answered>>>;

/// A call whose sender, service and reader do what a test says, when it says so.
pub(super) struct Scene {
    pub(super) clock: ManualClock,
    pub(super) limit: Listens,
    pub(super) gauge: PressureGauge,
    pub(super) sender: Sender<Bytes>,
    /// What the service has in hand.
    pub(super) upload: Upload,
    pub(super) answers: oneshot::Sender<Answer>,
    pub(super) call: Task<Call>,
}

impl Scene {
    pub(super) fn of(request: http::request::Builder, hold: Hold) -> Self {
        Scene::with(request, |layer| layer.hold(hold))
    }

    pub(super) fn with(
        request: http::request::Builder,
        settings: impl FnOnce(BackpressureLayer) -> BackpressureLayer,
    ) -> Self {
        let (clock, limit) = (ManualClock::new(), Listens::default());
        let gauge = PressureGauge::builder().limit(limit.clone()).clock(clock.clone()).build().unwrap();
        let (sender, body) = Channel::new(8);
        let (answers, answer) = oneshot::channel();
        let hands = Arc::new(Mutex::new((None, Some(answer))));
        let handed = Arc::clone(&hands);
        let service = service_fn(move |request: Request<Upload>| {
            let answer = {
                let mut hands = handed.lock().unwrap();
                hands.0 = Some(request.into_body());
                hands.1.take().unwrap()
            };
            async move { Ok::<Answer, Infallible>(answer.await.unwrap()) }
        });
        // What the service reads, and no faster.
        let layer = settings(BackpressureLayer::new(gauge.clone())).least_rate(0).body_buffer(0).unwrap();
        let mut service = layer.layer(service);
        let call = service.call(request.body(body).unwrap());
        let upload = hands.lock().unwrap().0.take().unwrap();
        let call: Call = Box::pin(async move { call.await.unwrap() });
        let mut call = Task::new(call);
        assert!(call.poll().is_pending());
        Scene { clock, limit, gauge, sender, upload, answers, call }
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn reads(&mut self) {
        assert!(Task::new(self.upload.frame()).poll().is_ready());
    }

    fn times(&self) -> Vec<(u128, Outcome)> {
        let seen = self.limit.0.lock().unwrap();
        seen.iter().map(|sample| (sample.time().as_millis(), sample.outcome)).collect()
    }
}

#[test]
fn neither_a_slow_sender_nor_a_slow_reader_is_the_services_time() {
    for hold in [Hold::Body, Hold::Head, Hold::Task] {
        let mut scene = Scene::of(Request::post("/"), hold);
        for _ in 0..3 {
            scene.pass(2_000);
            assert!(scene.sender.try_send(Frame::data("part".into())).is_ok());
            scene.reads();
        }
        scene.pass(20); // the service works
        let (_writer, body) = Channel::new(1);
        let (answers, mut call) = (scene.answers, scene.call);
        assert!(answers.send(Response::new(body)).is_ok());
        let Poll::Ready(answer) = call.poll() else { panic!("it has answered") };
        let seen = |limit: &Listens| limit.0.lock().unwrap().iter().map(Sample::time).collect::<Vec<_>>();
        let told = vec![Duration::from_millis(20)];
        let snapshot = scene.gauge.snapshot();
        let waits = u32::from(hold == Hold::Body);
        assert_eq!((snapshot.in_flight, snapshot.awaiting_client), (0, waits), "{hold:?}: the place is lent");
        scene.clock.advance(Duration::from_secs(1));
        assert_eq!(seen(&scene.limit), told, "{hold:?}: though the place may be held");
        scene.clock.advance(Duration::from_secs(5));
        drop(answer);
        assert_eq!(seen(&scene.limit), told, "{hold:?}: and only once");
        assert_eq!(scene.gauge.snapshot().in_flight, 0);
    }
}

#[test]
fn how_long_callers_wait_is_heard_from_trusted_peers_only() {
    for (is_trusted, heard) in [(true, Some(Duration::from_millis(100))), (false, None)] {
        let trust = Trust::new(move |_| is_trusted);
        let request = Request::post("/").header("grpc-timeout", "100m");
        let scene = Scene::with(request, |layer| layer.classify(Classify::new().trust(trust)));
        let Scene { answers, mut call, limit, .. } = scene;
        let (writer, body) = Channel::new(1);
        drop(writer);
        assert!(answers.send(Response::new(body)).is_ok());
        let Poll::Ready(answer) = call.poll() else { panic!("it has answered") };
        drop(answer);
        let seen: Vec<_> = limit.0.lock().unwrap().iter().map(|sample| sample.patience).collect();
        assert_eq!(seen, [heard], "trusted: {is_trusted}");
    }
}

#[test]
fn a_grpc_call_says_at_its_end_how_it_went_and_its_time_ends_at_the_head() {
    let grpc = [(header::CONTENT_TYPE, "application/grpc")];
    let mut scene = Scene::of(Request::post("/").header(grpc[0].0.clone(), grpc[0].1), Hold::Body);
    scene.pass(20);
    let (mut writer, body) = Channel::new(1);
    let mut answer = Response::new(body);
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(grpc[0].1));
    let (answers, call) = (std::mem::replace(&mut scene.answers, oneshot::channel().0), &mut scene.call);
    assert!(answers.send(answer).is_ok());
    let Poll::Ready(answer) = call.poll() else { panic!("it has answered") };
    assert_eq!(scene.times(), [], "nobody knows yet how it went");
    scene.pass(5_000);
    let overloaded = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("grpc-status"),
        header::HeaderValue::from_static("8"),
    )]);
    assert!(writer.try_send(Frame::trailers(overloaded)).is_ok());
    drop(writer);
    let mut body = Box::pin(answer.into_body());
    while let Poll::Ready(Some(frame)) = Task::new(body.frame()).poll() {
        drop(frame.unwrap());
    }
    assert_eq!(scene.times(), [(20, Outcome::Overload)]);
}

#[test]
fn a_sender_that_goes_away_says_nothing_about_the_service() {
    let scene = Scene::of(Request::post("/"), Hold::Body);
    scene.pass(30_000);
    let (limit, call) = (scene.limit.clone(), scene.call);
    drop(call);
    assert_eq!(limit.0.lock().unwrap().len(), 0);
}

/// An outer time-out used to be told as nothing where the request had a body, and as a caller who left where it had none.
#[test]
fn once_the_service_has_all_of_a_request_a_caller_who_goes_away_is_told_with_the_services_time() {
    for hold in [Hold::Body, Hold::Head, Hold::Task] {
        let mut scene = Scene::of(Request::post("/"), hold);
        scene.pass(2_000);
        assert!(scene.sender.try_send(Frame::data("all".into())).is_ok());
        scene.reads();
        let (mut upload, sender) = (scene.upload, scene.sender);
        drop(sender);
        assert!(matches!(Task::new(upload.frame()).poll(), Poll::Ready(None)), "the end");
        scene.clock.advance(Duration::from_millis(300));
        drop(scene.call);
        let seen = scene.limit.0.lock().unwrap();
        let seen: Vec<_> = seen.iter().map(|sample| (sample.time().as_millis(), sample.outcome)).collect();
        assert_eq!(seen, [(300, Outcome::Cancelled)], "{hold:?}");
    }
}
