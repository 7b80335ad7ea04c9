//! How long a sender may be waited for: a stock of time, which waiting uses up and bytes fill.

use std::{sync::Arc, task::Context};

use super::patrol::{Patrol, Stalled, Watch};

/// A sender's stock, in sweeps of the patrol. It begins full, and is never more than that.
///
/// So whoever sends nothing stalls after the bound, whoever sends less than the least rate somewhat later, and whoever sends in bursts
/// has until the stock is used up for each pause.
#[derive(Debug)]
pub(super) struct Allowance {
    patrol: Arc<Patrol>,
    /// How many places wait for the sender; nothing, if he need not send anything.
    places: Option<u32>,
    /// While the sender is awaited.
    watch: Option<Watch>,
    sweeps_left: u32,
    /// What came beyond whole sweeps.
    bytes: u64,
}

impl Allowance {
    /// While he is awaited, so many places wait.
    pub(super) fn new(patrol: &Arc<Patrol>, places: u32) -> Self {
        let (patrol, sweeps_left) = (Arc::clone(patrol), patrol.patience());
        Allowance { patrol, places: Some(places), watch: None, sweeps_left, bytes: 0 }
    }

    /// The same for a sender who need not send anything: so many sweeps, and nobody has stalled.
    pub(super) fn brief(patrol: &Arc<Patrol>, sweeps: u32) -> Self {
        Allowance { places: None, sweeps_left: sweeps, ..Allowance::new(patrol, 0) }
    }

    /// The next part is not there yet. Whoever polls now is woken when the stock is used up.
    pub(super) fn awaits(&mut self, cx: &Context<'_>) -> Result<(), Stalled> {
        let new = || match self.places {
            Some(places) => Watch::sender(&self.patrol, places, self.sweeps_left),
            None => Watch::idle(&self.patrol, self.sweeps_left),
        };
        self.watch.get_or_insert_with(new).wake_when_stalled(cx)
    }

    /// Whose patience it is.
    pub(super) fn patrol(&self) -> &Patrol {
        &self.patrol
    }

    /// So many bytes came. Without a least rate, any progress fills the stock.
    pub(super) fn came(&mut self, bytes: usize) {
        if let Some(watch) = self.watch.take() {
            self.sweeps_left = watch.sweeps_left();
        }
        let full = self.patrol.patience();
        let Some(bytes_in_sweep) = self.patrol.bytes_in_sweep() else {
            self.sweeps_left = full;
            return;
        };
        self.bytes += bytes as u64;
        let sweeps = u32::try_from(self.bytes / bytes_in_sweep).unwrap_or(u32::MAX);
        self.bytes %= bytes_in_sweep;
        self.sweeps_left = self.sweeps_left.saturating_add(sweeps).min(full);
    }

    /// Nobody waits for the sender any more.
    pub(super) fn ends(&mut self) {
        self.watch = None;
    }
}
