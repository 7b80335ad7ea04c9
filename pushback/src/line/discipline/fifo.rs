//! Whoever came first is next.

use super::{Discipline, Next};

#[derive(Debug)]
pub(super) struct Fifo;

impl Discipline for Fifo {
    fn next(&self) -> Next {
        Next::Oldest
    }
}
