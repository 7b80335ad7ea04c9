//! Which way a request goes, and what stands there: a gauge, a service, and how both are used.

use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use hyper::{Method, Request, header::HOST};
use percent_encoding::percent_decode_str;
use pushback::http::BackpressureLayer;

use super::upgraded::Upgraded;
use crate::proxy::{
    service::upstream::Upstream,
    settings::{Asked, Host, OnLeave},
};

/// A route at work.
pub(in crate::proxy) struct Route {
    pub(in crate::proxy) name: String,
    /// The name of its gauge.
    pub(in crate::proxy) gauge: String,
    /// How many took it. Apart from the rest, which all workers read.
    pub(in crate::proxy) requests: Arc<AtomicU64>,
    pub(super) asked: Asked,
    pub(super) upstream: Arc<Upstream>,
    /// How long the service has for the head of an answer.
    pub(super) timeout: Duration,
    /// How long a client may make no progress with a body.
    pub(super) stall: Duration,
    pub(super) on_leave: OnLeave,
    /// What connections may become.
    pub(super) upgrades: Vec<String>,
    pub(super) upgraded: Upgraded,
    /// How many fields a request may have, and how many trailers.
    pub(super) fields_max: usize,
    /// For whoever comes from a hop that is known, whose word about priority and deadline counts.
    pub(super) trusting: BackpressureLayer,
    /// For all others.
    pub(super) layer: BackpressureLayer,
}

impl Asked {
    /// Whether the route is for this request.
    pub(super) fn is<B>(&self, request: &Request<B>) -> bool {
        // Whoever serves GET serves HEAD by the same work.
        let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let is_method = self.methods.is_empty() || self.methods.contains(method);
        is_method
            && self.path.as_ref().is_none_or(|prefix| begins(&plain(request.uri().path()), prefix))
            && self.host.as_ref().is_none_or(|host| host.is(host_of(request)))
            && self.header.as_ref().is_none_or(|(name, value)| {
                request.headers().get_all(name).iter().any(|given| given.as_bytes() == value.as_bytes())
            })
    }
}

impl Host {
    fn is(&self, name: &str) -> bool {
        match self {
            Host::Is(host) => name.eq_ignore_ascii_case(host),
            Host::EndsWith(end) => {
                let before = name.len().checked_sub(end.len()).filter(|before| *before > 0);
                before
                    .and_then(|before| name.get(before..))
                    .is_some_and(|rest| rest.eq_ignore_ascii_case(end))
            }
        }
    }
}

/// The host that is asked for, without its port and without the point that may end a name.
fn host_of<B>(request: &Request<B>) -> &str {
    let named = || {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let port = host.rfind(':').filter(|colon| !host[*colon..].contains(']'));
        port.map_or(host, |colon| &host[..colon])
    };
    let host = request.uri().host().unwrap_or_else(named);
    host.strip_suffix('.').unwrap_or(host) // the same name, said to its end
}

/// Whether the path is the prefix, or lies below it.
fn begins(path: &str, prefix: &str) -> bool {
    prefix.is_empty()
        || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A path as services will read it, however it was written: or `/%61pi`, `//api` and `/api;v=1` would pass the gauge of `/api`
/// by.
fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains(['%', ';']) && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split('/').map(without_parameters).filter(|segment| !segment.is_empty());
    Cow::Owned(format!("/{}", segments.collect::<Vec<_>>().join("/")))
}

/// Whether services differ in what they make of a path: some go up at `..`, others look for something of that name, and a
/// backslash is a slash on some systems.
pub(super) fn is_ambiguous(path: &str) -> bool {
    if !path.contains(['%', '\\']) && !path.contains("/.") {
        return false;
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let is_dots = |segment: &str| matches!(without_parameters(segment), "." | "..");
    decoded.contains('\\') || decoded.split('/').any(is_dots)
}

/// Some services take what is behind a semicolon for parameters of the segment.
fn without_parameters(segment: &str) -> &str {
    segment.split(';').next().unwrap_or(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, host: &str) -> Request<()> {
        Request::get(uri).header(HOST, host).header("x-tier", "gold").body(()).unwrap()
    }

    #[test]
    fn a_prefix_is_of_whole_segments_however_the_path_is_written() {
        let route = Asked { path: Some("/api".to_owned()), ..Asked::default() };
        for path in ["/api", "/api/", "/api/x?y", "/%61pi/x", "//api", "/api;v=1/x", "/api%2Fx"] {
            assert!(route.is(&asked(path, "a")), "{path}");
        }
        for path in ["/", "/apis", "/x/api", "/API", "*"] {
            assert!(!route.is(&asked(path, "a")), "{path}");
        }
        let all = Asked { path: Some(String::new()), ..Asked::default() };
        assert!(all.is(&asked("/x", "a")) && all.is(&asked("*", "a")));
    }

    #[test]
    fn a_path_that_services_read_in_different_ways_is_ambiguous() {
        for path in
            ["/api/../x", "/x/%2e%2e/api", "/./api", "/.;/api", "/api/..%2Fx", "/x%5Capi", "/x\\api", "/.."]
        {
            assert!(is_ambiguous(path), "{path}");
        }
        for path in ["/", "/.well-known/x", "/a..b", "/a%20b", "/...", "/x;y", "*"] {
            assert!(!is_ambiguous(path), "{path}");
        }
    }

    #[test]
    fn a_host_is_compared_without_port_and_case() {
        let is = Asked { host: Some(Host::Is("api.example.org".to_owned())), ..Asked::default() };
        let below = Asked { host: Some(Host::EndsWith(".example.org".to_owned())), ..Asked::default() };
        for (host, is_it, is_below) in [
            ("api.example.org", true, true),
            ("API.Example.org:8080", true, true),
            ("api.example.org.", true, true),
            ("api.example.org.:80", true, true),
            ("example.org", false, false),
            (".example.org", false, false),
            ("badexample.org", false, false),
            ("[::1]:80", false, false),
        ] {
            assert_eq!((is.is(&asked("/", host)), below.is(&asked("/", host))), (is_it, is_below), "{host}");
        }
        assert!(
            Asked { host: Some(Host::Is("[::1]".to_owned())), ..Asked::default() }
                .is(&asked("/", "[::1]:80"))
        );
        assert!(is.is(&asked("http://api.example.org/", "ignored")), "the target names the host too");
    }

    #[test]
    fn all_that_a_route_says_must_hold() {
        let header = |value: &str| Some(("x-tier".parse().unwrap(), value.to_owned()));
        let route =
            Asked { methods: vec!["GET".parse().unwrap()], header: header("gold"), ..Asked::default() };
        assert!(route.is(&asked("/", "a")));
        assert!(!Asked { header: header("silver"), ..route.clone() }.is(&asked("/", "a")));
        assert!(!Asked { methods: vec!["POST".parse().unwrap()], ..route }.is(&asked("/", "a")));
        assert!(Asked::default().is(&asked("/", "a")), "a route that says nothing is for all");
    }
}
