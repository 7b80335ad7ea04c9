//! How long a request holds its place.

use std::{fmt, sync::Arc, time::Duration};

use super::hold_time::Taken;
use crate::{
    outcome::Outcome,
    sync::{Mutex, locked},
};

/// How long a request holds its place.
///
/// | | [`Body`](Hold::Body) | [`Head`](Hold::Head) | [`Task`](Hold::Task) |
/// |---|---|---|---|
/// | given back | when the last byte of the answer was handed over | when the handler has answered | when the handler has answered and the last clone of its [`Place`] is gone |
/// | good for | nearly all | long streams whose work is done at the head; answers that need a second call of the same gauge while they stream | work that goes on behind the answer: a spawned task, a WebSocket |
/// | a stream, server-sent events | hold the place to their end | hold none | as the handler decides |
/// | answer without a body (HEAD, 204, 304), upgrade (101, CONNECT) | head | head | as the handler decides |
///
/// Handed over means to the server. A small answer of one part, such as a text, is the server's at
/// once. It is written out as the reader takes it, and holds no place for that. A stream is asked
/// for its next part only when the last has been written. What servers buffer for clients that do
/// not read is bounded by their own settings, such as hyper's `max_concurrent_streams`, and by
/// [`Connections`](super::Connections).
///
/// In all cases the place comes back when the caller goes away or the answer is dropped unread.
/// Informational answers (1xx) change nothing. What runs on behind an upgrade is the handler's own
/// task, which the layer does not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Hold {
    /// To the last byte of the response's body.
    ///
    /// A reader that stalls loses the place: see
    /// [`BackpressureLayer::stall`](super::BackpressureLayer::stall). Under a limit that moves, an
    /// answer that waits for its reader lends its place to others, and takes it back when the
    /// reader reads on. An answer that has been open for a minute, and for ten times what others
    /// last, lends it to its end.
    #[default]
    Body,
    /// To the response's head.
    Head,
    /// As long as the handler keeps the [`Place`] that it finds in the request's extensions, and at least to the
    /// response's head.
    Task,
}

/// The place of a request under [`Hold::Task`], in the request's extensions.
///
/// Clones are the same place. It is given back when the last of them is dropped. Behind two layers
/// that both hold for a task, it is the inner layer's. Exempt requests have none.
///
/// ```
/// use axum::{Extension, Router, routing::post};
/// use pushback::{PressureGauge, http::{BackpressureLayer, Hold, Place}};
///
/// async fn start(Extension(place): Extension<Place>) -> &'static str {
///     tokio::spawn(async move {
///         let _place = place; // held until this work ends, long after the answer
///     });
///     "started"
/// }
///
/// let layer = BackpressureLayer::new(PressureGauge::new(10)).hold(Hold::Task);
/// let app: Router = Router::new().route("/jobs", post(start)).layer(layer);
/// # let _ = app;
/// ```
#[derive(Clone)]
#[must_use = "a place that is dropped at once limits nothing"]
pub struct Place {
    permit: Arc<Mutex<Taken>>,
}

impl Place {
    pub(super) fn new(permit: Taken) -> Self {
        Place { permit: Arc::new(Mutex::new(permit)) }
    }

    /// The head of the answer is there.
    pub(super) fn answered(&self, not_ours: Duration, outcome: Outcome) {
        let mut permit = locked(&self.permit);
        permit.record(outcome);
        // The work goes on for as long as the handler keeps the place, and so does its time.
        permit.begins_later(not_ours);
    }

    /// Says how the work goes. The layer says it by the response's head; a later word replaces that.
    pub fn record(&self, outcome: Outcome) {
        locked(&self.permit).record(outcome);
    }
}

/// Work that panics says nothing about the load.
impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.record(Outcome::Ignore);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}
