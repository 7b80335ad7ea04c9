//! Where load goes.

use std::{error::Error, fmt, io, time::Duration};

use hyper::{Uri, http::uri::Scheme};
use tokio::{net::TcpStream, time::timeout};

/// How long the first connection may take; a service that cannot be reached is an error and not a result.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Where the load goes: an `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(pub(super) Uri);

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// Says what is wrong with an address that is no URL, has no host, or wants anything but `http`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let allowed = "allowed: http://HOST[:PORT][/PATH]";
        let uri: Uri = url.parse().map_err(|error| format!("{error}; {allowed}"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => (),
            Some(scheme) => return Err(format!("the scheme is {scheme}; {allowed}")),
            None => return Err(format!("it has no scheme; {allowed}")),
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("it has a user name, which is not supported; {allowed}"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(format!("it has no host; {allowed}"));
        }
        // `Uri` takes any digits for a port and then knows none, so that 99999 would become 80.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
        match after_host.rsplit_once(':') {
            Some((_, port)) if uri.port_u16().is_none() => {
                Err(format!("the port is '{port}', and not 0 to 65535; {allowed}"))
            }
            _ => Ok(Target(uri)),
        }
    }

    /// Connects once, and leaves again.
    ///
    /// # Errors
    ///
    /// If the service cannot be reached at all.
    pub async fn reach(&self) -> Result<(), LoadError> {
        let reached = match timeout(CONNECT_MAX, TcpStream::connect(self.address())).await {
            Ok(connected) => connected.map(drop),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5s")),
        };
        reached.map_err(|cause| LoadError { target: self.clone(), cause })
    }

    fn address(&self) -> (&str, u16) {
        // Brackets belong to the URL's form of an IPv6 address, not to the address.
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.0.port_u16().unwrap_or(80))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The service cannot be reached.
#[derive(Debug)]
pub struct LoadError {
    target: Target,
    cause: io::Error,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}: {}", self.target, self.cause)
    }
}

impl Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_say_what_is_allowed() {
        assert_eq!(Target::parse("http://[::1]:81/x").unwrap().address(), ("::1", 81));
        assert_eq!(Target::parse("http://localhost").unwrap().address(), ("localhost", 80));
        for (url, problem) in [
            ("https://a/", "the scheme is https"),
            ("localhost:8080/x", "invalid"),
            ("/path", "it has no scheme"),
            ("http://", "empty"),
            ("", "empty"),
            ("http://localhost:99999/", "the port is '99999'"),
            ("http://[::1]:/", "the port is ''"),
            ("http://user:secret@localhost/", "it has a user name"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(error.contains(problem) && error.ends_with("[/PATH]"), "{url}: {error}");
        }
    }
}
