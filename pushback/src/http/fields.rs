//! What callers say in their headers: how urgent it is, and how long they wait.

use std::time::Duration;

use ::http::HeaderValue;
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// Both `grpc-timeout` and ours end there, so that no time overflows.
const DIGITS_MAX: usize = 8;

/// The urgency of a `Priority` header (RFC 9218, 4), 0 to 7, if it says one. Its lines are one dictionary.
pub(super) fn urgency<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> Option<u8> {
    let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
    if lines.is_empty() {
        return None;
    }
    let all = lines.join(&b", "[..]);
    let dictionary: Dictionary = Parser::new(&all).parse().ok()?;
    let ListEntry::Item(item) = dictionary.get("u")? else { return None };
    let BareItem::Integer(urgency) = item.bare_item else { return None };
    u8::try_from(i64::from(urgency)).ok().filter(|urgency| *urgency <= 7)
}

/// The time in a `grpc-timeout` header: "up to 8 digits" and a unit (gRPC over HTTP/2, "Requests").
pub(super) fn grpc_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let count = digits_only(digits)?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

pub(super) fn milliseconds(text: &[u8]) -> Option<Duration> {
    digits_only(text).map(Duration::from_millis)
}

fn digits_only(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_have_up_to_eight_digits_and_a_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("250u", Some(Duration::from_micros(250))),
            ("7n", Some(Duration::from_nanos(7))),
            ("0S", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3_600))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("1", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            (" 1S", None),
            ("1 S", None),
        ] {
            assert_eq!(grpc_timeout(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn milliseconds_are_digits() {
        for (text, expected) in [
            ("1500", Some(1_500)),
            ("0", Some(0)),
            ("99999999", Some(99_999_999)),
            ("123456789", None),
            ("", None),
            ("1.5", None),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(milliseconds(text.as_bytes()), expected.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn urgency_is_read_as_the_rfc_says_and_what_is_wrong_is_ignored() {
        for (lines, expected) in [
            (&["u=0"][..], Some(0)),
            (&["u=7"], Some(7)),
            (&["u=5, i"], Some(5)),
            (&["i, u=1"], Some(1)),
            (&["u=2;x=1"], Some(2)),
            (&["u=1, u=6"], Some(6)),
            (&["u=1", "u=6"], Some(6)),
            (&["i", "u=4"], Some(4)),
            (&["unknown=?0, u=3"], Some(3)),
            (&["u=8"], None),
            (&["u=-1"], None),
            (&["u=256"], None),
            (&["u=1.0"], None),
            (&["u=\"1\""], None),
            (&["u"], None),
            (&["u=(1)"], None),
            (&["i"], None),
            (&[""], None),
            (&["U=1"], None),
            (&["u=1,"], None),
            (&["u= 1"], None),
            (&[], None),
        ] {
            let values: Vec<HeaderValue> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
            assert_eq!(urgency(values.iter()), expected, "{lines:?}");
        }
    }
}
