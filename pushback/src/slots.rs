//! The admission word: the whole state that a call without a line meets, in one atomic integer.
//!
//! ```text
//!  63            36   35   34                    0
//! ┌────────────────┬──────┬───────────────────────┐
//! │ admitted, mod  │ gate │ free places + 2^34    │
//! │ 2^28           │ open │ (below 2^34: a debt)  │
//! └────────────────┴──────┴───────────────────────┘
//! ```
//!
//! Taking a place is one compare-and-swap, giving it back is one add. A call is admitted exactly when the gate is
//! open and enough places are free, which is *one* comparison of the two lower fields. The gate is shut while
//! anyone waits in line, or once the gauge is closed: free places are then handed out under the line's lock only, so
//! nobody overtakes, and whoever gives a place back sees the shut gate in the value its add returns.
//!
//! In flight is not counted anywhere else: it is the limit minus the free places. A lowered limit makes the free
//! places negative, and this debt is paid by calls that end before anyone new fits. So does a call that costs more than a
//! limit that moves, which takes all places at once and runs alone.
//!
//! Every `u32` is a legal limit and a legal cost. The sum of the costs in flight never exceeds the largest limit or the largest
//! cost there ever was, and once more as much by calls that take a lent place back (`gauge/awaiting_client.rs`). So the free places stay
//! within ±2^33, and the biased field can neither borrow nor carry. The admitted count stands at the top, where it wraps without touching anything; `half_turns` counts how often.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

const BIAS: u64 = 1 << 34;
const FREE: u64 = (1 << 35) - 1;
const GATE: u64 = 1 << 35;
const ONE_ADMITTED: u64 = 1 << 36;
/// How many admissions make the count's highest bit change.
const HALF_TURN: u64 = 1 << 27;

/// The places of one gauge: how many there are, how many are taken.
#[derive(Debug)]
pub(crate) struct Slots {
    word: AtomicU64,
    /// How often the admitted count in the word went through half of its range.
    half_turns: AtomicU64,
    /// Changed only under the line's lock.
    limit: AtomicU32,
}

/// What the line looked like to someone who gave a place back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nobody waits: the place is free for whoever comes.
    Open,
    /// Somebody waits, or the gauge is closed: the line must be looked after.
    Shut,
}

impl Slots {
    pub(crate) fn new(limit: u32) -> Self {
        Slots {
            word: AtomicU64::new(GATE | (BIAS + u64::from(limit))),
            half_turns: AtomicU64::new(0),
            limit: AtomicU32::new(limit),
        }
    }

    /// Whether so many places could be taken now.
    pub(crate) fn has(&self, need: u32) -> bool {
        self.word.load(Ordering::Acquire) & (GATE | FREE) >= GATE | (BIAS + u64::from(need))
    }

    /// Takes `cost` places if the gate is open and they are free; `false` changes nothing.
    #[inline]
    pub(crate) fn take(&self, cost: u32) -> bool {
        self.take_if_free(cost, cost)
    }

    /// Takes `cost` places if the gate is open and `need` of them are free: what is taken beyond those is a debt.
    #[inline]
    pub(crate) fn take_if_free(&self, need: u32, cost: u32) -> bool {
        let enough = GATE | (BIAS + u64::from(need));
        // Who sees the gate shut sees why: the caller asks next whether the gauge is closed.
        let mut word = self.word.load(Ordering::Acquire);
        while word & (GATE | FREE) >= enough {
            let next = admit(word, cost);
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => {
                    self.count_half_turn(next);
                    return true;
                }
                Err(now) => word = now,
            }
        }
        false
    }

    /// The same for the front of the line. The caller holds the line's lock and has shut the gate, so that places can only
    /// become more in the meantime.
    pub(crate) fn take_for_front(&self, need: u32, cost: u32) -> bool {
        let word = self.word.load(Ordering::Acquire);
        debug_assert_eq!(word & GATE, 0, "the front is served behind a shut gate");
        if free(word) < i64::from(need) {
            return false;
        }
        let before = self.word.fetch_add(admit(0, cost), Ordering::Acquire);
        self.count_half_turn(admit(before, cost));
        true
    }

    /// Gives `cost` places back.
    #[inline]
    pub(crate) fn give_back(&self, cost: u32) -> Gate {
        let before = self.word.fetch_add(u64::from(cost), Ordering::Release);
        if before & GATE != 0 { Gate::Open } else { Gate::Shut }
    }

    /// Takes `cost` places back that a call has lent to others, whether they are free or not: what is not free is a debt.
    #[cfg(feature = "http")]
    pub(crate) fn take_back(&self, cost: u32) {
        self.word.fetch_sub(u64::from(cost), Ordering::AcqRel);
    }

    /// Lets calls take places without the line. The caller holds the line's lock.
    pub(crate) fn open_gate(&self) {
        if self.word.load(Ordering::Relaxed) & GATE == 0 {
            self.word.fetch_or(GATE, Ordering::Release);
        }
    }

    /// From here on places are taken under the line's lock only, which the caller holds.
    pub(crate) fn shut_gate(&self) {
        if self.word.load(Ordering::Relaxed) & GATE != 0 {
            self.word.fetch_and(!GATE, Ordering::AcqRel);
        }
    }

    /// Sets the limit; the caller holds the line's lock. Calls in flight beyond it become a debt.
    pub(crate) fn set_limit(&self, limit: u32) {
        let old = self.limit.swap(limit, Ordering::Relaxed);
        let change = u64::from(limit).wrapping_sub(u64::from(old));
        self.word.fetch_add(change, Ordering::AcqRel);
    }

    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// The places taken. Exact under the line's lock; without it, a limit that changes meanwhile may show.
    #[inline]
    pub(crate) fn in_flight(&self) -> i64 {
        i64::from(self.limit()) - free(self.word.load(Ordering::Acquire))
    }

    /// The places taken, and all calls ever admitted, of one moment; the caller holds the line's lock.
    pub(crate) fn in_flight_and_admitted(&self) -> (i64, u64) {
        // The word and its count of half turns cannot be read at once. The highest bit of the count in the word tells
        // whether the half turn that it shows has been counted yet.
        loop {
            let half_turns = self.half_turns.load(Ordering::Acquire);
            let word = self.word.load(Ordering::Acquire);
            let in_word = word >> ONE_ADMITTED.trailing_zeros();
            if half_turns == self.half_turns.load(Ordering::Acquire) {
                let counted = half_turns + ((half_turns ^ (in_word / HALF_TURN)) & 1);
                return (i64::from(self.limit()) - free(word), counted * HALF_TURN + in_word % HALF_TURN);
            }
        }
    }

    #[inline]
    fn count_half_turn(&self, word: u64) {
        if word & ((HALF_TURN - 1) * ONE_ADMITTED) == 0 {
            self.half_turns.fetch_add(1, Ordering::Release);
        }
    }
}

