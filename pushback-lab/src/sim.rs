//! The simulator: scenarios in virtual time, through the gauge that production runs.

mod chart;
mod clock;
mod contest;
mod oracle;
mod random;
mod record;
mod report;
mod run;
mod scenario;
mod score;
mod station;
mod table;
mod values;

pub use contest::{Contest, INITIALS, PhaseStandings, ScenarioStandings, Standings};
pub use oracle::{Oracle, SWEEP};
pub use random::random_text;
pub use record::{PhaseRecord, Record, RouteRecord, STEP, StepRecord};
pub use report::{ReportError, plot, report};
pub use run::run;
pub use scenario::{Scenario, ScenarioError};
pub use score::{Latency, PhaseScore, RunScore, Standing, Summaries, Summary};
pub use table::table;

pub use crate::limits::steering::Steering;
