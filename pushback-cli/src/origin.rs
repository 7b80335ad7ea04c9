//! Who asks a page on this machine.
//!
//! Loopback is not private: a page elsewhere can have its own name point to it and so read what a browser on this machine may read (DNS
//! rebinding). Its requests have its name for a Host.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderValue,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
};

/// Whether the request is by a page of ours, or by none, and for this host.
pub(crate) fn is_here(request: &Request, is_on_loopback: bool) -> bool {
    let text = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    // HTTP/2 has the host in the target.
    let host = request.uri().authority().map(Authority::as_str).or(text(HOST)).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_this_machine =
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback());
    // Elsewhere the certificate has the name.
    let is_ours = !is_on_loopback || is_this_machine;
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    is_ours && text(ORIGIN).is_none_or(is_own)
}
