//! Which messages have one meaning alone, whoever reads them (RFC 9110; RFC 9112; RFC 9113, 8.2).

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue, MAX_FORWARDS, TRANSFER_ENCODING, VIA},
    http::uri::{Authority, PathAndQuery},
};

use super::{error::Error, lists::members, names::is_same_in_cgi, own::Own};

/// Whether the request has one meaning, whoever reads it, and is for this proxy to forward.
pub(in crate::proxy) fn check(
    request: &Request<Incoming>,
    own: &Own,
    fields_max: usize,
) -> Result<(), Error> {
    let headers = request.headers();
    match *request.method() {
        Method::CONNECT => return Err(Error::NotDone("This proxy makes no tunnels")),
        Method::TRACE => return Err(Error::NotDone("This proxy does not answer TRACE")),
        _ => (),
    }
    let (mut hosts, mut codings, mut lengths) = (0, 0, 0);
    // One pass, for each request pays for it.
    for (name, value) in headers {
        if has_blank_end(value) {
            return Err(Error::Malformed("A field's value begins or ends with a blank"));
        }
        match *name {
            HOST => hosts += 1,
            TRANSFER_ENCODING => {
                codings += 1;
                if codings > 1 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Error::NotDone("The only transfer coding here is chunked"));
                }
            }
            CONTENT_LENGTH => lengths += 1,
            VIA if value.to_str().is_ok_and(|via| via.contains(&own.name)) => return Err(Error::Loop),
            _ if is_same_in_cgi(name) => {
                return Err(Error::Malformed(
                    "A field's name has underscores where a well-known one has hyphens",
                ));
            }
            _ => (),
        }
    }
    if number_of_fields(headers) > fields_max {
        return Err(Error::TooManyFields);
    }
    if lengths > 1 {
        return Err(Error::Malformed("There is more than one Content-Length"));
    }
    if hosts > 1 {
        return Err(Error::Malformed("There is more than one Host"));
    }
    check_host(request)?;
    match hops_left(request)? {
        Some(0) => Err(Error::LastHop),
        _ => Ok(()),
    }
}

/// Whether it has a blank where HTTP/1 would take it off and HTTP/2 has none (RFC 9113, 8.2.1).
pub(super) fn has_blank_end(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    [bytes.first(), bytes.last()].iter().any(|byte| matches!(byte, Some(b' ' | b'\t')))
}

/// Takes such blanks off what a service says, as HTTP/1 does: messages of gRPC end in them now and then, and all mean the same.
pub(super) fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut().filter(|value| has_blank_end(value)) {
        // A part of a value is one, too.
        if let Ok(trimmed) = HeaderValue::from_bytes(value.as_bytes().trim_ascii()) {
            *value = trimmed;
        }
    }
}

/// How many fields there are. The cookies of HTTP/2 are one to a service, however many they come in (RFC 9113, 8.2.3).
pub(super) fn number_of_fields(headers: &HeaderMap) -> usize {
    headers.len() - headers.get_all(COOKIE).iter().skip(1).count()
}

/// How many hops further OPTIONS may go, if anybody said that (RFC 9110, 7.6.2). Of the other methods that must count, this proxy does
/// none.
pub(super) fn hops_left<B>(request: &Request<B>) -> Result<Option<u32>, Error> {
    if *request.method() != Method::OPTIONS {
        return Ok(None);
    }
    let mut values = request.headers().get_all(MAX_FORWARDS).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.to_str().unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) || values.next().is_some() {
        return Err(Error::Malformed("Max-Forwards is no number"));
    }
    Ok(Some(digits.parse().unwrap_or(u32::MAX)))
}

/// The host that is asked for, of a request that was checked.
pub(in crate::proxy) fn host<B>(request: &Request<B>) -> Option<Authority> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    named.or_else(|| request.uri().authority().cloned())
}

