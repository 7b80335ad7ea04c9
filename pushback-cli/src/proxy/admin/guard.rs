//! Who may look, and who may change. Loopback is not private: a pod shares it, and so do the pages in a browser.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    origin::{self, Reach},
    proxy::settings::Token,
};

pub(super) struct Guard {
    reach: Reach,
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Self {
        // Without TLS, it is on loopback or not at all.
        let reach = if address.ip().is_loopback() { Reach::Loopback } else { Reach::Certificate };
        Guard { reach, token }
    }

    /// Whether the request has the token.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let word = headers.get(AUTHORIZATION).and_then(|word| {
            let (scheme, word) = word.as_bytes().split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"Bearer ").then_some(word)
        });
        self.token.as_ref().zip(word).is_some_and(|(token, word)| token.is(word))
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
    if guard.knows(request.headers()) {
        return next.run(request).await;
    }
    let challenge = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    (StatusCode::UNAUTHORIZED, challenge, "wrong token, or none\n").into_response()
}
