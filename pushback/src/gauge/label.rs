//! How gauges of one name are told apart in metrics.
//!
//! Two that wrote into one set of figures would make it say nothing. So the second is numbered, `orders #2`. But one that is built when the
//! other has published for the last time takes its place, as after a change of settings: then the figures go on under their name.

use std::{
    any::Any,
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use super::names::interned;
use crate::telemetry;

/// Who publishes by a name, in the order of their numbers.
static PUBLISHERS: Mutex<BTreeMap<&'static str, Vec<Publisher>>> = Mutex::new(BTreeMap::new());

struct Publisher {
    gauge: Weak<dyn Any + Send + Sync>,
    last: Moment,
}

/// One after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Moment(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Under which name a gauge of this name publishes now, which was built then.
pub(super) fn label(name: &'static str, gauge: Weak<dyn Any + Send + Sync>, built: Moment) -> &'static str {
    let mut all = PUBLISHERS.lock().unwrap_or_else(PoisonError::into_inner);
    let publishers = all.entry(name).or_default();
    let has_gone = |other: &Publisher| other.gauge.strong_count() == 0 || other.last < built;
    let known = publishers.iter().position(|publisher| publisher.gauge.ptr_eq(&gauge));
    let number = known.or_else(|| publishers.iter().position(has_gone)).unwrap_or(publishers.len());
    let publisher = Publisher { gauge, last: Moment::next() };
    match publishers.get_mut(number) {
        Some(before) => *before = publisher,
        None => publishers.push(publisher),
    }
    drop(all);
    if number == 0 {
        return name;
    }
    let label = interned(&format!("{name} #{}", number + 1));
    if known.is_none() {
        telemetry::another_of_that_name(name, label);
    }
    label
}
