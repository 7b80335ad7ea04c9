//! The service behind the proxy, and the connections to it.

use std::{error::Error as StdError, fmt, io, time::Duration};

use hyper::{
    Request, Response, Uri,
    body::Incoming,
    http::uri::{Authority, Scheme},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pushback::http::SenderStalled;
use tokio::time::{error::Elapsed, timeout};

use super::{answer::Error, call::Upload, door::Gate};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long connections on which nothing runs are kept: shorter than most services keep theirs, so that requests meet few that are
/// just being closed.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// Where the service is, and what it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    authority: Authority,
    is_h2: bool,
}

impl Origin {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let allowed = "allowed: http://HOST[:PORT] or h2c://HOST[:PORT]";
        let uri: Uri = url.parse().map_err(|error| format!("{error}; {allowed}"))?;
        let is_h2 = match uri.scheme_str() {
            Some("http") => false,
            Some("h2c") => true,
            Some(scheme) => return Err(format!("the scheme is {scheme}; {allowed}")),
            None => return Err(format!("it has no scheme; {allowed}")),
        };
        if !matches!(uri.path_and_query().map(|path| path.as_str()), None | Some("" | "/")) {
            return Err(format!("it has a path, and requests keep their own; {allowed}"));
        }
        let authority = uri.into_parts().authority.ok_or_else(|| format!("it has no host; {allowed}"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(format!("it has no host, or a user name; {allowed}"));
        }
        // `Authority` takes any digits for a port and then knows none.
        let after_host = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        if after_host.contains(':') && authority.port_u16().is_none() {
            return Err(format!("the port is not 0 to 65535; {allowed}"));
        }
        Ok(Origin { authority, is_h2 })
    }

    pub(super) fn is_h2(&self) -> bool {
        self.is_h2
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where a request goes that asks for this.
    pub(super) fn locate(&self, asked: Uri) -> Uri {
        let mut parts = asked.into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        // All parts are there, so they fit together.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_h2 { "h2c" } else { "http" }, self.authority)
    }
}

/// A worker's connections to the service.
pub(super) struct Upstream {
    client: Client<HttpConnector, Upload>,
    answer_max: Duration,
}

impl Upstream {
    pub(super) fn new(gate: &Gate) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_MAX));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .http2_only(gate.origin.is_h2())
            .http1_writev(false)
            .set_host(false)
            .build(connector);
        Upstream { client, answer_max: gate.answer_max }
    }

    /// Sends it, and waits for the head of the answer. What was not sent at all, because a kept connection was just
    /// closed, is sent on another one; nothing else is tried twice.
    pub(super) async fn send(&self, request: Request<Upload>) -> Result<Response<Incoming>, Error> {
        let answer: Result<_, Elapsed> = timeout(self.answer_max, self.client.request(request)).await;
        answer.map_err(|_| Error::TooSlow)?.map_err(|error| error_of(&error))
    }
}

/// What a failed exchange is to the client.
fn error_of(error: &hyper_util::client::legacy::Error) -> Error {
    if let Some(refused) = find::<io::Error>(error).filter(|_| error.is_connect()) {
        return match refused.kind() {
            io::ErrorKind::ConnectionRefused => Error::Refused,
            io::ErrorKind::TimedOut => Error::ConnectTimeout,
            _ => Error::Unreachable,
        };
    }
    if error.is_connect() {
        return Error::Unreachable;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_host_without_a_path() {
        for (url, is_h2) in
            [("http://127.0.0.1:3000", false), ("http://[::1]:1/", false), ("h2c://service", true)]
        {
            let origin = Origin::parse(url).unwrap();
            assert_eq!(origin.is_h2(), is_h2, "{url}");
            assert_eq!(origin.to_string(), url.trim_end_matches('/'));
        }
        for wrong in [
            "",
            "service",
            "https://a",
            "http://",
            "http://a/b",
            "http://a/?b",
            "http://u@a",
            "http://a:99999",
            "ftp://a",
        ] {
            let error = Origin::parse(wrong).unwrap_err();
            assert!(error.contains("allowed: http://HOST[:PORT]"), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_request_keeps_its_path_and_query() {
        let origin = Origin::parse("http://127.0.0.1:3000").unwrap();
        for (asked, sent) in [("/a?b=c", "/a?b=c"), ("http://other/x", "/x"), ("/", "/"), ("//x", "//x")] {
            let located = origin.locate(asked.parse().unwrap());
            assert_eq!(located.to_string(), format!("http://127.0.0.1:3000{sent}"));
        }
    }
}
