//! What a service's failures are to its clients.

use std::{error::Error as StdError, io};

use pushback::http::SenderStalled;

use crate::proxy::{
    message::error::{Error, cause, is_garbled},
    tls,
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
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::TimedOut => Error::ConnectTimeout,
        _ => Error::Unreachable,
    }
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
