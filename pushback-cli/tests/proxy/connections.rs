//! Connections to services: kept ones that end under a call, how long they live, streams that a service does not take.

mod closing;
mod idle;
mod scripted;
mod streams;
