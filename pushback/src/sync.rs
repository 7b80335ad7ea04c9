//! Atomics, locks and threads: the standard library's, or loom's while a model runs.

#[cfg(not(pushback_loom))]
pub(crate) use std::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::{Thread, current, park},
};

#[cfg(pushback_loom)]
pub(crate) use loom::{
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread::{Thread, current, park},
};
