//! What requests and answers are on their way through the proxy, whatever service they go to and come from: which have one meaning, what
//! is taken off and put on, and why there is no answer.

pub(super) mod check;
pub(super) mod claims;
pub(super) mod client;
pub(super) mod error;
pub(super) mod fields;
mod lists;
mod names;
pub(super) mod own;
pub(super) mod trailers;
pub(super) mod upgrade;
pub(super) mod upload;
