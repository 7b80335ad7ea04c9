//! Fields by their names: those that are about one connection, and those that some services take for others.

use hyper::header::{CONNECTION, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields about one connection, which end here.
pub(super) const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];
/// Names which CGI and its heirs cannot tell from others if a hyphen is an underscore, and which mean something to a service.
const SAME_IN_CGI: [&str; 5] =
    ["content_length", "content_type", "transfer_encoding", "x_real_ip", "proxy_connection"];
/// And all that begins so, for services believe many of the kind.
const FORWARDED_IN_CGI: &str = "x_forwarded_";

/// Whether it has an underscore in the place of a hyphen, one or more.
pub(super) fn is_same_in_cgi(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.contains('_') && {
        let name = name.replace('-', "_");
        name.starts_with(FORWARDED_IN_CGI) || SAME_IN_CGI.contains(&name.as_str())
    }
}

/// Whether CGI and its heirs read both names as one.
pub(super) fn is_same(name: &HeaderName, other: &str) -> bool {
    name.as_str().replace('-', "_") == other.replace('-', "_")
}
