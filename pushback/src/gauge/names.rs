//! The names of gauges.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Names live as long as the process, so that a refusal can carry its gauge's name and still be copied.
pub(super) fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}
