//! How far the end is, which is told to all who serve.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    /// Clients hear that their connection ends.
    Noticing,
    /// Nothing new is accepted.
    Ending,
}

/// How far the drain is.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Draining(watch::Sender<Stage>);

impl Draining {
    pub(super) fn new() -> Self {
        Draining(watch::Sender::new(Stage::Serving))
    }

    /// Whether it has begun.
    pub(in crate::proxy) fn has_begun(&self) -> bool {
        *self.0.borrow() > Stage::Serving
    }

    /// Waits until nothing new is to be accepted.
    pub(super) async fn wants_the_end(&self) {
        // The sender is ours, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|stage| *stage == Stage::Ending).await;
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.send_replace(stage);
    }
}
