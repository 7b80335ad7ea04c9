//! Why a request gets no answer of a service, and how clients and operators tell that from what the service answered: by the field
//! `Proxy-Status` (RFC 9209).

use std::{error::Error as StdError, fmt, io};

use hyper::{
    StatusCode,
    header::{HeaderName, HeaderValue},
};
use pushback::Outcome;

pub(in crate::proxy) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What a refusal of the gauge has for a Proxy-Status.
pub(in crate::proxy) const REFUSED: HeaderValue =
    HeaderValue::from_static("pushback; error=http_request_denied");

/// Why there is no answer of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Error {
    /// The request has no single meaning.
    Malformed(&'static str),
    /// It has more fields than it may.
    TooManyFields,
    /// It is for the last hop that it may reach, which is this one: no error, and no answer of the service.
    LastHop,
    /// It asks for what this proxy does not do.
    NotDone(&'static str),
    /// It came by here before.
    Loop,
    /// Its sender stalled or broke off.
    Upload,
    /// No route is for it.
    NoRoute,
    /// So many connections of its route have become something else already.
    TooManyUpgrades,
    /// This proxy has a fault.
    Panicked,
    /// This machine has no file or port for another connection.
    Exhausted,
    Refused,
    ConnectTimeout,
    Unreachable,
    Certificate,
    Tls,
    Garbage,
    Broken,
    TooSlow,
}

impl Error {
    /// What is wrong with a request whose body did not come to its end.
    pub(in crate::proxy) fn of_sender(error: &(dyn StdError + 'static)) -> Self {
        if let Some(known) = cause::<Error>(error) {
            *known
        } else if is_garbled(error) {
            Error::Malformed("The body's chunks are malformed")
        } else {
            Error::Upload
        }
    }

    /// Whether its connection is good for another request: after a malformed one, nobody knows where the next begins.
    pub(in crate::proxy) fn leaves_connection(self) -> bool {
        matches!(self, Error::NoRoute | Error::LastHop | Error::TooManyUpgrades)
    }

    pub(in crate::proxy) fn status(self) -> StatusCode {
        match self {
            Error::Malformed(_) => StatusCode::BAD_REQUEST,
            Error::TooManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::TooManyUpgrades => StatusCode::TOO_MANY_REQUESTS,
            Error::LastHop => StatusCode::OK,
            Error::NotDone(_) => StatusCode::NOT_IMPLEMENTED,
            Error::Loop => StatusCode::LOOP_DETECTED,
            Error::Upload => StatusCode::REQUEST_TIMEOUT,
            Error::NoRoute => StatusCode::NOT_FOUND,
            Error::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Error::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
            Error::Refused | Error::Unreachable | Error::Garbage | Error::Broken => StatusCode::BAD_GATEWAY,
            Error::Certificate | Error::Tls => StatusCode::BAD_GATEWAY,
            Error::ConnectTimeout | Error::TooSlow => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// What it is called (RFC 9209, 2.3), if it is an error.
    pub(in crate::proxy) fn name(self) -> Option<&'static str> {
        self.proxy_status().strip_prefix("pushback; error=")
    }

    /// Whether the service is the one to look at, or the way to it.
    pub(in crate::proxy) fn is_of_service(self) -> bool {
        match self {
            Error::Exhausted | Error::Refused | Error::ConnectTimeout | Error::Unreachable => true,
            Error::Certificate | Error::Tls | Error::Garbage | Error::Broken | Error::TooSlow => true,
            Error::Malformed(_) | Error::TooManyFields | Error::LastHop | Error::NotDone(_) => false,
            Error::Loop | Error::Upload | Error::NoRoute | Error::TooManyUpgrades | Error::Panicked => false,
        }
    }

    /// By the registry of RFC 9209, 2.3.
    pub(in crate::proxy) fn proxy_status(self) -> &'static str {
        match self {
            Error::Malformed(_) | Error::TooManyFields | Error::NotDone(_) | Error::Upload => {
                "pushback; error=http_request_error"
            }
            Error::LastHop => "pushback",
            Error::TooManyUpgrades => "pushback; error=connection_limit_reached",
            Error::Loop => "pushback; error=proxy_loop_detected",
            Error::NoRoute => "pushback; error=destination_not_found",
            Error::Panicked => "pushback; error=proxy_internal_error",
            Error::Exhausted => "pushback; error=connection_limit_reached",
            Error::Certificate => "pushback; error=tls_certificate_error",
            Error::Tls => "pushback; error=tls_protocol_error",
            Error::Refused => "pushback; error=connection_refused",
            Error::ConnectTimeout => "pushback; error=connection_timeout",
            Error::Unreachable => "pushback; error=destination_unavailable",
            Error::Garbage => "pushback; error=http_protocol_error",
            Error::Broken => "pushback; error=http_response_incomplete",
            Error::TooSlow => "pushback; error=http_response_timeout",
        }
    }

    /// Who is to blame, as the gauge is told. Only a service that takes too long is overloaded.
    pub(in crate::proxy) fn outcome(self) -> Outcome {
        match self {
            Error::ConnectTimeout | Error::TooSlow => Outcome::Overload,
            Error::TooManyUpgrades => Outcome::Ignore,
            Error::Malformed(_) | Error::TooManyFields | Error::LastHop | Error::NotDone(_) => {
                Outcome::Ignore
            }
            Error::Loop | Error::Upload | Error::NoRoute => Outcome::Ignore,
            Error::Refused | Error::Unreachable | Error::Garbage | Error::Broken => Outcome::Ignore,
            Error::Certificate | Error::Tls | Error::Panicked | Error::Exhausted => Outcome::Ignore,
        }
    }

    pub(in crate::proxy) fn text(self) -> &'static str {
        match self {
            Error::Malformed(why) | Error::NotDone(why) => why,
            Error::TooManyFields => "The request has too many fields",
            Error::TooManyUpgrades => "Too many connections are upgraded already",
            Error::LastHop => "This request ends at this proxy (Max-Forwards: 0)",
            Error::Loop => "This request passed this proxy before",
            Error::Upload => "The request was not complete",
            Error::NoRoute => "No route matches this request",
            Error::Panicked => "Internal error of this proxy",
            Error::Exhausted => "This proxy has no file or port for another connection to the service",
            Error::Certificate => "The service's certificate is not trusted",
            Error::Tls => "The service does not answer in TLS",
            Error::Refused => "The service refuses connections",
            Error::ConnectTimeout => "The service could not be reached in time",
            Error::Unreachable => "The service cannot be reached",
            Error::Garbage => "The service does not answer in HTTP",
            Error::Broken => "The service broke off before it answered",
            Error::TooSlow => "The service did not answer in time",
        }
    }
}

/// As a body has it that ends with it.
impl StdError for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Whether a body has chunks that are none; one that only stops is cut off.
pub(in crate::proxy) fn is_garbled(error: &(dyn StdError + 'static)) -> bool {
    // So hyper calls them.
    let is_garbled =
        |io: &io::Error| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    cause(error).is_some_and(is_garbled)
}

/// The first cause of this kind.
pub(in crate::proxy) fn cause<'a, E: StdError + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| (*error).source())
        .find_map(|error| error.downcast_ref())
}
