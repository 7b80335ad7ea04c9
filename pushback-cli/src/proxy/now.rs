//! The proxy's clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the proxy runs in real time alone, as its sockets do")]
pub(super) fn now() -> Instant {
    Instant::now()
}
