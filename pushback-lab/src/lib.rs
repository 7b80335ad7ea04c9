//! The lab: what puts services under load, and shows what came of it.

mod load;
mod plot;
mod summary;

pub use load::{Call, Closed, End, LoadError, Run, Target};
pub use plot::{PlotError, draw};
pub use summary::{Summary, Times};