/// The word after one more call of this cost was admitted; the count at the top wraps.
#[inline]
fn admit(word: u64, cost: u32) -> u64 {
    word.wrapping_add(ONE_ADMITTED).wrapping_sub(u64::from(cost))
}

#[inline]
fn free(word: u64) -> i64 {
    (word & FREE) as i64 - BIAS as i64
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    impl Slots {
        fn admitted(&self) -> u64 {
            self.in_flight_and_admitted().1
        }
    }

    #[test]
    fn places_are_taken_up_to_the_limit_and_not_beyond() {
        let slots = Slots::new(3);
        assert!(slots.take(2));
        assert!(!slots.take(2));
        assert!(slots.take(1));
        assert!(!slots.take(1));
        assert_eq!((slots.in_flight(), slots.admitted()), (3, 2));
        assert_eq!(slots.give_back(2), Gate::Open);
        assert_eq!(slots.in_flight(), 1);
    }

    #[test]
    fn a_lowered_limit_is_a_debt_that_is_paid_first() {
        let slots = Slots::new(10);
        assert!(slots.take(10));
        slots.set_limit(2);
        assert_eq!(slots.in_flight(), 10);
        slots.give_back(8);
        assert!(!slots.take(1), "two are in flight and two may be");
        slots.give_back(1);
        assert!(slots.take(1));
        assert!(!slots.take(1));
    }

    #[test]
    fn the_largest_limit_and_the_deepest_debt_fit_into_the_word() {
        let slots = Slots::new(u32::MAX);
        assert!(slots.take(u32::MAX));
        assert!(!slots.take(1));
        slots.set_limit(0);
        assert_eq!(slots.in_flight(), i64::from(u32::MAX));
        assert_eq!(slots.admitted(), 1, "neither borrow nor carry reached the count");
        slots.set_limit(u32::MAX);
        slots.give_back(u32::MAX);
        assert_eq!((slots.in_flight(), slots.admitted()), (0, 1));
        assert!(slots.take(u32::MAX));
    }

    #[test]
    fn a_shut_gate_stops_takers_and_shows_to_those_who_give_back() {
        let slots = Slots::new(2);
        assert!(slots.take(1));
        slots.shut_gate();
        assert!(!slots.take(1), "free, but not without the line");
        assert!(slots.take_for_front(1, 1));
        assert!(!slots.take_for_front(1, 1));
        assert_eq!(slots.give_back(1), Gate::Shut);
        slots.open_gate();
        assert!(slots.take(1));
    }

    #[test]
    fn the_admitted_count_goes_on_when_its_field_in_the_word_wraps() {
        let slots = Slots::new(1);
        // Start shortly before the field's half and let it go round by steps of one at each of its edges.
        for turn in 0..5_u64 {
            let edge = (turn + 1) * HALF_TURN;
            let short = edge - 3;
            slots.word.store(GATE | (BIAS + 1) | (short << 36), Ordering::Relaxed);
            slots.half_turns.store(turn, Ordering::Relaxed);
            for step in 1..=6 {
                assert!(slots.take(1));
                slots.give_back(1);
                assert_eq!(slots.admitted(), short + step);
            }
            assert_eq!(slots.in_flight(), 0);
        }
    }

    #[test]
    fn a_half_turn_not_yet_counted_is_seen_in_the_word() {
        let slots = Slots::new(1);
        slots.word.store(GATE | (BIAS + 1) | (HALF_TURN << 36), Ordering::Relaxed);
        assert_eq!(slots.admitted(), HALF_TURN, "the taker was interrupted before it counted");
        slots.half_turns.store(1, Ordering::Relaxed);
        assert_eq!(slots.admitted(), HALF_TURN);
    }
}
