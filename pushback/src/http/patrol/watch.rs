//! What one peer is to a patrol, for as long as somebody has to do with him.

use std::{
    fmt,
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};

use super::{
    super::answering::Answering, Awaited, Entry, Forfeit, IsBusy, Patrol, Peer, SHARDS, Stalled, sweeps,
};
use crate::{
    gauge::{Client, thread_stripe},
    http::progress::Progress,
    outcome::Outcome,
};

/// Who waits for the peer of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Side {
    Reads,
    Writes,
}

/// What the patrol knows of. Dropping it ends that, and gives back the place that it holds.
pub(in crate::http) struct Watch {
    patrol: Arc<Patrol>,
    /// How many places wait for the reader.
    places: u32,
    /// Whether a limit that moves learns from when the reader was awaited.
    is_timed: bool,
    /// Whether nothing is left to be learned from how the answer ends.
    is_known: bool,
    shard: usize,
    key: usize,
}

impl Watch {
    /// The peer is awaited from now on, for as long as a peer may take.
    pub(in crate::http) fn reader(patrol: &Arc<Patrol>, held: Forfeit) -> Self {
        let places = held.permit.as_ref().map_or(0, |permit| permit.places_that_move());
        let is_timed = held.permit.as_ref().is_some_and(Answering::is_timed);
        let is_known = held.permit.as_ref().is_none_or(Answering::is_over);
        let awaiting = patrol.await_client(places, Client::Reads);
        let mut watch =
            Watch::new(patrol, Peer::Reader, places, Forfeit { awaiting, ..held }, patrol.patience);
        (watch.is_timed, watch.is_known) = (is_timed, is_known);
        watch
    }

    /// Who sends a body for which so many places wait.
    pub(in crate::http) fn sender(patrol: &Arc<Patrol>, places: u32, sweeps_left: u32) -> Self {
        let awaiting = patrol.await_client(places, Client::Sends);
        Watch::new(patrol, Peer::Sender, places, Forfeit { awaiting, ..Forfeit::default() }, sweeps_left)
    }

    /// Nothing is held, and for the first step there is no more time than this.
    pub(in crate::http) fn at_most(patrol: &Arc<Patrol>, time: Duration) -> Self {
        Watch::idle(patrol, sweeps(time, patrol.period))
    }

    /// The same, for so many sweeps.
    pub(in crate::http) fn idle(patrol: &Arc<Patrol>, sweeps_left: u32) -> Self {
        Watch::new(patrol, Peer::Idle, 0, Forfeit::default(), sweeps_left)
    }

    fn new(patrol: &Arc<Patrol>, peer: Peer, places: u32, held: Forfeit, sweeps_left: u32) -> Self {
        let shard = thread_stripe() % SHARDS;
        let awaited = Awaited::Peer { sweeps_left };
        let taken = held.progress.as_ref().map_or(0, Progress::bytes);
        let key = patrol.shard(shard).insert(Entry {
            peer,
            held,
            taken,
            awaited,
            age: 0,
            is_open: false,
            wakers: [None, None],
        });
        patrol.arm();
        Watch { patrol: Arc::clone(patrol), places, is_timed: false, is_known: true, shard, key }
    }

    /// When it is, if that matters. Asked outside of the lock, for clocks are other people's code.
    fn now(&self) -> Option<Instant> {
        self.is_timed.then(|| self.patrol.now())
    }

    /// The peer took a step, and now it is our turn.
    pub(in crate::http) fn awaits_us(&self) -> Result<(), Stalled> {
        let now = self.now();
        let ended = {
            let mut entries = self.patrol.shard(self.shard);
            let entry = entries[self.key].unless_stalled()?;
            entry.awaited = Awaited::Us;
            if let Some(permit) = entry.held.permit.as_mut().filter(|_| now.is_some()) {
                permit.reads(now);
            }
            // What is open has lent its place for good.
            if entry.is_open { None } else { entry.held.awaiting.take() }
        };
        drop(ended);
        Ok(())
    }

    /// The peer got what it waited for, and now it is its turn.
    pub(in crate::http) fn awaits_peer(&self) -> Result<(), Stalled> {
        self.awaits_peer_after(|_| ())
    }

    /// This part of an answer is on its way, and now it is its reader's turn.
    pub(in crate::http) fn hands_over(&self, data: Option<&[u8]>) -> Result<(), Stalled> {
        let now = self.now();
        self.awaits_peer_after(|permit| permit.hands_over(data, now))
    }

    fn awaits_peer_after(&self, step: impl FnOnce(&mut Answering)) -> Result<(), Stalled> {
        let is_waiting = {
            let mut entries = self.patrol.shard(self.shard);
            let entry = entries[self.key].unless_stalled()?;
            if let Some(permit) = &mut entry.held.permit {
                step(permit);
            }
            entry.awaited = Awaited::Peer { sweeps_left: self.patrol.patience };
            entry.held.awaiting.is_some()
        };
        self.patrol.arm();
        if !is_waiting {
            let mut awaiting = self.patrol.await_client(self.places, Client::Reads); // outside of the lock, for it may wake others
            if let Ok(entry) = self.patrol.shard(self.shard)[self.key].unless_stalled() {
                entry.held.awaiting = awaiting.take();
            }
        }
        Ok(())
    }

    /// The service has said all.
    pub(in crate::http) fn ends(&self) {
        if self.is_known {
            return;
        }
        let now = self.now();
        let mut entries = self.patrol.shard(self.shard);
        if let Some(held) = entries[self.key].held.permit.as_mut().and_then(|permit| permit.ends(now)) {
            self.patrol.lasting.learn(held);
        }
    }

    /// The peer is not awaited while this says so, as often as a sweep comes by.
    pub(in crate::http) fn unless(&self, is_busy: IsBusy) {
        self.patrol.shard(self.shard)[self.key].held.is_busy = Some(is_busy);
    }

    /// How many sweeps are left to a peer that is awaited.
    pub(in crate::http) fn sweeps_left(&self) -> u32 {
        match self.patrol.shard(self.shard)[self.key].awaited {
            Awaited::Peer { sweeps_left } => sweeps_left,
            Awaited::Us | Awaited::Stalled => 0,
        }
    }

    /// Whoever polls now is woken when the peer has stalled.
    pub(in crate::http) fn wake_when_stalled(&self, cx: &Context<'_>) -> Result<(), Stalled> {
        self.wake_when_stalled_from(Side::Reads, cx)
    }

    /// The same for one of the two sides that wait for a peer.
    pub(in crate::http) fn wake_when_stalled_from(
        &self,
        side: Side,
        cx: &Context<'_>,
    ) -> Result<(), Stalled> {
        let mut waker = Some(cx.waker().clone()); // cloned outside of the lock, as the old one is dropped
        let mut entries = self.patrol.shard(self.shard);
        let entry = entries[self.key].unless_stalled()?;
        std::mem::swap(&mut entry.wakers[side as usize], &mut waker);
        drop(entries);
        Ok(())
    }

    /// How the call went that holds the place.
    pub(in crate::http) fn record(&self, outcome: Outcome) {
        if let Some(permit) = &mut self.patrol.shard(self.shard)[self.key].held.permit {
            permit.record(outcome);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let entry = self.patrol.shard(self.shard).remove(self.key);
        drop(entry); // outside of the lock: it may wake the next in line
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
