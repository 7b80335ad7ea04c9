// The examples in it need the HTTP layer; docs.rs shows all features.
#![cfg_attr(feature = "http", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "http"),
    doc = "Backpressure: limit the work in flight, refuse or queue the rest at once."
)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arrival;
mod clock;
#[cfg(feature = "dashboard")]
pub mod dashboard;
mod dice;
mod gauge;
#[cfg(feature = "http")]
pub mod http;
pub mod limit;
mod line;
#[cfg(feature = "dashboard")]
mod notebook;
mod outcome;
mod rejected;
mod settings;
mod slots;
mod snapshot;
mod sync;
mod telemetry;

pub use arrival::{Arrival, Priority};
pub use clock::{Alarm, Clock, ManualClock, SystemClock};
pub use gauge::{Acquire, Builder, Drain, DryRunMode, OwnedPermit, Permit, PressureGauge};
pub use line::Line;
pub use outcome::Outcome;
pub use rejected::{Reason, Rejected};
pub use settings::BuildError;
pub use snapshot::{DryRun, Refusals, Snapshot, Why};
