//! Measurements, each beside a peer in the same run.

mod primitives;

use clap::Subcommand;

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum What {
    /// What one admission and one refusal cost, beside a bare compare-and-swap, tokio's semaphore and Go's channel
    Primitives,
}

pub(crate) fn run(what: What) -> Result<(), String> {
    match what {
        What::Primitives => primitives::run(),
    }
}
