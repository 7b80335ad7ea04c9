//! What a request is to the gauge, and what its response says about the load.

use std::{fmt, sync::Arc};

use ::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};

use super::{
    head::{RequestHead, ResponseHead},
    retries::is_retry,
    sending::Sending,
    trust::Trust,
};
use crate::{
    arrival::Arrival,
    gauge::{OwnedPermit, PressureGauge},
    outcome::Outcome,
    rejected::Reason,
    settings::BuildError,
};

/// What the gauge is told of a request and of its response.
///
/// A request is exempt, or an [`Arrival`] with its cost, priority and deadline. Without settings,
/// each request costs one place. Its response says about the load:
///
/// | response | [`Outcome`] |
/// |---|---|
/// | status 1xx, 2xx, 3xx; gRPC `OK` | `Success` |
/// | status 429, 503, and 408 and 504, which say that the handler timed out; gRPC `RESOURCE_EXHAUSTED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED` | `Overload` |
/// | other 4xx and 5xx, other gRPC statuses or none at the end, a service's error, a response body that breaks off, a panic | `Ignore`: a fast failure is no good latency |
/// | any response to a request whose body stalled, broke off or was malformed; 408, 504 and `DEADLINE_EXCEEDED` while the handler waits for its sender, `RESOURCE_EXHAUSTED` before the end of the request | `Ignore`: the caller is to blame |
/// | the caller goes away before the head, once the service has the whole request, or before the end of a gRPC call; gRPC `CANCELLED`, and `DEADLINE_EXCEEDED` where the caller set the deadline (`grpc-timeout`) | `Cancelled` |
/// | the caller goes away in the middle of his request | `Ignore` |
///
/// A handler that knows better puts an [`Outcome`] into the response's extensions. With axum:
/// `(Extension(Outcome::Ignore), body)`. It counts before the status, but not before a sender who
/// failed or a body that breaks off.
///
/// ```
/// use pushback::{Arrival, PressureGauge, Priority, http::{BackpressureLayer, Classify}};
///
/// let classify = Classify::new()
///     .exempt(["/healthz", "/metrics"])?
///     .arrival(|request| match request.uri.path() {
///         "/checkout" => Arrival::new().priority(Priority::Critical),
///         "/report" => Arrival::new().priority(Priority::Background).cost(5),
///         _ => Arrival::new(),
///     });
/// let layer = BackpressureLayer::waiting(PressureGauge::new(10)).classify(classify);
/// # let _ = layer;
/// # Ok::<(), pushback::BuildError>(())
/// ```
#[derive(Clone, Default)]
pub struct Classify {
    has_equal_retries: bool,
    exempt: Vec<String>,
    exempt_if: Vec<Arc<ExemptIf>>,
    arrival: Option<Arc<ArrivalOf>>,
    trust: Option<Trust>,
    outcome: Option<Arc<OutcomeOf>>,
}

type ExemptIf = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;
type ArrivalOf = dyn Fn(&RequestHead<'_>) -> Arrival + Send + Sync;
type OutcomeOf = dyn Fn(&ResponseHead<'_>) -> Outcome + Send + Sync;

/// What a request is to the gauge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Class {
    Exempt,
    Asks(Asks),
}

/// What a request asks the gauge for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asks {
    pub(super) arrival: Arrival,
    pub(super) is_trusted: bool,
}

/// What watchers want to know.
impl Asks {
    #[inline]
    pub(super) fn note_admitted(self, permit: &OwnedPermit) {
        // What a dry run lets in beside the limit is not counted as admitted elsewhere either.
        #[cfg(feature = "dashboard")]
        if !permit.is_phantom() {
            permit.gauge().notebook().admitted(self.arrival.importance());
        }
        let _ = permit;
    }

    #[inline]
    pub(super) fn note_refused<Q>(self, gauge: &PressureGauge, reason: Reason, request: &Request<Q>) {
        #[cfg(feature = "dashboard")]
        {
            // Behind axum's `nest` the target lacks what it was nested at.
            let original = request.extensions().get::<axum::extract::OriginalUri>();
            let path = original.map_or(request.uri(), |original| &original.0).path();
            let (priority, method) = (self.arrival.importance(), request.method().as_str());
            gauge
                .notebook()
                .refused(crate::notebook::Refused { reason, priority, method, path }, || gauge.now());
        }
        let _ = (gauge, reason, request);
    }
}

impl Classify {
    /// Each request costs one place, and nobody is trusted.
    pub fn new() -> Self {
        Classify::default()
    }

