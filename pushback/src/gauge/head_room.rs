//! The places that calls leave free for more important ones, where nobody waits for a place.
//!
//! A call has its place if as many are free as it costs *and* as its rank leaves free. That is the same one comparison as without
//! ranks, with one more number in it. The numbers follow the refusals, which are off the way of those that are admitted: whoever is
//! refused has those below leave more free, and where some are always free they leave less.

// These are hints to each other's calls, in no order with anything: loom has nothing to try here.
use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    adaptive::Look,
    ranks::{Moment, Ranks},
};
use crate::arrival::RANKS;

/// As often is looked at most.
const APART: Duration = Duration::from_millis(10);

/// The rank came since somebody looked: a bit each, and one more once there are calls of several ranks.
const RANKED: u32 = 1 << RANKS;

#[derive(Debug)]
pub(crate) struct HeadRoom {
    came: AtomicU32,
    /// Made when calls of a second rank come, which to most gauges never happens.
    ranked: OnceLock<Box<Ranked>>,
}

#[derive(Debug)]
struct Ranked {
    /// How many places each rank leaves free.
    free: [AtomicU32; RANKS as usize],
    /// How many places the least important calls leave free while a limit looks at fewer in flight.
    looked_at: AtomicU32,
    ranks: Mutex<Ranks>,
}

impl HeadRoom {
    pub(crate) fn new() -> Self {
        HeadRoom { came: AtomicU32::new(0), ranked: OnceLock::new() }
    }

    /// How many places a call of this rank leaves free, which comes now.
    #[inline]
    pub(crate) fn left_by(&self, rank: u8) -> u32 {
        let came = self.came.load(Ordering::Relaxed);
        if came & (1 << rank) == 0 {
            self.note(rank);
        }
        if came & RANKED == 0 {
            return 0;
        }
        self.ranked.get().map_or(0, |ranked| ranked.free[usize::from(rank)].load(Ordering::Relaxed))
    }

    #[cold]
    fn note(&self, rank: u8) {
        let came = self.came.fetch_or(1 << rank, Ordering::Relaxed) | 1 << rank;
        if came & RANKED == 0 && came.count_ones() > 1 {
            self.came.fetch_or(RANKED, Ordering::Relaxed);
        }
    }

    /// Whether calls of several ranks come.
    #[inline]
    pub(crate) fn is_ranked(&self) -> bool {
        self.came.load(Ordering::Relaxed) & RANKED != 0
    }

    /// A limit looks at so many fewer in flight, or has looked. Whether the less important calls leave as many places free for it; if
    /// not, the limit itself has to be lower.
    pub(super) fn look_at_fewer(&self, fewer: u32, look: Option<Look>) -> bool {
        let Some(ranked) = self.ranked.get().filter(|_| self.is_ranked()) else { return false };
        let spares = look == Some(Look::Others);
        ranked.looked_at.store(if spares { fewer } else { 0 }, Ordering::Relaxed);
        ranked.publish(&locked(&ranked.ranks));
        spares
    }

    fn ranked(&self, now: Instant) -> &Ranked {
        self.ranked.get_or_init(|| {
            Box::new(Ranked {
                free: std::array::from_fn(|_| AtomicU32::new(0)),
                looked_at: AtomicU32::new(0),
                ranks: Mutex::new(Ranks::new(now)),
            })
        })
    }

    /// What time has changed; gives what this rank leaves free now.
    pub(super) fn look(&self, rank: u8, moment: Moment) -> u32 {
        let ranked = self.ranked(moment.now);
        // Who finds it taken has somebody do the same.
        if let Ok(mut ranks) = ranked.ranks.try_lock() {
            if ranks.unseen_for(moment.now) >= APART {
                let is_ranked = ranks.look(moment, self.came.swap(RANKED, Ordering::Relaxed));
                if !is_ranked {
                    self.came.fetch_and(!RANKED, Ordering::Relaxed);
                }
                ranked.publish(&ranks);
            }
        }
        ranked.free[usize::from(rank)].load(Ordering::Relaxed)
    }

    /// A call of this rank is refused, so those below leave more free.
    pub(super) fn raise_below(&self, rank: u8, moment: Moment) {
        let ranked = self.ranked(moment.now);
        if let Ok(mut ranks) = ranked.ranks.try_lock() {
            ranks.raise_below(rank, moment);
            ranked.publish(&ranks);
        }
    }
}

impl Ranked {
    fn publish(&self, ranks: &Ranks) {
        let left = ranks.left_free(self.looked_at.load(Ordering::Relaxed));
        for (free, left) in self.free.iter().zip(left) {
            free.store(left, Ordering::Relaxed);
        }
    }
}

fn locked(ranks: &Mutex<Ranks>) -> MutexGuard<'_, Ranks> {
    ranks.lock().unwrap_or_else(PoisonError::into_inner)
}
