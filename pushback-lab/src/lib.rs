//! The lab: what puts services under load, and shows what came of it.

mod arrivals;
pub mod limits;
mod load;
mod plot;
pub mod sim;
mod summary;
mod words;

pub use arrivals::{Arrivals, Schedule};
pub use load::{Call, Closed, End, Load, LoadError, Open, Run, Target};
pub use plot::{PlotError, draw};
pub use summary::{Goodput, Pace, Summary, Times};
pub use words::{count, time};
