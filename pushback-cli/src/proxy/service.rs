//! A service, and each worker's way to it.

pub(super) mod answer;
pub(super) mod connect;
mod failure;
mod pool;
mod repeat;
mod resolve;
mod streams;
pub(super) mod upstream;
