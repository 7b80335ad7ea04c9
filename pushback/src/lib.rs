//! Backpressure: limit the work in flight, refuse or queue the rest at once.
//!
//! A [`PressureGauge`] holds a limit. A call takes a *place* of it, runs, and gives the place back.
//! Where no place is free, the call is refused at once, or waits in a bounded line.
//!
//! Elsewhere a gauge is called a semaphore, a bulkhead or a concurrency limiter, a place a permit
//! or a slot, and a line a wait queue.
//!
//! ```
//! use pushback::{PressureGauge, Rejected};
//!
//! # fn main() -> Result<(), Rejected> {
//! let gauge = PressureGauge::new(10);
//! let answer = gauge.process(|| "done")?; // runs now, or is refused now
//! # assert_eq!(answer, "done");
//! # Ok(())
//! # }
//! ```
//!
//! In front of axum, tonic or hyper, it is a layer (feature `http`). Above the limit it answers
//! 429:
//!
#![cfg_attr(
    feature = "http",
    doc = r#"```
use axum::{Router, routing::get};
use pushback::{PressureGauge, http::BackpressureLayer};

# let _: Router =
Router::new()
    .route("/request", get(async || "done"))
    .route_layer(BackpressureLayer::new(PressureGauge::auto()));
```
"#
)]
//!
//! | to | see |
//! |---|---|
//! | run or refuse, never wait | [`PressureGauge::process`], [`process_async`](PressureGauge::process_async), [`try_acquire`](PressureGauge::try_acquire) |
//! | wait for one's turn | [`PressureGauge::acquire`], [`Line`] |
//! | say a call's cost, priority and deadline | [`Arrival`] |
//! | say how a call went | [`Outcome`], [`Permit::record`] |
//! | have the limit find itself | [`PressureGauge::auto`], [`limit`] |
//! | answer HTTP and gRPC | `http`: `BackpressureLayer`, `Classify`, `Reply`, `Trust`, `Connections` |
//! | watch | [`PressureGauge::snapshot`], features `metrics`, `tracing` and `dashboard` |
//!
//! | feature | has |
//! |---|---|
//! | none | the gauge, its line and its limits, without any other crate |
//! | `http` | the layer for whatever speaks `http` and `tower` |
//! | `axum` | a cap on the connections of `axum::serve`, and [`Rejected`] as a handler's answer |
//! | `dashboard` | a page that shows gauges live, as a router of axum |
//! | `metrics`, `tracing`, `serde` | the gauge as metrics, as events, its snapshot as JSON |
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the documents.
#[cfg(all(doctest, feature = "dashboard", feature = "metrics"))]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/library.md")]
struct Documents;

/// What is read, or made by its own functions, may grow: nobody outside can write it out, or take it apart without `..`.
///
/// ```compile_fail
/// let pushback::limit::Totals { admitted: _, refused: _, outranked: _, timed: _, unshown: _ } = pushback::limit::Totals::default();
/// ```
/// ```compile_fail
/// let _ = pushback::limit::Start { limit: 1, controller: None };
/// ```
/// ```compile_fail
/// let _ = pushback::limit::Decision { limit: 1.0, cause: "", why: "".into() };
/// ```
/// ```compile_fail
/// let _ = pushback::limit::Sample { ..pushback::limit::Sample::new(Default::default(), Default::default()) };
/// ```
/// ```compile_fail
/// let _ = pushback::limit::Seen { ..Default::default() };
/// ```
#[cfg(doctest)]
struct MayGrow;

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
#[cfg(feature = "metrics")]
pub use gauge::PublishMetrics;
pub use gauge::{Acquire, Builder, Drain, DryRunMode, OwnedPermit, Permit, PressureGauge};
pub use line::Line;
pub use outcome::Outcome;
pub use rejected::{Reason, Rejected};
pub use settings::BuildError;
pub use snapshot::{DryRun, Refusals, Snapshot, Why};
