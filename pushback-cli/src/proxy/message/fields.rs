//! The fields of requests and answers: what a proxy must take off and put on (RFC 9110, 7.6; RFC 9112).

use std::sync::Arc;

use hyper::{
    HeaderMap, Request, Response, Version,
    body::Body,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, MAX_FORWARDS, TE,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
    http::uri::Authority,
};

use super::{
    check::hops_left,
    claims::Claims,
    client::Client,
    lists::{has_token, named_in_connection},
    names::HOP_BY_HOP,
    trailers::Trailers,
};

/// What `Connection` cannot take off, for it is about the message.
const KEPT: [HeaderName; 5] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, VIA, EXPECT];

/// Takes off what is about the client's connection, and puts on who asked and by which way, and what the connection is to become. Says
/// which of its trailers go along.
pub(in crate::proxy) fn rewrite<B: Body>(
    request: &mut Request<B>,
    client: &Client,
    claims: &Arc<Claims>,
    fields_max: usize,
    origin: &Authority,
    upgrade: Option<&HeaderValue>,
) -> Trailers {
    let wants_trailers = has_token(request.headers(), &TE, "trailers");
    // Only HTTP/1.0 may name no host at all; the service must get one.
    let host = request.headers().get(HOST).cloned();
    let host =
        host.or_else(|| HeaderValue::try_from(request.uri().authority().unwrap_or(origin).as_str()).ok());
    // A body whose length nobody knows must say so, or a GET would lose it.
    let is_chunked = !request.body().is_end_stream() && !request.headers().contains_key(CONTENT_LENGTH);
    let is_h1 = request.version() < Version::HTTP_2;
    let hops_left = hops_left(request).ok().flatten();
    let headers = request.headers_mut();
    let named = take_off_hop_by_hop(headers);
    let trailers = Trailers { claims: Some(Arc::clone(claims)), named, fields_max };
    trailers.announce(headers);
    join_cookies(headers);
    headers.remove(EXPECT); // answered here, when the body is asked for
    if let Some(hops) = hops_left {
        headers.insert(MAX_FORWARDS, hops.saturating_sub(1).into());
    }
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
    if let Some(protocols) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocols.clone());
    }
    trailers
}

/// Takes off an answer what is about the service's connection. Says which of its trailers go along.
pub(in crate::proxy) fn clean<B>(response: &mut Response<B>, is_upgraded: bool) -> Trailers {
    *response.version_mut() = Version::HTTP_11; // this proxy's own (RFC 9110, 2.5)
    let headers = response.headers_mut();
    let upgrade = if is_upgraded { headers.remove(UPGRADE) } else { None };
    let named = take_off_hop_by_hop(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    let trailers = Trailers { claims: None, named, fields_max: usize::MAX };
    trailers.announce(headers);
    trailers
}

/// Says what `Connection` named beside that.
fn take_off_hop_by_hop(headers: &mut HeaderMap) -> Vec<HeaderName> {
    // Most messages have none, and finding that out is cheaper than taking off each.
    let mut there: Vec<HeaderName> =
        headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
    let named: Vec<HeaderName> = if there.contains(&CONNECTION) {
        named_in_connection(headers).filter(|name| !KEPT.contains(name)).collect()
    } else {
        Vec::new()
    };
    there.extend(named.iter().cloned());
    for name in there {
        headers.remove(name);
    }
    named
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
