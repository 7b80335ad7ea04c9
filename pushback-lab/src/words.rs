//! How people write times, and how they are told counts.

use std::{ops::RangeInclusive, time::Duration};

/// Reads a time in a range. Every time goes through here that somebody writes: in flags, in settings and in scenarios.
///
/// # Errors
///
/// Says what is allowed, and of a bare number that its unit is missing.
pub fn time(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| allowed.contains(time));
    time.ok_or_else(|| {
        let (shortest, longest) = (in_words(*allowed.start()), in_words(*allowed.end()));
        match without_unit(text) {
            // In quotes, because files need them and a shell takes them off.
            Some(number) => format!(
                "it has no unit; write \"{number}ms\" or \"{number}s\"; allowed: {shortest} to {longest}"
            ),
            None => format!("allowed: {shortest} to {longest}, for example \"150ms\" or \"2s\""),
        }
    })
}

/// The number, if the text is one that a unit would make a time.
fn without_unit(text: &str) -> Option<&str> {
    let number = text.trim();
    let is_bare = number.ends_with(|last: char| last.is_ascii_digit());
    (is_bare && humantime::parse_duration(&format!("{number}s")).is_ok()).then_some(number)
}

/// As help and manual say it: a day is 24h, where humantime has "1day".
fn in_words(time: Duration) -> String {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    if time == DAY { "24h".to_owned() } else { humantime::format_duration(time).to_string() }
}

/// How many of a thing, in singular or plural: `1 seed`, `2 seeds`.
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stays_in_its_range() {
        let allowed = Duration::ZERO..=Duration::from_secs(24 * 3600);
        assert_eq!(time("1500ms", allowed.clone()), Ok(Duration::from_millis(1500)));
        assert_eq!(time("0s", allowed.clone()), Ok(Duration::ZERO));
        for wrong in ["25h", "-1s", "-1", "soon", "", "s"] {
            let error = time(wrong, allowed.clone()).unwrap_err();
            assert_eq!(error, "allowed: 0s to 24h, for example \"150ms\" or \"2s\"", "{wrong}");
        }
    }

    #[test]
    fn a_number_without_a_unit_is_told_the_units() {
        let second = Duration::from_millis(1)..=Duration::from_secs(1);
        for (number, write) in
            [("2", "\"2ms\" or \"2s\""), (" 20 ", "\"20ms\" or \"20s\""), ("1.5", "\"1.5ms\" or \"1.5s\"")]
        {
            let error = time(number, second.clone()).unwrap_err();
            assert_eq!(error, format!("it has no unit; write {write}; allowed: 1ms to 1s"), "{number}");
        }
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|number| count(number, "seed")), ["0 seeds", "1 seed", "2 seeds"]);
    }
}
