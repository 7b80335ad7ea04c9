//! The simulator: scenarios in virtual time, through the gauge that production runs.

mod clock;
mod record;
mod run;
mod scenario;
mod station;
mod values;

pub use record::{PhaseRecord, Record, STEP, StepRecord};
pub use run::{Steering, run};
pub use scenario::{Scenario, ScenarioError};
