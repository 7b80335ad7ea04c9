//! How much may be read of bodies before their gauges are asked, by all requests of a process together.
//!
//! When that is used up, whoever has waited longest for the rest of a body makes room for the others. So slow senders, however many, fill no
//! memory, and keep nobody from having a body read.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Waker},
};

use crate::sync::{Mutex, locked};

const BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Room {
    bytes: AtomicUsize,
    bytes_max: usize,
    waiting: Mutex<Waiting>,
}

/// Those who wait for the rest of a body, by the order in which they began to: how many bytes they store, and who is to be told.
#[derive(Debug, Default)]
struct Waiting {
    begun: u64,
    all: BTreeMap<u64, (usize, Waker)>,
}

/// What one request has read. It counts until it is dropped.
#[derive(Debug)]
pub(super) struct Stored {
    room: Arc<Room>,
    bytes: usize,
    /// Since it first waited.
    number: Option<u64>,
    is_waiting: bool,
}

/// It was the one that had waited longest when others needed the room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MadeRoom;

impl Room {
    pub(super) fn of_process() -> &'static Arc<Room> {
        static ROOM: LazyLock<Arc<Room>> = LazyLock::new(|| Room::new(BYTES_MAX));
        &ROOM
    }

    fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Room { bytes: AtomicUsize::new(0), bytes_max, waiting: Mutex::default() })
    }

    /// Nothing yet, to be added to.
    pub(super) fn begin(self: &Arc<Self>) -> Stored {
        Stored { room: Arc::clone(self), bytes: 0, number: None, is_waiting: false }
    }

    /// Whether there is room again.
    fn make(&self) -> bool {
        let mut wakers = Vec::new();
        let mut waiting = locked(&self.waiting);
        while self.bytes.load(Ordering::Relaxed) > self.bytes_max {
            let Some((_, (bytes, waker))) = waiting.all.pop_first() else { break };
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            wakers.push(waker);
        }
        drop(waiting);
        for waker in wakers {
            // Other people's code, of which one that panics must not keep the others from their turn.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        self.bytes.load(Ordering::Relaxed) <= self.bytes_max
    }
}

impl Stored {
    /// So many bytes more. Whether there is room for them.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let total = self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        total <= self.room.bytes_max || self.room.make()
    }

    /// More is awaited.
    pub(super) fn waits(&mut self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let mut waiting = locked(&self.room.waiting);
        let number = *self.number.get_or_insert_with(|| {
            waiting.begun += 1;
            waiting.begun
        });
        waiting.all.insert(number, (self.bytes, waker));
        self.is_waiting = true;
    }

    /// Somebody looks whether more has come.
    pub(super) fn goes_on(&mut self) -> Result<(), MadeRoom> {
        let Some(number) = self.number.filter(|_| self.is_waiting) else { return Ok(()) };
        self.is_waiting = false;
        if locked(&self.room.waiting).all.remove(&number).is_none() {
            self.bytes = 0; // counted no more since then
            return Err(MadeRoom);
        }
        Ok(())
    }

    /// The same, for somebody else to keep.
    pub(super) fn hand_over(&mut self) -> Stored {
        let mut other = self.room.begin();
        std::mem::swap(&mut other.bytes, &mut self.bytes);
        other
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        let _ = self.goes_on();
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    fn waits(stored: &mut Stored) {
        stored.waits(&Context::from_waker(Waker::noop()));
    }

    #[test]
    fn what_is_stored_counts_until_it_is_dropped() {
        let room = Room::new(100);
        let mut stored = room.begin();
        assert!(stored.add(99));
        let mut other = room.begin();
        assert!(other.add(1) && !other.add(1));
        let handed_over = stored.hand_over();
        drop(stored);
        assert!(!other.add(1));
        drop(handed_over);
        assert!(other.add(1));
        waits(&mut other);
        drop(other);
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
        assert!(locked(&room.waiting).all.is_empty());
    }

    #[test]
    fn whoever_has_waited_longest_makes_room() {
        let room = Room::new(100);
        let [mut first, mut second, mut third] = [room.begin(), room.begin(), room.begin()];
        for stored in [&mut first, &mut second] {
            assert!(stored.add(40));
            waits(stored);
        }
        // A part of it came since, which makes it no younger.
        assert_eq!(first.goes_on(), Ok(()));
        assert!(first.add(1));
        waits(&mut first);
        assert!(third.add(60));
        assert_eq!((first.goes_on(), second.goes_on()), (Err(MadeRoom), Ok(())));
        assert_eq!(room.bytes.load(Ordering::Relaxed), 100);
        drop((first, second, third));
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_is_all_there_makes_no_room() {
        let room = Room::new(100);
        let [mut whole, mut other] = [room.begin(), room.begin()];
        assert!(whole.add(60));
        assert!(!other.add(60));
    }
}
