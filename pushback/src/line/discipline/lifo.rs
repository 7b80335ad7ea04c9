//! Whoever came last is next.

use super::{Discipline, Next};

#[derive(Debug)]
pub(super) struct Lifo;

impl Discipline for Lifo {
    fn next(&self) -> Next {
        Next::Newest
    }
}
