//! What steers the gauge of a run: what a limit and the run that it takes part in agree on.

use pushback::limit::Limit;

use super::utilisation::Utilisation;

/// What steers the gauge of a run.
#[derive(Debug)]
pub enum Steering {
    /// A limit that moves, or does not.
    Limit {
        /// The limit.
        limit: Box<dyn Limit>,
        /// Where it looks if it wants to know how busy the service is.
        utilisation: Utilisation,
    },
    /// One fixed limit for each phase.
    ByPhase(Vec<u32>),
}