    /// Paths that pass without a place and without a limit, such as health checks, whatever the
    /// method.
    ///
    /// They are compared as they are written, without the query, with the path that the layer sees.
    /// Inside a router that axum's `nest` puts at `/api`, that is `/healthz` and not
    /// `/api/healthz`. Around the outer router, it is `/api/healthz`.
    ///
    /// # Errors
    ///
    /// If a path does not begin with `/`, or has a query or a fragment: it would never match.
    pub fn exempt<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Result<Self, BuildError> {
        for path in paths {
            let path = path.into();
            if !path.starts_with('/') || path.contains(['?', '#']) {
                return Err(BuildError::new(
                    "exempt",
                    format!("{path:?}"),
                    "a path that begins with '/', without '?' and '#'",
                ));
            }
            self.exempt.push(path);
        }
        Ok(self)
    }

    /// Further requests that pass without a place and without a limit, by anything that is known
    /// before their bodies are read.
    ///
    /// It runs for each request, and sees what callers claim. So let pass only what costs the
    /// service nothing.
    ///
    /// An example is a CORS preflight, by which a browser asks whether a page of another origin may
    /// ask. Where a layer or a proxy before the service answers it, it is no work, and a refusal
    /// would hide the service's own answer from the page. But anybody can write such a request, and
    /// a service may work on it as on any other, so it passes only if you say so:
    ///
    /// ```
    /// use http::Method;
    /// use pushback::http::Classify;
    ///
    /// let classify = Classify::new()
    ///     .exempt_if(|request| request.is_preflight())
    ///     .exempt_if(|request| request.method == Method::GET && request.uri.path().starts_with("/static/"));
    /// # let _ = classify;
    /// ```
    ///
    /// Inside axum's `nest`, `request.uri` lacks the prefix; axum's `OriginalUri` in
    /// `request.extensions` has it.
    pub fn exempt_if(mut self, passes: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.exempt_if.push(Arc::new(passes));
        self
    }

    /// The cost, priority and deadline of a request.
    ///
    /// It runs for each request, before anything is decided. It does not see the headers that an
    /// untrusted peer may not send.
    pub fn arrival(
        mut self,
        arrival_of: impl Fn(&RequestHead<'_>) -> Arrival + Send + Sync + 'static,
    ) -> Self {
        self.arrival = Some(Arc::new(arrival_of));
        self
    }

    /// Whether a request that says that it is a retry ranks below a first attempt of its own
    /// [`Priority`](crate::Priority), as [`Arrival::retry`] does. Default: `true`.
    ///
    /// A request says so by `grpc-previous-rpc-attempts` from 1 on, `x-envoy-attempt-count` from 2
    /// on, `amz-sdk-request` with `attempt=` from 2 on, or `x-stainless-retry-count` from 1 on.
    /// Anybody is believed, for nobody gains by it.
    pub fn retries_rank_lower(mut self, lower: bool) -> Self {
        self.has_equal_retries = !lower;
        self
    }

    /// Which peers may state a priority and a deadline in headers. Default: none.
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// What a response's head says about the load, instead of the table above. gRPC trailers are
    /// then not looked at.
    pub fn outcome(
        mut self,
        outcome_of: impl Fn(&ResponseHead<'_>) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.outcome = Some(Arc::new(outcome_of));
        self
    }

    /// Looks at a request, and takes off what an untrusted peer may not say.
    pub(super) fn class<Q>(&self, request: &mut Request<Q>, gauge: &PressureGauge) -> Class {
        let trusted = self.trust.as_ref().filter(|trust| trust.is_trusted(&RequestHead::of(request)));
        if let (Some(trust), None) = (&self.trust, trusted) {
            // First of all, so that nobody behind this believes them, on exempt paths neither.
            trust.strip(request.headers_mut());
        }
        if self.is_exempt(request) {
            return Class::Exempt;
        }
        let arrival = self.arrival.as_ref().map(|arrival_of| arrival_of(&RequestHead::of(request)));
        let mut arrival = arrival.unwrap_or_default();
        match is_retry(request.headers()) {
            true if self.has_equal_retries => gauge.note_retry(),
            true => arrival = arrival.retry(true),
            false => (),
        }
        match trusted {
            None => Class::Asks(Asks { arrival, is_trusted: false }),
            Some(trust) => {
                let arrival = trust.heed(arrival, request.headers(), gauge);
                Class::Asks(Asks { arrival, is_trusted: true })
            }
        }
    }

    fn is_exempt<Q>(&self, request: &Request<Q>) -> bool {
        self.exempt.iter().any(|path| path == request.uri().path())
            || self.exempt_if.iter().any(|passes| passes(&RequestHead::of(request)))
    }

    /// What a response's head says; `None` if only the trailers will say it.
    pub(super) fn outcome_of<B>(&self, response: &Response<B>, grpc: Option<GrpcCall>) -> Option<Outcome> {
        if let Some(outcome) = response.extensions().get::<Outcome>() {
            return Some(*outcome);
        }
        if let Some(outcome_of) = &self.outcome {
            let (status, headers, extensions) =
                (response.status(), response.headers(), response.extensions());
            return Some(outcome_of(&ResponseHead { status, headers, extensions }));
        }
        if let Some(call) =
            grpc.filter(|_| response.status() == StatusCode::OK && is_grpc(response.headers()))
        {
            return response.headers().get(GRPC_STATUS).map(|status| call.outcome_of(status));
        }
        Some(outcome_of_status(response.status()))
    }
}

/// Whether a request or a response is gRPC by what it says its body is. Not grpc-web, whose callers read statuses from the body.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

const GRPC_STATUS: &str = "grpc-status";
const GRPC_TIMEOUT: &str = "grpc-timeout";

fn outcome_of_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::GATEWAY_TIMEOUT => Outcome::Overload,
        status if status.is_client_error() || status.is_server_error() => Outcome::Ignore,
        _ => Outcome::Success,
    }
}