/// Whether it asks for one host.
fn check_host(request: &Request<Incoming>) -> Result<(), Error> {
    let uri = request.uri();
    let is_for_all = *request.method() == Method::OPTIONS && uri.path() == "*";
    if !uri.path().starts_with('/') && !is_for_all || is_fragment(uri) {
        return Err(Error::Malformed("The target is no path"));
    }
    if !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return Err(Error::Malformed("The target is no address of HTTP"));
    }
    let host = match request.headers().get(HOST) {
        Some(host) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            let host = host.filter(is_name_and_port);
            Some(host.ok_or(Error::Malformed("The Host is no name and port"))?)
        }
        None => None,
    };
    match (host, uri.authority()) {
        (_, Some(authority)) if !is_name_and_port(authority) => {
            Err(Error::Malformed("The target's host is no name and port"))
        }
        (Some(host), Some(authority)) if host != *authority => {
            Err(Error::Malformed("The target and the Host name different hosts"))
        }
        (None, None) if request.version() != Version::HTTP_10 => Err(Error::Malformed("There is no Host")),
        (None, Some(_)) if request.version() == Version::HTTP_11 => Err(Error::Malformed("There is no Host")),
        _ => Ok(()),
    }
}

/// Whether it has a name, no user, and a number for a port, if there is one: `Authority` takes anything for it.
fn is_name_and_port(host: &Authority) -> bool {
    let port = host.as_str().strip_prefix(host.host());
    let is_number =
        |port: &str| port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let has_proper_port = match port.map(|port| port.strip_prefix(':').unwrap_or(port)) {
        None => false, // a user stands before the name
        Some(port) => port.is_empty() || is_number(port),
    };
    has_proper_port && !host.host().is_empty() && !host.as_str().contains('@')
}

/// Whether the target is a fragment alone, of which `Uri` leaves nothing: it calls that "/" as long as a scheme stands before it.
fn is_fragment(uri: &Uri) -> bool {
    let is_empty = |target: &PathAndQuery| Uri::from(target.clone()).path().is_empty();
    uri.scheme().is_some() && uri.path() == "/" && uri.path_and_query().is_some_and(is_empty)
}

/// What is known of an answer's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Framing {
    pub(in crate::proxy) is_chunked: bool,
    /// Whether the service means what this proxy does, so that its connection is good for another call.
    pub(in crate::proxy) is_certain: bool,
}

/// Whether a service's answer has one meaning, and leaves it one length at most (RFC 9110, 8.6; RFC 9112, 6.3).
pub(in crate::proxy) fn check_answer<B>(response: &mut Response<B>) -> Result<Framing, Error> {
    let status = response.status();
    let headers = response.headers_mut();
    trim(headers);
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err(Error::Garbage),
    };
    let mut is_certain = status != StatusCode::SWITCHING_PROTOCOLS;
    if !headers.contains_key(CONTENT_LENGTH) {
        return Ok(Framing { is_chunked, is_certain });
    }
    let has_content = !status.is_informational() && status != StatusCode::NO_CONTENT;
    if is_chunked || !has_content {
        headers.remove(CONTENT_LENGTH);
        is_certain = false;
    } else {
        let length = one_length(headers).ok_or(Error::Garbage)?;
        if !is_plain(headers) {
            headers.insert(CONTENT_LENGTH, length.into());
        }
    }
    Ok(Framing { is_chunked, is_certain })
}

/// Whether the length is said once, in digits alone, as nearly all say it.
fn is_plain(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next().is_some_and(|length| length.as_bytes().iter().all(u8::is_ascii_digit));
    first && lengths.next().is_none()
}

/// The length, if it is the same however often it is said.
fn one_length(headers: &HeaderMap) -> Option<u64> {
    let mut lengths = members(headers, &CONTENT_LENGTH).map(|digits| {
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
    });
    let first = lengths.next()??;
    lengths.all(|length| length == Some(first)).then_some(first)
}
