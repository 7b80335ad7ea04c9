//! What a service's failures are to its clients.

use std::{error::Error as StdError, io};

use pushback::http::SenderStalled;

use crate::proxy::{message::error::Error, tls};

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
    if find::<SenderStalled>(error).is_some() {
        return Error::Upload;
    }
    // So hyper calls chunks that are none; a body which only stops is cut off.
    let is_garbled =
        |io: &&io::Error| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    let is_of_sender = find::<hyper::Error>(error).is_some_and(hyper::Error::is_user);
    if is_of_sender && find::<io::Error>(error).filter(is_garbled).is_some() {
        return Error::Malformed("The body's chunks are malformed");
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse() => Error::Garbage,
        Some(error) if error.is_user() => Error::Upload,
        _ => Error::Broken,
    }
}

/// The first cause of this kind.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}
