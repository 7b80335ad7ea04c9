//! What steers the gauge of a run: what a limit and the run that it takes part in agree on.

use std::time::Duration;

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
        /// Whether calls bring their deadlines.
        tells: bool,
    },
    /// One fixed limit for each phase.
    ByPhase {
        /// Those.
        limits: Vec<u32>,
        /// So long after the phase has begun; and what holds before the first. At once, if nothing is said.
        late: Option<(u32, Duration)>,
    },
}

impl Steering {
    /// A limit that is told nothing but what it sees.
    pub fn limit(limit: Box<dyn Limit>, utilisation: Utilisation) -> Self {
        Steering::Limit { limit, utilisation, tells: false }
    }

    /// One fixed limit for each phase, from its beginning on.
    pub fn by_phase(limits: Vec<u32>) -> Self {
        Steering::ByPhase { limits, late: None }
    }
}
