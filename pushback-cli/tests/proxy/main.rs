//! The proxy as its users run it: a process of its own, a real service, real clients, real signals.

mod attacks;
mod connections;
mod ending;
mod exhaustion;
mod failing;
mod forwarding;
mod grafana;
mod grpc;
mod outputs;
mod priorities;
mod settings;
mod smuggling;
mod starting;
mod state;
mod stuck;
mod support;
mod upgrades;
mod walkthrough;
