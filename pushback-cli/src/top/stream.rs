//! Reading the dashboard's server-sent events.

use std::{fmt, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode, Uri,
    body::Incoming,
    client::conn::http1,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::frame::Frame;
use crate::{
    files::Share,
    proxy::{Address, Connected, Lives, Origin, ServiceSettings, Token},
};

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// A server that has said nothing for so long is gone, whatever the connection says.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// More than any frame is long, of a thousand gauges too.
const FRAME_MAX: usize = 4 << 20;

/// Where frames come from.
#[derive(Clone)]
pub(super) struct Source {
    origin: Origin,
    /// Without a slash at its end.
    path: String,
    is_tls: bool,
    ca: Option<PathBuf>,
    token: Option<Arc<Token>>,
}

impl Source {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let allowed = "allowed: http://HOST[:PORT][/PATH] or https://…";
        let uri: Uri = url.parse().map_err(|error| format!("{error}; {allowed}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(format!("it begins with neither http:// nor https://; {allowed}")),
        };
        if uri.query().is_some() {
            return Err(format!("it has a query; {allowed}"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        let scheme = if is_tls { "https" } else { "http" };
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let origin = Origin::parse(&format!("{scheme}://{authority}"));
        let origin = origin
            .map_err(|problem| format!("{}; {allowed}", problem.split(';').next().unwrap_or_default()))?;
        Ok(Source { origin, path, is_tls, ca: None, token: None })
    }

    /// The same, with a token, and with other certificates than those that the system believes. Says what is wrong with them.
    pub(super) fn with(mut self, token: Option<Token>, ca: Option<PathBuf>) -> Result<Self, String> {
        let host = self.origin.host();
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if token.is_some() && !self.is_tls && !is_here {
            return Err(format!(
                "{self} would have the token sent in clear text; allowed: https://, or this machine"
            ));
        }
        self.token = token.map(Arc::new);
        self.ca = ca;
        // The proxy's key of this name is a flag here.
        self.address().map_err(|problem| match problem.strip_prefix("ca is ") {
            Some(problem) => format!("--ca is {problem}"),
            None => problem,
        })?;
        Ok(self)
    }

    fn address(&self) -> Result<Address, String> {
        let service = ServiceSettings {
            origin: self.origin.clone(),
            connect: CONNECT_MAX,
            lives: Lives::default(),
            ca: self.ca.clone(),
        };
        Address::of(&service, &Share::of_all())
    }

    /// The frames from now on. An error says what is wrong with what is there.
    pub(super) async fn open(&self) -> Result<Frames, String> {
        let connected = self.address()?.connect().await;
        let (connected, _) = connected.map_err(|error| format!("cannot connect to {self}: {error}"))?;
        let answer = match connected {
            Connected::Plain(stream) => timeout(CONNECT_MAX, self.ask(stream)).await,
            Connected::Tls(stream) => timeout(CONNECT_MAX, self.ask(stream)).await,
        };
        let answer = answer.map_err(|_| format!("no answer from {self} within {CONNECT_MAX:?}"))?;
        let answer = answer.map_err(|error| format!("no answer from {self}: {error}"))?;
        let is_stream = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        match answer.status() {
            StatusCode::OK if is_stream => Ok(Frames { body: answer.into_body(), text: Vec::new() }),
            StatusCode::UNAUTHORIZED => Err(format!("{self} wants another token; --token FILE gives one")),
            status => Err(format!("{self} has no live page of pushback ({status})")),
        }
    }

    async fn ask<Io>(&self, io: Io) -> hyper::Result<hyper::Response<Incoming>>
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
        // It ends with its stream; why, the stream says.
        tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = format!("{}/events", self.path).parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(self.origin.authority().as_str()) {
            headers.insert(HOST, host);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.header());
        }
        sender.send_request(request).await
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.origin.authority(), self.path)
    }
}

/// Frames as they come.
pub(super) struct Frames {
    body: Incoming,
    text: Vec<u8>,
}

impl Frames {
    pub(super) async fn next(&mut self) -> Result<Frame, String> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.text.drain(..end + 2).collect();
                let json = event.strip_prefix(b"data: ").unwrap_or(&event);
                return serde_json::from_slice(json)
                    .map_err(|error| format!("this is no frame of pushback's live page: {error}"));
            }
            let part = timeout(SILENCE_MAX, self.body.frame()).await;
            let part = part.map_err(|_| format!("the server has said nothing for {SILENCE_MAX:?}"))?;
            let part = part.ok_or("the server has ended the stream")?;
            let part = part.map_err(|error| format!("the connection broke: {error}"))?;
            self.text.extend(part.into_data().unwrap_or_default());
            if self.text.len() > FRAME_MAX {
                return Err(format!("an event is longer than {FRAME_MAX} bytes"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_url_with_or_without_a_path() {
        let shown = |url: &str| Source::parse(url).map(|source| source.to_string());
        assert_eq!(shown("http://127.0.0.1:9900").unwrap(), "http://127.0.0.1:9900");
        assert_eq!(shown("https://[::1]:9900/pressure/").unwrap(), "https://[::1]:9900/pressure");
        for wrong in
            ["127.0.0.1:9900", "ftp://a", "http://", "http://a/?x", "http://u@a", "http://a:99999", ""]
        {
            let problem = shown(wrong).unwrap_err();
            assert!(problem.ends_with("[/PATH] or https://…"), "{wrong}: {problem}");
        }
    }
}
