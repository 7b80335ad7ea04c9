//! The access log: a line for each request, when the head of its answer is there, or its client has gone.

use std::{error::Error, net::IpAddr, time::Instant};

use hyper::{Method, Request, StatusCode, Uri, body::Incoming};

use super::call::Answered;
use crate::proxy::{
    message::{
        client::Client,
        error::{PROXY_STATUS, cause},
    },
    now::now,
    settings::Trust,
};

/// What is logged of a request, which is no longer there when its answer comes.
pub(super) struct Line {
    method: Method,
    asked: Uri,
    client: IpAddr,
    came: Instant,
}

impl Line {
    pub(super) fn of(request: &Request<Incoming>, client: &Client, trust: &Trust) -> Self {
        let (method, asked) = (request.method().clone(), request.uri().clone());
        Line { method, asked, client: client.first_unknown(request.headers(), trust), came: now() }
    }

    /// The client has gone before there was an answer.
    pub(super) fn left(&self) {
        tracing::info!(
            target: "access",
            client = %self.client,
            method = self.method.as_str(),
            asked = %self.asked,
            left = true,
            milliseconds = self.milliseconds(),
        );
    }

    /// Down to the microsecond: more digits say nothing.
    fn milliseconds(&self) -> f64 {
        (now().saturating_duration_since(self.came).as_secs_f64() * 1e6).round() / 1e3
    }

    /// Written by tracing, which escapes what a client made up.
    pub(super) fn write(&self, answered: &Answered) {
        let proxy_status = answered.headers().get(PROXY_STATUS).and_then(|status| status.to_str().ok());
        tracing::info!(
            target: "access",
            client = %self.client,
            method = self.method.as_str(),
            asked = %self.asked,
            status = answered.status().as_u16(),
            refused = answered.body().refused().map(|reason| reason.as_str()),
            proxy_status,
            milliseconds = self.milliseconds(),
        );
    }
}

/// A request of which hyper makes nothing: it has answered that by itself, without a `Proxy-Status`, and all that it tells is why its
/// connection ended.
pub(super) fn unread(client: IpAddr, ended: &(dyn Error + 'static)) {
    let Some(error) = cause::<hyper::Error>(ended).filter(|error| error.is_parse()) else { return };
    let status = match error {
        // It tells the two apart by its words alone.
        error if error.is_parse_too_large() && error.to_string().contains("URI") => StatusCode::URI_TOO_LONG,
        error if error.is_parse_too_large() => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    tracing::info!(
        target: "access",
        client = %client.to_canonical(),
        status = status.as_u16(),
        error = %error,
    );
}
