//! How long a task may go on without a break.
//!
//! A task that is admitted each time it asks never waits, and would keep its thread from all other tasks: executors of this kind switch only
//! when a future waits. So after so many answers at once, one future has its task come back. tokio does the same for its own, task by
//! task; this needs no runtime.

use std::cell::Cell;

/// As many as tokio allows.
const ANSWERS: u32 = 128;

thread_local! {
    /// How many futures had their answer at once on this thread since one waited.
    static AT_ONCE: Cell<u32> = const { Cell::new(0) };
}

/// Whether it is time for another task; then the next one may go on.
pub(super) fn is_over() -> bool {
    AT_ONCE.with(|at_once| {
        let is_over = at_once.get() >= ANSWERS;
        if is_over {
            at_once.set(0);
        }
        is_over
    })
}

/// A future had its answer, or it waits.
pub(super) fn goes_on(is_answered: bool) {
    AT_ONCE.with(|at_once| at_once.set(if is_answered { at_once.get().saturating_add(1) } else { 0 }));
}
