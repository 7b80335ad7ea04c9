//! Who may look, and who may change. Loopback is not private: a pod shares it, and so do the pages in a browser.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use pushback::PressureGauge;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    origin::{self, Reach},
    proxy::settings::Token,
};

/// How long whoever has a wrong token waits for the answer, and how many wait at once: a guesser must not fill the log, and those who wait
/// must not fill the listener.
const DELAY: Duration = Duration::from_secs(1);
const DELAYED: u32 = 4;

pub(super) struct Guard {
    reach: Reach,
    token: Option<Token>,
    /// Those with a wrong one, who wait.
    wrong: PressureGauge,
}

/// What a request says of the token.
enum Word {
    None,
    Wrong,
    Right,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Self {
        // Without TLS, it is on loopback or not at all.
        let reach = if address.ip().is_loopback() { Reach::Loopback } else { Reach::Certificate };
        Guard { reach, token, wrong: PressureGauge::new(DELAYED) }
    }

    fn word(&self, headers: &HeaderMap) -> Word {
        let Some(said) = headers.get(AUTHORIZATION) else { return Word::None };
        let token = said
            .as_bytes()
            .split_at_checked("Bearer ".len())
            .and_then(|(scheme, word)| scheme.eq_ignore_ascii_case(b"Bearer ").then_some(word));
        match self.token.as_ref().zip(token) {
            Some((token, word)) if token.is(word) => Word::Right,
            _ => Word::Wrong,
        }
    }

    /// Has whoever has a wrong token wait, if there is a place for that. It is taken for as long, also from those who leave.
    fn delay(&self, request: &Request) -> Option<JoinHandle<()>> {
        let place = self.wrong.try_acquire().ok()?.into_owned();
        let client = request.extensions().get().map(|ConnectInfo(peer): &ConnectInfo<SocketAddr>| peer.ip());
        tracing::warn!(
            client = client.map(tracing::field::display),
            method = request.method().as_str(),
            path = request.uri().path(),
            "wrong token"
        );
        Some(tokio::spawn(async move {
            sleep(DELAY).await;
            drop(place);
        }))
    }
}

/// Lets pass what is for this host.
pub(super) async fn from_here(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !origin::is_here(&request, guard.reach) {
        return (StatusCode::MISDIRECTED_REQUEST, "not this host\n").into_response();
    }
    // On loopback everybody may look; elsewhere only whether the proxy is well, and at the page that asks for the token.
    let is_for_all =
        guard.reach == Reach::Loopback || matches!(request.uri().path(), "/" | "/healthz" | "/readyz");
    if is_for_all { next.run(request).await } else { known(State(guard), request, next).await }
}

/// Lets pass who has the token.
pub(super) async fn known(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if guard.token.is_none() {
        return (StatusCode::FORBIDDEN, "no token is set: --admin-token FILE, or token in [admin]\n")
            .into_response();
    }
    match guard.word(request.headers()) {
        Word::Right => return next.run(request).await,
        Word::Wrong => match guard.delay(&request) {
            Some(delay) => delay.await.unwrap_or_default(),
            None => {
                let later = [(RETRY_AFTER, HeaderValue::from(DELAY.as_secs()))];
                return (StatusCode::TOO_MANY_REQUESTS, later, "too many wrong tokens\n").into_response();
            }
        },
        Word::None => (),
    }
    let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    (StatusCode::UNAUTHORIZED, challenge, "wrong token, or none\n").into_response()
}
