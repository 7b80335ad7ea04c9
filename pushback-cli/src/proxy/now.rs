//! The proxy's clock.

use std::time::{Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "the proxy runs in real time alone, as its sockets do")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// In seconds since 1970, for what outlasts the process.
#[expect(clippy::disallowed_methods, reason = "no other clock is the same in another process")]
pub(super) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
