//! Who may look, and who may change.
//!
//! Loopback is not private: a pod shares it, and a page elsewhere can have its own name point to it and so read what a browser on
//! this machine may read (DNS rebinding). Its requests have its name for a Host.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::token::Token;

pub(super) struct Guard {
    is_on_loopback: bool,
    token: Option<Token>,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Self {
        Guard { is_on_loopback: address.ip().is_loopback(), token }
    }

    /// Whether the request is by a page of ours, or by none, and for this host.
    fn is_from_here(&self, request: &Request) -> bool {
        let text =
            |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
        // HTTP/2 has the host in the target.
        let host = request.uri().authority().map(Authority::as_str).or(text(HOST)).unwrap_or_default();
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        let name = name.map_or(host, |(name, _)| name);
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_this_machine =
            name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
        // Elsewhere the certificate has the name.
        let is_ours = !self.is_on_loopback || is_this_machine;
        let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
        is_ours && text(ORIGIN).is_none_or(is_own)
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
    if !guard.is_from_here(&request) {
        return (StatusCode::MISDIRECTED_REQUEST, "not this host\n").into_response();
    }
    // On loopback everybody may look; elsewhere only whether the proxy is well.
    let is_for_all = guard.is_on_loopback || matches!(request.uri().path(), "/healthz" | "/readyz");
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
