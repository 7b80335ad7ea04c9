//! How far a request's body is, which says who is to blame for what becomes of the request.

/// How far a request's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Sending {
    /// The service has not asked for the rest.
    Coming,
    /// The service waits for the sender.
    Awaited,
    /// The service has all of it.
    Ended,
    /// The sender stalled, broke off, or sent what is malformed.
    Failed,
}
