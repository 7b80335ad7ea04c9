//! Where a service is, as a URL says it.

use std::fmt;

use hyper::{
    Uri,
    http::uri::{Authority, Scheme},
};

const SCHEMES: &str =
    "allowed: http://HOST[:PORT], https://, h2c:// (HTTP/2 without TLS), h2:// (HTTP/2 with TLS)";

/// Where the service is, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    authority: Authority,
    is_h2: bool,
    is_tls: bool,
}

impl Origin {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{error}; {SCHEMES}"))?;
        let (is_h2, is_tls) = match uri.scheme_str() {
            Some("http") => (false, false),
            Some("https") => (false, true),
            Some("h2c") => (true, false),
            Some("h2") => (true, true),
            Some(scheme) => return Err(format!("the scheme is {scheme}; {SCHEMES}")),
            None => return Err(format!("it has no scheme; {SCHEMES}")),
        };
        if !matches!(uri.path_and_query().map(|path| path.as_str()), None | Some("" | "/")) {
            return Err(format!("it has a path, but requests keep their own; {SCHEMES}"));
        }
        let authority = uri.into_parts().authority.ok_or_else(|| format!("it has no host; {SCHEMES}"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(format!("it has no host, or a user name; {SCHEMES}"));
        }
        // `Authority` takes any digits for a port and then knows none.
        let after_host = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        if after_host.contains(':') && authority.port_u16().is_none() {
            return Err(format!("the port is not 0 to 65535; {SCHEMES}"));
        }
        Ok(Origin { authority, is_h2, is_tls })
    }

    pub(in crate::proxy) fn is_h2(&self) -> bool {
        self.is_h2
    }

    pub(in crate::proxy) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its name or address, without the brackets that belong to the URL's form of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    pub(in crate::proxy) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }

    /// How the service is asked for this: HTTP/1 by the path alone, HTTP/2 with scheme and the host that the client asked for.
    pub(in crate::proxy) fn locate(&self, asked: Uri, host: Option<Authority>) -> Uri {
        let scheme = if self.is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let mut parts = asked.into_parts();
        parts.scheme = self.is_h2.then_some(scheme);
        parts.authority = self.is_h2.then(|| host.unwrap_or_else(|| self.authority.clone()));
        // All parts are there that belong together.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.is_h2, self.is_tls) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "h2c",
            (true, true) => "h2",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_host_without_a_path() {
        for (url, is_h2, host, port) in [
            ("http://127.0.0.1:3000", false, "127.0.0.1", 3000),
            ("http://[::1]:1/", false, "::1", 1),
            ("http://[::1]", false, "::1", 80),
            ("https://service", false, "service", 443),
            ("h2c://service", true, "service", 80),
            ("h2://service:8443", true, "service", 8443),
        ] {
            let origin = Origin::parse(url).unwrap();
            assert_eq!((origin.is_h2(), origin.host(), origin.port()), (is_h2, host, port), "{url}");
            assert_eq!(origin.to_string(), url.trim_end_matches('/'));
        }
        for wrong in
            ["", "service", "http://", "http://a/b", "http://a/?b", "http://u@a", "http://a:99999", "ftp://a"]
        {
            let error = Origin::parse(wrong).unwrap_err();
            assert!(error.contains("allowed: http://HOST[:PORT]"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_request_keeps_its_path_and_query() {
        for (asked, sent) in
            [("/a?b=c", "/a?b=c"), ("http://other/x", "/x"), ("/", "/"), ("//x", "//x"), ("*", "*")]
        {
            let locate = |origin: &str, host: Option<&str>| {
                let host = host.map(|host| host.parse().unwrap());
                Origin::parse(origin).unwrap().locate(asked.parse().unwrap(), host).to_string()
            };
            assert_eq!(locate("http://127.0.0.1:3000", Some("a")), sent);
            if asked != "*" {
                assert_eq!(locate("h2c://127.0.0.1:3000", None), format!("http://127.0.0.1:3000{sent}"));
                assert_eq!(locate("h2://127.0.0.1:3000", Some("a:1")), format!("https://a:1{sent}"));
            }
        }
    }
}
