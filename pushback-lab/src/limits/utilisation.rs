//! How busy the service is, for limits that look at it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How busy the service's workers or processors are, 0 to 1: what an operating system tells a real service. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Utilisation(Arc<AtomicU64>);

impl Utilisation {
    /// Says how busy they are now.
    pub fn set(&self, busy: f64) {
        self.0.store(busy.to_bits(), Ordering::Relaxed);
    }

    /// How busy they are now.
    pub fn now(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
