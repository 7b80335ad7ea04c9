//! The fields of requests and answers: which requests have one meaning alone, and what a proxy must take off and put on
//! (RFC 9110, 7.6; RFC 9112).

use hyper::{
    HeaderMap, Method, Request, Response, Version,
    body::{Body, Incoming},
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
    http::uri::Authority,
};

use super::{
    claims::Claims,
    client::Client,
    error::Error,
    names::{HOP_BY_HOP, is_same_in_cgi},
    own::Own,
};

/// What `Connection` cannot take off, for it is about the message.
const KEPT: [HeaderName; 5] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, VIA, EXPECT];

/// Whether the request has one meaning, whoever reads it, and is for this proxy to forward.
pub(in crate::proxy) fn check(request: &Request<Incoming>, own: &Own) -> Result<(), Error> {
    let headers = request.headers();
    match *request.method() {
        Method::CONNECT => return Err(Error::NotDone("This proxy makes no tunnels")),
        Method::TRACE => return Err(Error::NotDone("This proxy does not answer TRACE")),
        _ => (),
    }
    let (mut hosts, mut codings, mut lengths) = (0, 0, 0);
    // One pass, for each request pays for it.
    for (name, value) in headers {
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
    if lengths > 1 {
        return Err(Error::Malformed("There is more than one Content-Length"));
    }
    if hosts > 1 {
        return Err(Error::Malformed("There is more than one Host"));
    }
    check_host(request)
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
    if !uri.path().starts_with('/') && !is_for_all {
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

/// Takes off what is about the client's connection, and puts on who asked and by which way, and what the connection is to become.
pub(in crate::proxy) fn rewrite<B: Body>(
    request: &mut Request<B>,
    client: &Client,
    claims: &Claims,
    origin: &Authority,
    upgrade: Option<&HeaderValue>,
) {
    let wants_trailers = has_token(request.headers(), &TE, "trailers");
    // Only HTTP/1.0 may name no host at all; the service must get one.
    let host = request.headers().get(HOST).cloned();
    let host =
        host.or_else(|| HeaderValue::try_from(request.uri().authority().unwrap_or(origin).as_str()).ok());
    // A body whose length nobody knows must say so, or a GET would lose it.
    let is_chunked = !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH);
    let is_h1 = request.version() < Version::HTTP_2;
    let headers = request.headers_mut();
    take_off_hop_by_hop(headers);
    take_off_trailers(headers, claims);
    join_cookies(headers);
    headers.remove(EXPECT); // answered here, when the body is asked for
    client.introduce(headers, host);
    if !is_h1 {
        headers.remove(HOST); // the target has it (RFC 9113, 8.3.1)
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if is_chunked && is_h1 {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Takes off an answer what is about the service's connection.
pub(in crate::proxy) fn clean<B>(response: &mut Response<B>, is_upgraded: bool) {
    let headers = response.headers_mut();
    let upgrade = if is_upgraded { headers.remove(UPGRADE) } else { None };
    take_off_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

fn take_off_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and finding that out is cheaper than taking off each.
    let mut there: Vec<HeaderName> =
        headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
    if there.contains(&CONNECTION) {
        there.extend(named_in(headers, &CONNECTION).filter(|name| !KEPT.contains(name)));
    }
    for name in there {
        headers.remove(name);
    }
}

/// Takes off the announcement of trailers that would pass for what this proxy says; hyper sends only those announced.
fn take_off_trailers(headers: &mut HeaderMap, claims: &Claims) {
    let announced: Vec<HeaderName> =
        named_in(headers, &TRAILER).filter(|name| claims.may_trail(name)).collect();
    headers.remove(TRAILER);
    for name in announced {
        headers.append(TRAILER, name.into());
    }
}

/// HTTP/2 has a field for each cookie, HTTP/1 one for all (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        // What is joined of values is one, too.
        if let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// The fields that are named in a list.
fn named_in<'a>(headers: &'a HeaderMap, list: &HeaderName) -> impl Iterator<Item = HeaderName> + use<'a> {
    members(headers, list).filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// Whether a list has this member.
pub(super) fn has_token(headers: &HeaderMap, list: &HeaderName, token: &str) -> bool {
    members(headers, list).any(|member| {
        let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
    })
}

/// The members of a list, which may stand in several fields.
fn members<'a>(headers: &'a HeaderMap, list: &HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let values = headers.get_all(list).into_iter().map(HeaderValue::as_bytes);
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}
