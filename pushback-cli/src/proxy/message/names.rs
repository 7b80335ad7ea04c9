//! Fields by their names: those that are about one connection, and those that some services take for others.

use hyper::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, COOKIE, DATE, EXPECT, EXPIRES, HOST, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, MAX_FORWARDS, PRAGMA, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, RANGE, RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, VIA,
    WARNING, WWW_AUTHENTICATE,
};

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
/// No field of HTTP, but CGI hands it to services as the proxy that their own requests are to go by (httpoxy, CVE-2016-5385).
const PROXY: HeaderName = HeaderName::from_static("proxy");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Fields about one connection, and what must not go further either. All end here, whoever sends them.
pub(super) const HOP_BY_HOP: [HeaderName; 8] =
    [CONNECTION, HTTP2_SETTINGS, KEEP_ALIVE, PROXY, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];
/// Fields that come too late behind the content: about its length and form, the message's way, credentials, conditions, and what is to be
/// done with an answer (RFC 9110, 6.5.1).
const TOO_LATE: [HeaderName; 30] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    CONTENT_TYPE,
    TRAILER,
    HOST,
    MAX_FORWARDS,
    VIA,
    AUTHORIZATION,
    COOKIE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    WWW_AUTHENTICATE,
    EXPECT,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
    AGE,
    CACHE_CONTROL,
    DATE,
    EXPIRES,
    LOCATION,
    PRAGMA,
    RETRY_AFTER,
    VARY,
    WARNING,
];
/// Names which CGI and its heirs cannot tell from others if a hyphen is an underscore, and which mean something to a service.
const SAME_IN_CGI: [&str; 5] =
    ["content_length", "content_type", "transfer_encoding", "x_real_ip", "proxy_connection"];
/// And all that begins so, for services believe many of the kind.
const FORWARDED_IN_CGI: &str = "x_forwarded_";

/// Whether a trailer may have this name, of requests and of answers.
pub(super) fn may_trail(name: &HeaderName) -> bool {
    !HOP_BY_HOP.contains(name) && !TOO_LATE.contains(name)
}

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
