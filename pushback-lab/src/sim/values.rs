//! Values in scenario files, read into types that cannot be wrong.

use std::{fmt, ops::RangeInclusive, time::Duration};

use pushback::{BuildError, Priority};
use serde::{Deserialize, Deserializer, de};

use crate::words;

/// A time as people write it: `20ms`, `1.5s` is `1s 500ms`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Time(pub Duration);

const TIMES: RangeInclusive<Duration> = Duration::from_nanos(1)..=Duration::from_secs(24 * 3600);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(Written)?;
        words::time(&text, TIMES).map(Time).map_err(de::Error::custom)
    }
}

impl Time {
    pub(super) fn nanos(self) -> f64 {
        self.0.as_nanos() as f64
    }
}

/// A priority as the library has it: `critical` to `background`.
pub(super) fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(|error: BuildError| de::Error::custom(format!("allowed: {}", error.allowed())))
}

/// A number that must lie in a range.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $range:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(pub f64);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Number)
                    .ok()
                    .filter(|number| ($range).contains(number))
                    .map($name)
                    .ok_or_else(|| de::Error::custom(concat!("allowed: ", $allowed)))
            }
        }
    };
}

number! {
    /// Calls a second.
    Rate, 0.0..=1_000_000.0, "0 to 1000000 calls a second"
}
number! {
    /// A part of a whole.
    Share, 0.0..=1.0, "0 to 1"
}
number! {
    /// How many times as much.
    Factor, 0.0..=1000.0, "0 to 1000"
}
number! {
    /// How many servers, slots, callers or places.
    Count, Whole(1.0..=100_000.0), "1 to 100000, whole"
}
number! {
    /// How often somebody tries again.
    Retries, Whole(0.0..=20.0), "0 to 20, whole"
}
number! {
    /// The shape of a Pareto distribution: above 1, or it would have no mean.
    Shape, 1.01..=100.0, "1.01 to 100"
}
number! {
    /// A percentage, somewhat above the whole because an oracle is a mean.
    Percent, 0.0..=110.0, "0 to 110"
}

impl Count {
    pub(super) fn whole(self) -> u32 {
        // In its range nothing is lost but a fraction.
        #[expect(clippy::cast_possible_truncation, reason = "at most 100000")]
        let whole = self.0 as u32;
        whole
    }
}

/// Whole numbers in a range.
struct Whole(RangeInclusive<f64>);

impl Whole {
    fn contains(&self, number: &f64) -> bool {
        self.0.contains(number) && number.fract() == 0.0
    }
}

/// A text, or a number as it would be one: whoever forgets the unit of a time mostly forgets the quotes too.
struct Written;

impl de::Visitor<'_> for Written {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time, for example \"150ms\" or \"2s\"")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E>(self, number: f64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// Whole numbers and others alike.
struct Number;

impl de::Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }
}
