//! Who asks a page on this machine.
//!
//! Loopback is not private: a page elsewhere can have its own name point to it and so read what a browser on this machine may read (DNS
//! rebinding). Its requests have its name for a Host.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{
        HeaderName, HeaderValue,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
};

/// How others reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// From this machine alone.
    Loopback,
    /// From elsewhere, without TLS: by an address, for whoever owns a name can have it point here.
    Address,
    /// From elsewhere, with TLS: the certificate has the name.
    Certificate,
}

/// Whether the request is by a page of ours, or by none, and for this host.
pub(crate) fn is_here(request: &Request, reach: Reach) -> bool {
    let text = |name| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    // HTTP/2 has the host in the target.
    let host = request.uri().authority().map(Authority::as_str).or(text(HOST)).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_localhost = name.eq_ignore_ascii_case("localhost");
    let is_ours = match reach {
        Reach::Loopback => is_localhost || address.is_ok_and(|address| address.is_loopback()),
        Reach::Address => is_localhost || address.is_ok(),
        Reach::Certificate => true,
    };
    let is_own = |origin: &str| origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    // Browsers say of each request whose page it is of, also where they send no Origin (W3C Fetch Metadata); a link may lead here.
    let is_of_another = text(FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"))
        && text(FETCH_MODE).is_none_or(|mode| mode != "navigate");
    is_ours && !is_of_another && text(ORIGIN).is_none_or(is_own)
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn is_let_in(reach: Reach, headers: &[(&str, &str)]) -> bool {
        let request =
            headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
        is_here(&request.body(Body::empty()).unwrap(), reach)
    }

    #[test]
    fn a_host_is_one_that_nobody_else_can_have_point_here() {
        for (host, loopback, address, certificate) in [
            ("127.0.0.1:9900", true, true, true),
            ("localhost", true, true, true),
            ("[::1]:80", true, true, true),
            ("10.0.0.7:80", false, true, true),
            ("evil.example:9900", false, false, true),
            ("localhost.evil.example", false, false, true),
            ("", false, false, true),
        ] {
            let seen = [Reach::Loopback, Reach::Address, Reach::Certificate]
                .map(|reach| is_let_in(reach, &[("host", host)]));
            assert_eq!(seen, [loopback, address, certificate], "{host}");
        }
    }

    #[test]
    fn pages_of_others_get_nothing_but_may_lead_here() {
        let host = ("host", "127.0.0.1:80");
        for (headers, is_in) in [
            ([host, ("origin", "http://127.0.0.1:80")], true),
            ([host, ("origin", "http://127.0.0.1:81")], false),
            ([host, ("origin", "null")], false),
            ([host, ("sec-fetch-site", "same-origin")], true),
            ([host, ("sec-fetch-site", "none")], true),
            ([host, ("sec-fetch-site", "cross-site")], false),
            ([host, ("sec-fetch-site", "same-site")], false),
        ] {
            assert_eq!(is_let_in(Reach::Loopback, &headers), is_in, "{headers:?}");
        }
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(is_let_in(Reach::Loopback, &link));
    }
}
