//! A call at the gauge and in the service.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

use pushback::{Acquire, OwnedPermit};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

use super::Nanos;

/// A call at the gauge and in the service.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) sent: Nanos,
    pub(super) admitted: Nanos,
    pub(super) route: usize,
    pub(super) chance: SplitMix64,
    /// Which station it is in, and its number there.
    pub(super) place: Option<(usize, u64)>,
    pub(super) state: State,
    /// How often this entry was used: an old time-out must not meet a new call.
    pub(super) generation: u32,
    pub(super) waker: Waker,
}

pub(super) enum State {
    Free,
    InLine(Acquire<'static>),
    /// Holding a place.
    Running(OwnedPermit),
    /// Holding a place, though its caller is gone.
    Unnoticed(OwnedPermit),
    /// Work that nobody wants and that holds no place.
    Abandoned,
}

/// What a user wants: one call, or several if it must be repeated.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) born: Nanos,
    pub(super) phase: usize,
    pub(super) number: u64,
    pub(super) route: usize,
    pub(super) attempt: u32,
    pub(super) caller: Option<u32>,
}

impl Call {
    pub(super) fn new(request: Request, index: u32, woken: &Arc<Mutex<Vec<u32>>>) -> Self {
        Call {
            request,
            sent: 0,
            admitted: 0,
            route: 0,
            chance: SplitMix64::seed_from_u64(0),
            place: None,
            state: State::Free,
            generation: 0,
            waker: Waker::from(Arc::new(Bell { index, woken: Arc::clone(woken) })),
        }
    }

    pub(super) fn roll(&mut self) -> f64 {
        number(&mut self.chance)
    }
}

/// Notes who was woken.
struct Bell {
    index: u32,
    woken: Arc<Mutex<Vec<u32>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

/// A random number, 0 to below 1.
pub(super) fn number(random: &mut SplitMix64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Another seed for each of many uses of one.
pub(super) fn mixed(seed: u64, number: u64) -> u64 {
    SplitMix64::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next_u64()
}
