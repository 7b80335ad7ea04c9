//! Requests through axum with and without the layer, to be counted by valgrind: `cargo xtask bench layer` does.
//!
//! Arguments: what to run, and how many requests. It prints nothing; the instructions that it takes are the result.

use std::{
    convert::Infallible,
    env,
    future::Future,
    hint::black_box,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{
    Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use pushback::{PressureGauge, http::BackpressureLayer};
use tower::{Layer, Service, ServiceExt, layer::util::Identity};

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(what), Some(requests)) =
        (arguments.next(), arguments.next().and_then(|count| count.parse().ok()))
    else {
        println!(
            "say what to run (plain, identity, wrapped, admitted, around, fixed-429, identity-429, refused, refused-around) and how many requests"
        );
        return;
    };
    let gauge = PressureGauge::new(10);
    let served = Router::new().route("/", get(async || "done"));
    match what.as_str() {
        "plain" => run(&served, requests, StatusCode::OK),
        "identity" => run(&served.layer(Identity::new()), requests, StatusCode::OK),
        "wrapped" => run(&Wrapping(served), requests, StatusCode::OK),
        "admitted" => run(&served.layer(BackpressureLayer::new(gauge)), requests, StatusCode::OK),
        "around" => run(&BackpressureLayer::new(gauge).layer(served), requests, StatusCode::OK),
        "fixed-429" => {
            run(&Router::new().route("/", get(fixed_429)), requests, StatusCode::TOO_MANY_REQUESTS);
        }
        "identity-429" => {
            let fixed = Router::new().route("/", get(fixed_429)).layer(Identity::new());
            run(&fixed, requests, StatusCode::TOO_MANY_REQUESTS);
        }
        "refused" => {
            gauge.set_limit(0);
            run(&served.layer(BackpressureLayer::new(gauge)), requests, StatusCode::TOO_MANY_REQUESTS);
        }
        "refused-around" => {
            gauge.set_limit(0);
            run(&BackpressureLayer::new(gauge).layer(served), requests, StatusCode::TOO_MANY_REQUESTS);
        }
        _ => println!("there is no '{what}'"),
    }
}

/// What somebody would write by hand who always refuses, with the headers of our refusal.
async fn fixed_429() -> impl axum::response::IntoResponse {
    (
        StatusCode::TOO_MANY_REQUESTS,
        [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (RETRY_AFTER, "1")],
        "Too many requests",
    )
}

/// What any layer costs that sees when a request's body and its answer's body end, and does nothing with it: both bodies
/// are of a type of its own, and so is the future between them.
#[derive(Clone)]
struct Wrapping(Router);

impl Service<Request<Body>> for Wrapping {
    type Response = Response<Wrapped>;
    type Error = Infallible;
    type Future = Wrap<<Router as Service<Request<Wrapped>>>::Future>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Wrap { response: self.0.call(request.map(|body| Wrapped { body })) }
    }
}

pin_project! {
    struct Wrap<F> {
        #[pin]
        response: F,
    }
}

impl<F: Future<Output = Result<Response<Body>, Infallible>>> Future for Wrap<F> {
    type Output = Result<Response<Wrapped>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().response.poll(cx));
        Poll::Ready(response.map(|response| response.map(|body| Wrapped { body })))
    }
}

pin_project! {
    struct Wrapped {
        #[pin]
        body: Body,
    }
}

impl http_body::Body for Wrapped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Requests from their beginning to the end of their answers. Nothing in them waits.
fn run<S, B>(service: &S, requests: u32, status: StatusCode)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body,
    B::Error: std::fmt::Debug,
{
    for _ in 0..requests {
        let request = Request::get("/").body(Body::empty()).expect("it is a request");
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(response)) = pin!(service.clone().oneshot(request)).poll(&mut cx) else {
            panic!("it did not answer at once")
        };
        assert_eq!(response.status(), status);
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut cx) {
            drop(black_box(frame.expect("the body is whole")));
        }
    }
}
