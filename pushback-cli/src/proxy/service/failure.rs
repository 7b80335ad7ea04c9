//! What a service's failures are to its clients.

use std::{error::Error as StdError, io};

use metrics::{counter, describe_counter};
use pushback::http::SenderStalled;

use crate::{
    files,
    proxy::{
        message::error::{Error, cause, is_garbled},
        tls,
    },
};

/// Why there is no answer.
pub(super) enum Failure {
    Connect(io::Error),
    Exchange(hyper::Error),
}

pub(super) fn error_of_connect(error: &io::Error) -> Error {
    match tls::error_in(error) {
        Some(rustls::Error::InvalidCertificate(_)) => return Error::Certificate,
        Some(_) => return Error::Tls,
        None => (),
    }
    if let Some(what) = missing(error) {
        count(what, 1);
        return Error::Exhausted;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::TimedOut => Error::ConnectTimeout,
        _ => Error::Unreachable,
    }
}

/// What this machine has no more of, if that is why.
fn missing(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        // So connecting calls it: all ports of this side are taken.
        io::ErrorKind::AddrNotAvailable => Some(PORTS),
        _ => files::are_exhausted(error).then_some(FILES),
    }
}

const FILES: &str = "files";
const PORTS: &str = "ports";

fn count(missing: &'static str, more: u64) {
    counter!("pushback_connect_errors_total", "kind" => missing).increment(more);
}

/// By RFC 9209, 2.3.
const ERRORS: [&str; 13] = [
    "connection_limit_reached",
    "connection_refused",
    "connection_timeout",
    "destination_not_found",
    "destination_unavailable",
    "http_protocol_error",
    "http_request_error",
    "http_response_incomplete",
    "http_response_timeout",
    "proxy_internal_error",
    "proxy_loop_detected",
    "tls_certificate_error",
    "tls_protocol_error",
];

/// The proxy answers this by itself.
pub(super) fn count_answer(error: Error) {
    if let Some(name) = error.name() {
        debug_assert!(ERRORS.contains(&name), "{name} has no metric from the start");
        count_error(name, 1);
    }
}

fn count_error(name: &'static str, more: u64) {
    counter!("pushback_proxy_errors_total", "error" => name).increment(more);
}

/// So that metrics are there before there is anything to count.
pub(super) fn count_from_now_on() {
    describe_counter!(
        "pushback_proxy_errors_total",
        "Requests that the proxy answered because it had no answer of a service, by the error in Proxy-Status; refusals are not counted."
    );
    ERRORS.iter().for_each(|name| count_error(name, 0));
    describe_counter!(
        "pushback_connect_errors_total",
        "Connections to services for which there was no file or port, by kind."
    );
    count(FILES, 0);
    count(PORTS, 0);
}

/// What a failed exchange is to the client.
pub(super) fn error_of(error: &(dyn StdError + 'static)) -> Error {
    let is_of_sender = cause::<SenderStalled>(error).is_some()
        || cause::<hyper::Error>(error).is_some_and(hyper::Error::is_user);
    match cause::<hyper::Error>(error) {
        _ if is_of_sender => Error::of_sender(error),
        Some(error) if error.is_parse() || is_garbled(error) => Error::Garbage,
        _ => Error::Broken,
    }
}
