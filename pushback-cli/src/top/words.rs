//! How figures and names are said.

use std::{borrow::Cow, time::Duration};

/// Why requests are refused, as people say it; the page has the same. Metrics and logs have the names.
const REASONS: [(&str, &str); 9] = [
    ("full", "no free place"),
    ("queue_full", "queue full"),
    ("queue_timeout", "waited too long in the queue"),
    ("deadline_passed", "its own deadline passed"),
    ("displaced", "made way for a more important one"),
    ("cost_above_limit", "needs more places than the limit has"),
    ("closed", "shutting down"),
    ("outranked", "the free places are kept for more important ones"),
    ("too_late", "would wait too long in the queue"),
];

/// A reason in words; one of another version as it is named.
pub(super) fn reason(name: &str) -> Cow<'static, str> {
    let known = REASONS.iter().find(|(known, _)| *known == name);
    known.map_or_else(|| name.replace('_', " ").into(), |(_, words)| (*words).into())
}

pub(super) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 10.0 {
        format!("{per_second:.1}")
    } else {
        format!("{per_second:.0}")
    }
}

pub(super) fn time(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    if time < Duration::from_secs(1) {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.2} s")
    }
}

pub(super) fn ago(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 60.0 => format!("{seconds:.0} s ago"),
        seconds if seconds < 3600.0 => format!("{:.0} min ago", seconds / 60.0),
        seconds => format!("{:.0} h ago", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use pushback::Reason;

    use super::*;

    #[test]
    fn every_reason_has_its_words_and_the_page_has_the_same() {
        const PAGE: &str = include_str!("../../../pushback/src/dashboard/words.js");
        for name in Reason::ALL.iter().map(|reason| reason.as_str()) {
            let words = reason(name);
            assert!(REASONS.contains(&(name, &words)), "{name}");
            assert!(PAGE.contains(&format!("  {name}: \"{words}\",\n")), "{name}: {words}");
        }
        assert_eq!(reason("of_another_version"), "of another version");
    }
}