/// A request that may be a call of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GrpcCall {
    /// Its caller says how long he waits, which may be as short as he likes.
    has_deadline: bool,
}

impl GrpcCall {
    pub(super) fn of<Q>(request: &Request<Q>) -> Option<Self> {
        let headers = request.headers();
        let may_be = *request.method() == Method::POST && is_grpc(headers);
        may_be.then(|| GrpcCall { has_deadline: headers.contains_key(GRPC_TIMEOUT) })
    }

    /// By the codes of <https://grpc.io/docs/guides/status-codes>.
    fn outcome_of(self, status: &HeaderValue) -> Outcome {
        match status.as_bytes() {
            b"0" => Outcome::Success,
            b"1" => Outcome::Cancelled,
            // DEADLINE_EXCEEDED, the caller's own or the service's.
            b"4" if self.has_deadline => Outcome::Cancelled,
            // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE.
            b"4" | b"8" | b"14" => Outcome::Overload,
            _ => Outcome::Ignore,
        }
    }

    /// What the trailers say.
    pub(super) fn outcome_of_trailers(self, trailers: &HeaderMap) -> Outcome {
        trailers.get(GRPC_STATUS).map_or(Outcome::Ignore, |status| self.outcome_of(status))
    }
}

/// Whether a response says that its request came too late, or was too large, while the sender was still sending. Not the service is to
/// blame for that.
pub(super) fn is_senders_fault<B>(response: &Response<B>, sending: Sending) -> bool {
    let says = |code: &str| response.headers().get(GRPC_STATUS).is_some_and(|status| status == code);
    let is_late = matches!(response.status(), StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT);
    match sending {
        Sending::Failed => true,
        Sending::Ended => false,
        Sending::Awaited => is_late || says("4") || says("8"),
        Sending::Coming => says("8"),
    }
}

impl fmt::Debug for Classify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classify")
            .field("exempt", &self.exempt)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_the_table_says() {
        for (statuses, outcome) in [
            (&[100, 101, 200, 204, 206, 301, 304][..], Outcome::Success),
            (&[408, 429, 503, 504], Outcome::Overload),
            (&[400, 401, 404, 413, 499, 500, 501, 502, 599], Outcome::Ignore),
        ] {
            for status in statuses {
                assert_eq!(outcome_of_status(StatusCode::from_u16(*status).unwrap()), outcome, "{status}");
            }
        }
        for (statuses, outcome, with_deadline) in [
            (&["0"][..], Outcome::Success, Outcome::Success),
            (&["1"], Outcome::Cancelled, Outcome::Cancelled),
            (&["4"], Outcome::Overload, Outcome::Cancelled),
            (&["8", "14"], Outcome::Overload, Outcome::Overload),
            (
                &["2", "3", "5", "12", "13", "16", "17", "", "00", "nonsense"],
                Outcome::Ignore,
                Outcome::Ignore,
            ),
        ] {
            for status in statuses {
                let of =
                    |has_deadline| GrpcCall { has_deadline }.outcome_of(&HeaderValue::from_static(status));
                assert_eq!((of(false), of(true)), (outcome, with_deadline), "{status}");
            }
        }
    }

    #[test]
    fn an_exempt_path_that_never_matches_is_an_error() {
        for path in ["", "healthz", "/healthz?full", "/a#b"] {
            let error = Classify::new().exempt(["/", path]).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("exempt is {path:?}; allowed: a path that begins with '/', without '?' and '#'")
            );
        }
    }
}
