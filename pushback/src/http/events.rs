//! Counts the events of a stream: those of `text/event-stream` (HTML, 9.2.6), lines of JSON, messages of gRPC.

use ::http::HeaderValue;

/// What is left to come.
#[derive(Debug)]
pub(super) struct Events {
    kind: Kind,
    left: u32,
}

#[derive(Debug)]
enum Kind {
    /// An event ends with an empty line, if there was a line in it that is no comment; lines end with CR, LF or both.
    ServerSent { line: Line, was_cr: bool, has_fields: bool },
    /// A line that is not empty.
    Lines { is_empty: bool },
    /// A flag, the length in four bytes, and so many more.
    Messages { head: u8, length: u64 },
}

/// What a line of an event stream is, as far as has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Comment,
    Field,
}

impl Events {
    /// So many, of an answer of this type; nothing, if that has none.
    pub(super) fn of(content_type: Option<&HeaderValue>, events: u32) -> Option<Self> {
        let named = content_type?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        let kind = match &named[..] {
            "text/event-stream" => Kind::ServerSent { line: Line::Empty, was_cr: false, has_fields: false },
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/json-seq" => {
                Kind::Lines { is_empty: true }
            }
            named if named == "application/grpc" || named.starts_with("application/grpc+") => {
                Kind::Messages { head: 0, length: 0 }
            }
            _ => return None,
        };
        Some(Events { kind, left: events.max(1) })
    }

    /// Whether with this part, enough have come.
    pub(super) fn are_enough(&mut self, mut data: &[u8]) -> bool {
        while let (true, Some((byte, rest))) = (self.left > 0, data.split_first()) {
            let (ended, skipped) = self.kind.take(*byte, rest.len());
            self.left -= u32::from(ended);
            data = &rest[skipped..];
        }
        self.left == 0
    }
}

impl Kind {
    /// Whether an event ends with this byte, and how many of those behind it, of so many, need no look.
    fn take(&mut self, byte: u8, behind: usize) -> (bool, usize) {
        match self {
            Kind::ServerSent { line, was_cr, has_fields } => {
                let follows_cr = std::mem::replace(was_cr, byte == b'\r');
                if follows_cr && byte == b'\n' {
                    return (false, 0);
                }
                if !matches!(byte, b'\r' | b'\n') {
                    if *line == Line::Empty {
                        *line = if byte == b':' { Line::Comment } else { Line::Field };
                    }
                    return (false, 0);
                }
                let ended = std::mem::replace(line, Line::Empty);
                *has_fields |= ended == Line::Field;
                (ended == Line::Empty && std::mem::take(has_fields), 0)
            }
            Kind::Lines { is_empty } => {
                if byte == b'\n' {
                    (!std::mem::replace(is_empty, true), 0)
                } else {
                    *is_empty &= byte.is_ascii_whitespace() || byte == 0x1e;
                    (false, 0)
                }
            }
            Kind::Messages { head, length } => {
                if *head < 5 {
                    *length = if *head == 0 { 0 } else { *length << 8 | u64::from(byte) };
                    *head += 1;
                } else {
                    *length -= 1;
                }
                let behind = u64::try_from(behind).unwrap_or(u64::MAX);
                let skipped = if *head == 5 { behind.min(*length) } else { 0 };
                *length -= skipped;
                let ended = *head == 5 && *length == 0;
                if ended {
                    *head = 0;
                }
                (ended, usize::try_from(skipped).unwrap_or_default())
            }
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    /// After how many bytes, given one by one, so many events are there; the same must come of all at once.
    fn ends(content_type: &'static str, events: u32, stream: &[u8]) -> Option<usize> {
        let new = || Events::of(Some(&HeaderValue::from_static(content_type)), events).unwrap();
        let mut one_by_one = new();
        let end = stream.iter().position(|byte| one_by_one.are_enough(&[*byte])).map(|at| at + 1);
        assert_eq!(new().are_enough(stream), end.is_some());
        if let Some(end) = end {
            assert!(new().are_enough(&stream[..end]) && !new().are_enough(&stream[..end - 1]));
        }
        end
    }

    #[test]
    fn events_end_with_an_empty_line_whatever_ends_lines_and_comments_are_none() {
        for (events, stream, end) in [
            (1, &b"data: a\n\ndata: b\n\n"[..], Some(9)),
            (2, b"data: a\n\ndata: b\n\n", Some(18)),
            (2, b"data: a\r\n\r\ndata: b\r\n\r\n", Some(21)),
            (1, b"event: x\rdata: a\r\r", Some(18)),
            (1, b": keeps alive\n\n\n\ndata: a\n\n", Some(26)),
            (1, b"data: a\n", None),
        ] {
            let text = String::from_utf8_lossy(stream);
            assert_eq!(ends("text/event-stream; charset=utf-8", events, stream), end, "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_not_empty_are_counted() {
        assert_eq!(ends("application/x-ndjson", 2, b"{}\n\n \n{\"a\": 1}\n"), Some(15));
        assert_eq!(ends("application/json-seq", 1, b"\x1e\n\x1e{}\n"), Some(6));
    }

    #[test]
    fn messages_of_grpc_are_counted_by_their_lengths() {
        let stream = b"\0\0\0\0\x02ab\0\0\0\0\0\x01\0\0\0\x03abc";
        let expected = [Some(7), Some(12), Some(20), None];
        for (events, end) in (1..).zip(expected) {
            assert_eq!(ends("application/grpc+proto", events, stream), end, "{events}");
        }
    }

    #[test]
    fn other_answers_have_no_events() {
        assert!(Events::of(Some(&HeaderValue::from_static("application/json")), 1).is_none());
        assert!(Events::of(None, 1).is_none());
    }
}
