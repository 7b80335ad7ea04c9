//! Who keeps a place and makes no progress: readers of answers and senders of uploads that stall.
//!
//! There is one alarm for all bodies of a layer, and a request's way reads no clock. Each body has an entry, and whoever
//! awaits its peer has some patience there. A sweep takes one from it; progress gives all of it back; whose patience is
//! used up has stalled. So a peer is given up on between the bound and the bound plus one period.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    time::{Duration, Instant},
};

use slab::Slab;

use super::shared::Shared;
use crate::{
    clock::{Alarm, Ring},
    gauge::{OwnedPermit, thread_stripe},
    outcome::Outcome,
    telemetry,
};

/// How many threads can come and go without waiting for each other.
const SHARDS: usize = 8;
/// The time between two sweeps, for all but very short bounds.
const PERIOD_MAX: Duration = Duration::from_millis(500);
/// A bound is at least this many periods, so that it is kept to a quarter.
const PERIODS_MIN: u32 = 4;

#[derive(Debug)]
pub(super) struct Patrol {
    shards: [Mutex<Slab<Entry>>; SHARDS],
    /// Whether a sweep is to come.
    is_armed: AtomicBool,
    period: Duration,
    /// How many sweeps a peer may take for its next step.
    patience: u32,
}

#[derive(Debug)]
struct Entry {
    permit: Option<OwnedPermit>,
    awaited: Awaited,
    patience: u32,
    waker: Option<Waker>,
}

/// Whose next step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Us,
    Peer { sweeps_left: u32 },
    Stalled,
}

impl Patrol {
    pub(super) fn new(stall: Duration) -> Self {
        let period = PERIOD_MAX.min(stall / PERIODS_MIN);
        Patrol {
            shards: std::array::from_fn(|_| Mutex::new(Slab::new())),
            is_armed: AtomicBool::new(false),
            period,
            patience: sweeps(stall, period),
        }
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Slab<Entry>> {
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many sweeps last at least this long. One more than fit, for the first may come at once.
fn sweeps(time: Duration, period: Duration) -> u32 {
    let fit = time.as_nanos().div_ceil(period.as_nanos().max(1));
    u32::try_from(fit).unwrap_or(u32::MAX).saturating_add(1)
}

/// The peer has made no progress for longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stalled;

/// A body that the patrol knows. Dropping it ends that, and gives back the place that it holds.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    shard: usize,
    key: usize,
}

impl Watch {
    /// A body whose peer is awaited from now on, for as long as a peer may take.
    pub(super) fn peer(shared: &Arc<Shared>, permit: Option<OwnedPermit>) -> Self {
        Watch::new(shared, permit, shared.patrol.patience)
    }

    /// The same, for no longer than this in all.
    pub(super) fn at_most(shared: &Arc<Shared>, time: Duration) -> Self {
        Watch::new(shared, None, sweeps(time, shared.patrol.period))
    }

    fn new(shared: &Arc<Shared>, permit: Option<OwnedPermit>, patience: u32) -> Self {
        let shard = thread_stripe() % SHARDS;
        let awaited = Awaited::Peer { sweeps_left: patience };
        let key = shared.patrol.shard(shard).insert(Entry { permit, awaited, patience, waker: None });
        let watch = Watch { shared: Arc::clone(shared), shard, key };
        watch.shared.arm();
        watch
    }

    /// The peer took a step, and now it is our turn.
    pub(super) fn awaits_us(&self) -> Result<(), Stalled> {
        self.step(|_| Awaited::Us)
    }

    /// The peer got what it waited for, and now it is its turn.
    pub(super) fn awaits_peer(&self) -> Result<(), Stalled> {
        self.step(|entry| Awaited::Peer { sweeps_left: entry.patience })?;
        self.shared.arm();
        Ok(())
    }

    fn step(&self, next: impl FnOnce(&Entry) -> Awaited) -> Result<(), Stalled> {
        let mut entries = self.shared.patrol.shard(self.shard);
        let entry = &mut entries[self.key];
        if entry.awaited == Awaited::Stalled {
            return Err(Stalled);
        }
        entry.awaited = next(entry);
        Ok(())
    }

    /// Whoever polls now is woken when the peer has stalled.
    pub(super) fn wake_when_stalled(&self, cx: &Context<'_>) -> Result<(), Stalled> {
        let mut waker = Some(cx.waker().clone());
        let mut entries = self.shared.patrol.shard(self.shard);
        let entry = &mut entries[self.key];
        if entry.awaited == Awaited::Stalled {
            return Err(Stalled);
        }
        std::mem::swap(&mut entry.waker, &mut waker); // the old one is dropped outside of the lock
        drop(entries);
        Ok(())
    }

    /// How the call went that holds the place.
    pub(super) fn record(&self, outcome: Outcome) {
        if let Some(permit) = &mut self.shared.patrol.shard(self.shard)[self.key].permit {
            permit.record(outcome);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let entry = self.shared.patrol.shard(self.shard).remove(self.key);
        drop(entry); // outside of the lock: it may wake the next in line
    }
}

impl Shared {
    /// Makes sure that a sweep is to come.
    fn arm(self: &Arc<Self>) {
        if self.patrol.is_armed.load(Ordering::SeqCst) || self.patrol.is_armed.swap(true, Ordering::SeqCst) {
            return;
        }
        let when = self.gauge.now() + self.patrol.period;
        let me = Arc::downgrade(self) as Weak<dyn Ring>; // an alarm must not keep the layer alive
        self.gauge.ring_at(when, Alarm::new(me, when));
    }
}

impl Ring for Shared {
    fn ring(self: Arc<Self>, _when: Instant) {
        // Before the look around: whoever begins to await its peer from now on arms the next sweep itself.
        self.patrol.is_armed.store(false, Ordering::SeqCst);
        let mut stalled = Vec::new();
        let mut is_peer_awaited = false;
        for number in 0..SHARDS {
            for (_, entry) in self.patrol.shard(number).iter_mut() {
                match &mut entry.awaited {
                    Awaited::Peer { sweeps_left: 0 | 1 } => {
                        entry.awaited = Awaited::Stalled;
                        stalled.push((entry.permit.take(), entry.waker.take()));
                    }
                    Awaited::Peer { sweeps_left } => {
                        *sweeps_left -= 1;
                        is_peer_awaited = true;
                    }
                    Awaited::Us | Awaited::Stalled => (),
                }
            }
        }
        if is_peer_awaited {
            self.arm();
        }
        if !stalled.is_empty() {
            telemetry::stalled(self.gauge.name(), stalled.len());
        }
        // Last, for wakers are other people's code and may panic.
        for (permit, waker) in stalled {
            drop(permit);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_kept_for_at_least_as_long_as_it_says() {
        for (stall, period, patience) in [(10_000, 500, 21), (1_000, 250, 5), (2_001, 500, 6), (1, 0, 5)] {
            let stall = Duration::from_millis(stall);
            let patrol = Patrol::new(stall);
            let expected =
                if period == 0 { Duration::from_micros(250) } else { Duration::from_millis(period) };
            assert_eq!((patrol.period, patrol.patience), (expected, patience), "{stall:?}");
            assert!(patrol.period * (patrol.patience - 1) >= stall);
        }
    }
}
