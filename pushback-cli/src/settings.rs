//! Values on the command line, read into types that cannot be wrong.

use pushback::{
    BuildError,
    limit::{self, Limit, Start},
};
use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// An address to listen on: a number or a name, and a port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let allowed = "allowed: HOST:PORT, for example 127.0.0.1:8080";
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Err(format!(
            "it has no host; write \"127.0.0.1:{port}\", or \"0.0.0.0:{port}\" for others to reach it too"
        ));
    }
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("{error}; {allowed}"))?;
    addresses.next().ok_or_else(|| format!("the name has no address; {allowed}"))
}

/// A limit: a number of places, or the name of one that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LimitChoice {
    Fixed(u32),
    Moving(&'static str),
}

impl LimitChoice {
    /// The limit that finds itself.
    pub(crate) const AUTO: LimitChoice = LimitChoice::Moving("auto");
}

impl fmt::Display for LimitChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitChoice::Fixed(places) => write!(f, "{places}"),
            LimitChoice::Moving(name) => f.write_str(name),
        }
    }
}

impl Limit for LimitChoice {
    fn start(&self) -> Result<Start, BuildError> {
        match self {
            LimitChoice::Fixed(places) => places.start(),
            LimitChoice::Moving(name) => limit::named(name)
                .ok_or_else(|| BuildError::new("limit", *name, "the name of a limit"))?
                .start(),
        }
    }
}

pub(crate) fn limit_choice(text: &str) -> Result<LimitChoice, String> {
    if let Some(name) = limit::names().find(|name| *name == text) {
        return Ok(LimitChoice::Moving(name));
    }
    let names: Vec<_> = limit::names().collect();
    let allowed = format!("allowed: 0 to {}, {}", u32::MAX, names.join(", "));
    text.parse().map(LimitChoice::Fixed).map_err(|_| allowed)
}

/// A whole number in a range.
pub(crate) fn number(text: &str, allowed: RangeInclusive<u64>) -> Result<u64, String> {
    let said = || format!("allowed: {} to {}", allowed.start(), allowed.end());
    text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(said)
}

/// A number in a range, whole or not.
pub(crate) fn quantity(text: &str, allowed: RangeInclusive<f64>) -> Result<f64, String> {
    let said = || format!("allowed: {} to {}", allowed.start(), allowed.end());
    text.parse().ok().filter(|number| allowed.contains(number)).ok_or_else(said)
}

/// A duration in a range.
pub(crate) fn duration(text: &str, allowed: RangeInclusive<Duration>) -> Result<Duration, String> {
    pushback_lab::time(text, allowed)
}

/// A file to be written that has this ending.
pub(crate) fn file(text: &str, ending: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    if !file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending)) {
        return Err(format!("allowed: a file that ends in .{ending}"));
    }
    // Said now and not after a long run.
    if file.exists() && !file.is_file() {
        return Err("it exists and is not a file".to_owned());
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            Err(format!("there is no folder {}", folder.display()))
        }
        _ => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_places_or_a_name() {
        for (text, places) in [("0", 0), ("4294967295", u32::MAX)] {
            assert!(matches!(limit_choice(text), Ok(LimitChoice::Fixed(read)) if read == places), "{text}");
        }
        assert!(matches!(limit_choice("vegas"), Ok(LimitChoice::Moving("vegas"))));
        for wrong in ["-1", "4294967296", "99999999999999999999999", "ten", "", "1.5", "Vegas"] {
            let error = limit_choice(wrong).unwrap_err();
            assert!(error.starts_with("allowed: 0 to 4294967295, ") && error.contains("vegas"), "{error}");
        }
    }

    #[test]
    fn a_quantity_stays_in_its_range() {
        assert_eq!(quantity("0.1", 0.1..=100_000.0), Ok(0.1));
        assert_eq!(quantity("100000", 0.1..=100_000.0), Ok(100_000.0));
        for wrong in ["0", "-1", "100000.1", "inf", "NaN", "many", "1,5", ""] {
            assert_eq!(quantity(wrong, 0.1..=100_000.0), Err("allowed: 0.1 to 100000".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert_eq!(address("127.0.0.1:80").unwrap().port(), 80);
        assert!(address("localhost:80").unwrap().ip().is_loopback());
        for wrong in ["127.0.0.1", "127.0.0.1:99999", "99999", "", "no such name:80"] {
            assert!(address(wrong).unwrap_err().ends_with("for example 127.0.0.1:8080"), "{wrong}");
        }
        for port in ["8057", ":8057"] {
            let error = address(port).unwrap_err();
            assert!(error.starts_with("it has no host; write \"127.0.0.1:8057\", or "), "{port}: {error}");
        }
    }
}
