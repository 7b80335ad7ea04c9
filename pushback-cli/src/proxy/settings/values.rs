//! The values in a settings file that no flag has, read into types that cannot be wrong.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use hyper::{
    Method, StatusCode,
    header::{HeaderName, HeaderValue},
    http::uri::Authority,
};
use ipnet::IpNet;
use pushback::{
    BuildError, Priority,
    http::{Answered, Hold, Trust as Trusting},
};

use super::{Discipline, Host, Log, OnLeave, small};

pub(super) fn log(text: &str) -> Result<Log, String> {
    match text {
        "text" => Ok(Log::Text),
        "json" => Ok(Log::Json),
        _ => Err("allowed: text, json".to_owned()),
    }
}

/// What an error of the library says after the key and its value, which are said already.
fn after_allowed(error: &str) -> String {
    error.find("allowed: ").map_or(error, |at| &error[at..]).to_owned()
}

/// A file that a key names, looked for beside the settings file; an error says where that was.
pub(super) fn beside<T>(
    folder: &Path,
    text: &str,
    read: impl Fn(&Path) -> Result<T, String>,
) -> Result<PathBuf, String> {
    let file = folder.join(text);
    match read(&file) {
        Ok(_) => Ok(file),
        Err(problem) if file == Path::new(text) => Err(problem),
        Err(problem) => Err(format!("{}: {problem}", file.display())),
    }
}

/// A network, or one address.
pub(super) fn hop(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    // Addresses are compared as IPv4 where they are that in an IPv6 one.
    let is_plain = |network: &IpNet| network.addr() == network.addr().to_canonical();
    let network = one.ok().or_else(|| text.parse().ok().filter(is_plain));
    network.ok_or_else(|| "allowed: an address or a network, for example 10.0.0.1 or 10.0.0.0/8".to_owned())
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    text.parse().map_err(|_| "allowed: the name of a header".to_owned())
}

pub(super) const NAMES: &str = "allowed: a name of 1 to 100 letters, digits, '-', '_' and '.'";

pub(super) fn is_name(name: &str) -> bool {
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    (1..=100).contains(&name.len()) && name.chars().all(is_part)
}

pub(super) fn host(text: &str) -> Result<Host, String> {
    let allowed = "allowed: a host without a port, such as \"api.example.org\", or \"*.example.org\"";
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_name = |authority: &Authority| authority.as_str() == authority.host() && !name.contains('*');
    let authority: Option<Authority> = name.parse().ok().filter(is_name);
    let name = authority.ok_or(allowed)?.as_str().to_ascii_lowercase();
    Ok(if text.starts_with("*.") { Host::EndsWith(format!(".{name}")) } else { Host::Is(name) })
}

pub(super) fn path(text: &str) -> Result<String, String> {
    let is_plain = text.starts_with('/')
        && !text.contains(['?', '#', '%'])
        && !text.contains("//")
        && !text.split('/').any(|segment| matches!(segment, "." | ".."));
    if is_plain {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("allowed: the begin of a path, such as \"/api\", without '%', '?', '#', \"//\" and \"..\""
            .to_owned())
    }
}

pub(super) fn header(text: &str) -> Result<(HeaderName, String), String> {
    let allowed = "allowed: NAME: VALUE, such as \"x-tier: gold\"";
    let (name, value) = text.split_once(':').ok_or(allowed)?;
    let value = value.trim();
    let is_value = !value.is_empty() && HeaderValue::from_str(value).is_ok();
    let name = header_name(name.trim()).ok().filter(|_| is_value).ok_or(allowed)?;
    Ok((name, value.to_owned()))
}

pub(super) fn hold(text: &str) -> Result<Hold, String> {
    match text {
        "body" => Ok(Hold::Body),
        "head" => Ok(Hold::Head),
        _ => Err("allowed: body, head".to_owned()),
    }
}

/// When a client has what it waits for.
pub(in crate::proxy) fn answered(text: &str) -> Result<Answered, String> {
    match (text, text.strip_prefix("first-event:")) {
        ("head", _) => Ok(Answered::Head),
        ("first-data", _) => Ok(Answered::FirstData),
        ("end", _) => Ok(Answered::End),
        (_, Some(events)) => Ok(Answered::FirstEvent(small(events, 1..=1000)?)),
        _ => Err("allowed: head, first-data, first-event:N, end".to_owned()),
    }
}

pub(super) fn on_leave(text: &str) -> Result<OnLeave, String> {
    match text {
        "finish" => Ok(OnLeave::Finish),
        "cancel" => Ok(OnLeave::Cancel),
        _ => Err("allowed: finish, cancel".to_owned()),
    }
}

pub(super) fn discipline(text: &str) -> Result<Discipline, String> {
    Discipline::from_str(text, false).map_err(|_| format!("allowed: {}", Discipline::NAMES.join(", ")))
}

pub(super) fn priority(text: &str) -> Result<Priority, String> {
    text.parse().map_err(|error: BuildError| format!("allowed: {}", error.allowed()))
}

/// What a connection may become. Requests of another HTTP would pass the gauge by.
pub(super) fn upgrade(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let is_token = HeaderName::from_bytes(name.as_bytes()).is_ok(); // both are tokens
    if is_token && !matches!(name.as_str(), "h2" | "h2c" | "http") {
        Ok(name)
    } else {
        Err("allowed: the name of a protocol other than HTTP, without its version, such as \"websocket\""
            .to_owned())
    }
}

pub(super) fn refuse_with(text: &str) -> Result<StatusCode, String> {
    let status = small(text, 400..=599)?;
    StatusCode::from_u16(u16::try_from(status).unwrap_or(429)).map_err(|error| error.to_string())
}

pub(super) fn method(text: &str) -> Result<Method, String> {
    let is_usual = text.bytes().all(|letter| letter.is_ascii_uppercase() || letter == b'-');
    let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| is_usual);
    method.ok_or_else(|| "allowed: methods as they are sent, such as \"GET\"".to_owned())
}

pub(super) fn deadline_header(text: &str) -> Result<String, String> {
    let named = Trusting::new(|_| false).deadline_header(text);
    named.map(|_| text.to_ascii_lowercase()).map_err(|error| after_allowed(&error.to_string()))
}
