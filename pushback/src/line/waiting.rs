//! The calls in line, by rank and age.

use std::{collections::BTreeMap, task::Waker, time::Instant};

use super::call::{Call, Ticket};
use crate::arrival::RANKS;

/// A call in line.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(super) call: Call,
    pub(super) waker: Waker,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By number, which is by age.
    ranks: [BTreeMap<u64, Waiter>; RANKS as usize],
    len: usize,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn insert(&mut self, ticket: Ticket, waiter: Waiter) {
        let before = self.ranks[usize::from(ticket.rank)].insert(ticket.number, waiter);
        debug_assert!(before.is_none(), "a ticket is given out once");
        self.len += 1;
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Waiter> {
        let waiter = self.ranks[usize::from(ticket.rank)].remove(&ticket.number)?;
        self.len -= 1;
        Some(waiter)
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Waiter> {
        self.ranks[usize::from(ticket.rank)].get(&ticket.number)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Waiter> {
        self.ranks[usize::from(ticket.rank)].get_mut(&ticket.number)
    }

    /// The most important rank of which somebody waits.
    pub(super) fn first_rank(&self) -> Option<u8> {
        (0..RANKS).find(|rank| !self.ranks[usize::from(*rank)].is_empty())
    }

    /// The least important one.
    pub(super) fn last_rank(&self) -> Option<u8> {
        (0..RANKS).rev().find(|rank| !self.ranks[usize::from(*rank)].is_empty())
    }

    pub(super) fn oldest_of(&self, rank: u8) -> Option<(Ticket, Call)> {
        let (number, waiter) = self.ranks[usize::from(rank)].first_key_value()?;
        Some((Ticket { rank, number: *number }, waiter.call))
    }

    pub(super) fn newest_of(&self, rank: u8) -> Option<(Ticket, Call)> {
        let (number, waiter) = self.ranks[usize::from(rank)].last_key_value()?;
        Some((Ticket { rank, number: *number }, waiter.call))
    }

    /// Who has waited for longest, of all ranks, and since when.
    pub(super) fn oldest(&self) -> Option<(Ticket, Instant)> {
        let oldest = (0..RANKS).filter_map(|rank| self.oldest_of(rank));
        oldest.map(|(ticket, call)| (ticket, call.since)).min_by_key(|(_, since)| *since)
    }

    /// All of a rank, the oldest first.
    pub(super) fn of_rank(&self, rank: u8) -> impl Iterator<Item = (Ticket, Call)> + '_ {
        let of_rank = self.ranks[usize::from(rank)].iter();
        of_rank.map(move |(number, waiter)| (Ticket { rank, number: *number }, waiter.call))
    }
}
