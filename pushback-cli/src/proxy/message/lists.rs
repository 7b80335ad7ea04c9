//! Fields whose values are lists, which may stand in several lines.

use hyper::{
    HeaderMap,
    header::{CONNECTION, HeaderName, HeaderValue},
};

/// The fields that `Connection` names. Its most common members name none that anybody sends, and cost less so.
pub(super) fn named_in_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> + use<'_> {
    let is_option =
        |name: &[u8]| name.eq_ignore_ascii_case(b"keep-alive") || name.eq_ignore_ascii_case(b"close");
    let names = members(headers, &CONNECTION).filter(move |name| !is_option(name));
    names.filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// The fields that are named in a list.
pub(super) fn named_in<'a>(
    headers: &'a HeaderMap,
    list: &HeaderName,
) -> impl Iterator<Item = HeaderName> + use<'a> {
    members(headers, list).filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// Whether a list has this member.
pub(super) fn has_token(headers: &HeaderMap, list: &HeaderName, token: &str) -> bool {
    members(headers, list).any(|member| {
        let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
    })
}

/// The members of a list, which may stand in several fields.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    list: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.get_all(list).into_iter().flat_map(split)
}

/// The members of one field.
pub(super) fn split(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
