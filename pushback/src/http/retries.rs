//! Whether a request says that it was tried before.
//!
//! It may say what it likes: whoever says so without need ranks lower for nothing.

use ::http::{HeaderMap, HeaderValue};

/// Whether a value says it.
type Says = fn(&str) -> bool;

/// The field that says so, and how its value does.
const FIELDS: [(&str, Says); 4] = [
    // How many attempts came before (gRPC A6, "Exposed Retry Metadata").
    ("grpc-previous-rpc-attempts", |value| is_above(0, value)),
    // Which attempt this is, counted from 1 (Envoy, `x-envoy-attempt-count`).
    ("x-envoy-attempt-count", |value| is_above(1, value)),
    // `attempt=2; max=3`, counted from 1 (AWS SDKs).
    ("amz-sdk-request", |value| {
        let mut parts = value.split(';').filter_map(|part| part.trim().strip_prefix("attempt="));
        parts.next().is_some_and(|attempt| is_above(1, attempt))
    }),
    // How many attempts came before (clients of OpenAI, Anthropic and others).
    ("x-stainless-retry-count", |value| is_above(0, value)),
];

/// One pass over the headers, for a request has few, and hardly any of these.
pub(super) fn is_retry(headers: &HeaderMap) -> bool {
    headers.iter().any(|(name, value)| {
        let name = name.as_str();
        FIELDS
            .iter()
            .any(|(field, says)| field.len() == name.len() && *field == name && says_so(value, *says))
    })
}

fn says_so(value: &HeaderValue, says: Says) -> bool {
    value.to_str().is_ok_and(|value| says(value.trim()))
}

/// What is no number, or too large for one, says nothing.
fn is_above(least: u32, value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_digit()) && value.parse::<u32>().is_ok_and(|count| count > least)
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_retry_says_so_in_the_way_of_its_client() {
        for (name, value, expected) in [
            ("grpc-previous-rpc-attempts", "1", true),
            ("grpc-previous-rpc-attempts", "0", false),
            ("x-envoy-attempt-count", "2", true),
            ("x-envoy-attempt-count", "1", false),
            ("amz-sdk-request", "attempt=2; max=3", true),
            ("amz-sdk-request", "attempt=1; max=3", false),
            ("amz-sdk-request", "ttl=20261128T100000Z; attempt=3; max=3", true),
            ("amz-sdk-request", "max=3", false),
            ("x-stainless-retry-count", "1", true),
            ("X-Stainless-Retry-Count", "2", true),
            ("x-stainless-retry-count", "0", false),
            ("x-stainless-retry-count", "", false),
            ("x-stainless-retry-count", "-1", false),
            ("x-stainless-retry-count", "+1", false),
            ("x-stainless-retry-count", "one", false),
            ("x-stainless-retry-count", "99999999999", false),
            ("retry-count", "1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("a"));
            headers.insert(name.parse::<::http::HeaderName>().unwrap(), HeaderValue::from_static(value));
            assert_eq!(is_retry(&headers), expected, "{name}: {value}");
        }
        assert!(!is_retry(&HeaderMap::new()));
    }

    #[test]
    fn what_is_no_text_says_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("x-stainless-retry-count", HeaderValue::from_bytes(&[0xff]).unwrap());
        assert!(!is_retry(&headers));
    }
}
