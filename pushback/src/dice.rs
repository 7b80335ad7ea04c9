//! Random numbers that repeat with their seed, by SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", 2014).

use std::{
    cell::Cell,
    hash::{BuildHasher, Hasher, RandomState},
};

/// What the state moves on by from number to number.
pub(crate) const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number, 0 to 1, that belongs to a state.
pub(crate) fn number(state: u64) -> f64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The next of this thread's own random numbers, for choices that must cost next to nothing.
#[inline]
pub(crate) fn roll() -> u32 {
    thread_local! {
        // 0 is no state yet: what has a constant to begin with is read and written without asking whether it is there.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let before = match STATE.with(Cell::get) {
        0 => any_seed(),
        before => before,
    };
    let next = before.wrapping_add(STEP);
    STATE.with(|state| state.set(next));
    quick(next)
}

/// The number that belongs to a state, by one round of mixing: the upper half of a product depends on all bits of the state.
#[inline]
pub(crate) fn quick(state: u64) -> u32 {
    ((state ^ (state >> 32)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 32) as u32
}

/// A seed that differs each time: std's hasher is seeded by the operating system, which is random enough to spread callers.
#[inline(never)]
pub(crate) fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
