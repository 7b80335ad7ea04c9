//! A refusal as the answer of a handler that asks a gauge itself.

use ::http::Response;
use axum::{
    body::Body,
    response::{IntoResponse, Response as AxumResponse},
};

use super::{Reply, ResponseBody, turns::Wait};
use crate::rejected::Rejected;

/// What the layer answers by default ([`Reply`]): 429 with `Retry-After`, and 503 from a closed
/// gauge. So a handler can take a place by `?`.
///
/// ```
/// use axum::{Router, extract::State, routing::get};
/// use pushback::{PressureGauge, Rejected};
///
/// async fn report(State(gauge): State<PressureGauge>) -> Result<&'static str, Rejected> {
///     let _permit = gauge.try_acquire()?;
///     Ok("written")
/// }
///
/// let app: Router = Router::new().route("/report", get(report)).with_state(PressureGauge::new(10));
/// # let _ = app;
/// ```
///
/// `Retry-After` is 1 s, the least that the layer says: only the [layer](super::BackpressureLayer)
/// knows how long places are held, and who else was refused. The request is not known here either,
/// so all callers get the same text, those of gRPC too. The gauge's name and its numbers are not in
/// it.
impl IntoResponse for Rejected {
    fn into_response(self) -> AxumResponse {
        let response: Response<ResponseBody<Body>> = Reply::new().refusal(self, || Wait::LEAST).response();
        response.map(Body::new)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use ::http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    };
    use http_body_util::BodyExt;

    use super::*;
    use crate::{arrival::Arrival, gauge::PressureGauge};

    fn answer(rejected: Rejected) -> (StatusCode, Option<String>, String) {
        let (head, body) = rejected.into_response().into_parts();
        assert_eq!(head.headers[CACHE_CONTROL], "no-store");
        assert_eq!(head.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
        let text = smol::block_on(body.collect()).unwrap().to_bytes();
        let retry_after = head.headers.get(RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        (head.status, retry_after, String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_handlers_refusal_is_what_the_layer_answers() {
        let gauge = PressureGauge::builder().name("secret").limit(1).build().unwrap();
        let _held = gauge.try_acquire().unwrap();
        let busy = (StatusCode::TOO_MANY_REQUESTS, Some("1".to_owned()), "Too many requests".to_owned());
        assert_eq!(answer(gauge.try_acquire().unwrap_err()), busy);
        let never = gauge.try_acquire_for(Arrival::new().cost(2)).unwrap_err();
        assert_eq!(answer(never), (busy.0, None, busy.2), "it never fits");
        gauge.close();
        let closed = (StatusCode::SERVICE_UNAVAILABLE, None, "Shutting down".to_owned());
        assert_eq!(answer(gauge.try_acquire().unwrap_err()), closed);
    }
}
