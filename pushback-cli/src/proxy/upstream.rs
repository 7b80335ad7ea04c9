//! The service behind the proxy, and the connections to it.

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use hyper::{
    Request, Response, Uri,
    http::uri::{Authority, Scheme},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use pushback::http::SenderStalled;
use tokio::time::timeout;

use super::{
    answer::{Answer, Error},
    call::Upload,
    door::Gate,
    pool::{Failure, Pool},
};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

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

    /// How the service is asked for this: HTTP/1 by the path alone, HTTP/2 with scheme and host.
    pub(super) fn locate(&self, asked: Uri) -> Uri {
        let mut parts = asked.into_parts();
        parts.scheme = self.is_h2.then_some(Scheme::HTTP);
        parts.authority = self.is_h2.then(|| self.authority.clone());
        // All parts are there that belong together.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_h2 { "h2c" } else { "http" }, self.authority)
    }
}

/// A worker's way to the service.
pub(super) struct Upstream {
    way: Way,
    answer_max: Duration,
}

enum Way {
    H1(Arc<Pool>),
    H2(Box<Client<HttpConnector, Upload>>),
}

impl Upstream {
    pub(super) fn new(gate: &Gate) -> Self {
        let way = if gate.origin.is_h2 {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(CONNECT_MAX));
            let mut client = Client::builder(TokioExecutor::new());
            client.pool_timer(TokioTimer::new()).timer(TokioTimer::new());
            Way::H2(Box::new(client.http2_only(true).set_host(false).build(connector)))
        } else {
            let authority = &gate.origin.authority;
            Way::H1(Pool::new(authority.host(), authority.port_u16().unwrap_or(80), CONNECT_MAX))
        };
        Upstream { way, answer_max: gate.answer_max }
    }

    /// Sends it, and waits for the head of the answer.
    pub(super) async fn send(&self, request: Request<Upload>) -> Result<Response<Answer>, Error> {
        timeout(self.answer_max, self.exchange(request)).await.map_err(|_| Error::TooSlow)?
    }

    async fn exchange(&self, request: Request<Upload>) -> Result<Response<Answer>, Error> {
        match &self.way {
            Way::H1(pool) => match pool.send(request).await {
                Ok((response, lease)) => Ok(response.map(|body| Answer::service(body, Some(lease)))),
                Err(Failure::Connect(error)) => Err(error_of_connect(&error)),
                Err(Failure::Exchange(error)) => Err(error_of(&error)),
            },
            Way::H2(client) => match client.request(request).await {
                Ok(response) => Ok(response.map(|body| Answer::service(body, None))),
                Err(error) if error.is_connect() => {
                    Err(find(&error).map_or(Error::Unreachable, error_of_connect))
                }
                Err(error) => Err(error_of(&error)),
            },
        }
    }
}

fn error_of_connect(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::Refused,
        io::ErrorKind::TimedOut => Error::ConnectTimeout,
        _ => Error::Unreachable,
    }
}

/// What a failed exchange is to the client.
fn error_of(error: &(dyn StdError + 'static)) -> Error {
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
        for (asked, sent) in
            [("/a?b=c", "/a?b=c"), ("http://other/x", "/x"), ("/", "/"), ("//x", "//x"), ("*", "*")]
        {
            let locate =
                |origin: &str| Origin::parse(origin).unwrap().locate(asked.parse().unwrap()).to_string();
            assert_eq!(locate("http://127.0.0.1:3000"), sent);
            if asked != "*" {
                assert_eq!(locate("h2c://127.0.0.1:3000"), format!("http://127.0.0.1:3000{sent}"));
            }
        }
    }
}
