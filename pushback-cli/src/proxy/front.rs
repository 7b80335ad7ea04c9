//! Where clients come in: their connections and requests, what stands before the services, and an admitted call's way to its answer.

mod access;
mod call;
mod door;
pub(super) mod drain;
mod draining;
mod forward;
pub(super) mod gauges;
mod retired;
mod route;
mod server;
pub(super) mod site;
mod upgraded;
pub(super) mod worker;
