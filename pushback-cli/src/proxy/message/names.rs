//! Fields by their names: those that are about one connection, and those that some services take for others.

use hyper::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields about one connection, which end here.
pub(super) const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];
/// Names which CGI and its heirs cannot tell from others if a hyphen is an underscore, and which mean something to a service.
const SAME_IN_CGI: [&str; 8] = [
    "content_length",
    "content_type",
    "transfer_encoding",
    "x_forwarded_for",
    "x_forwarded_host",
    "x_forwarded_proto",
    "x_real_ip",
    "proxy_connection",
];

/// Whether it has an underscore in the place of a hyphen, one or more.
pub(super) fn is_same_in_cgi(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && SAME_IN_CGI.contains(&name.replace('-', "_").as_str())
}

/// Whether CGI and its heirs read both names as one.
pub(super) fn is_same(name: &HeaderName, other: &str) -> bool {
    name.as_str().replace('-', "_") == other.replace('-', "_")
}
