//! Calls that hold a place and wait for their client: for the next part of an upload, or until more of an answer is read.
//!
//! A limit that finds itself is about the service, and for these calls the service does nothing. So they are not among those in flight
//! that its controller sees, or slow clients would be taken for a service that can do more. And an answer that waits for its reader
//! lends its place to others meanwhile; it takes it back, at once and as a debt, when its reader is there again. An upload lends
//! nothing, for all of its work may be still to come.

use std::sync::Arc;

use super::{PressureGauge, awaiting::Awaiting, core::Core, modes::Mode};
use crate::{slots::Gate, sync::Ordering};

/// How many times the limit may be lent at most. If all readers came back at once, so many calls would run beside the limit.
const LENT_MAX: u64 = 10;
/// And so many always, or a limit that is low for a moment would refuse whoever comes because of a few slow readers.
const LENT_ALWAYS: u64 = 200;

/// Whom a call awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Reads,
    Sends,
}

/// A call waits for its client as long as this lives. It must go before the call's permit does.
pub(crate) struct AwaitingClient {
    core: Arc<Core>,
    cost: u32,
    is_lent: bool,
}

impl PressureGauge {
    /// A call of this cost waits for its client from now on; nothing, if the limit is fixed. It may wake others, so no lock must be
    /// held.
    pub(crate) fn await_client(&self, cost: u32, client: Client) -> Option<AwaitingClient> {
        let core = &self.core;
        let awaiting = &core.adaptive.as_ref()?.awaiting;
        let is_lent = client == Client::Reads && core.lend(awaiting, cost);
        if !is_lent {
            awaiting.kept.fetch_add(u64::from(cost), Ordering::Relaxed);
        }
        Some(AwaitingClient { core: Arc::clone(core), cost, is_lent })
    }
}

impl Core {
    fn lend(self: &Arc<Self>, awaiting: &Awaiting, cost: u32) -> bool {
        // First this, and then the question whether the gauge is closed: who waits for its drain looks in the other order, so that
        // one of the two sees the other.
        let lent = awaiting.lent.fetch_add(u64::from(cost), Ordering::SeqCst) + u64::from(cost);
        let most = LENT_ALWAYS.max(LENT_MAX * u64::from(self.slots.limit()));
        if lent > most || self.modes.is(Mode::CLOSED) {
            self.no_longer_lent(awaiting, cost);
            return false;
        }
        if self.slots.give_back(cost) == Gate::Shut {
            self.look_after_line();
        }
        true
    }

    fn no_longer_lent(self: &Arc<Self>, awaiting: &Awaiting, cost: u32) {
        awaiting.lent.fetch_sub(u64::from(cost), Ordering::SeqCst);
        // A drain may have seen it as lent, and not waited for the permit's own end.
        if self.modes.is(Mode::CLOSED) {
            self.look_after_line();
        }
    }
}

impl Drop for AwaitingClient {
    fn drop(&mut self) {
        let Some(adaptive) = &self.core.adaptive else { return };
        if self.is_lent {
            // In this order, so that a drain sees it here or there.
            self.core.slots.take_back(self.cost);
            self.core.no_longer_lent(&adaptive.awaiting, self.cost);
        } else {
            adaptive.awaiting.kept.fetch_sub(u64::from(self.cost), Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::limit::Auto;

    fn gauge(limit: u32) -> PressureGauge {
        PressureGauge::builder().limit(Auto::new().initial(limit)).build().unwrap()
    }

    fn seen(gauge: &PressureGauge) -> (u32, u32) {
        let snapshot = gauge.snapshot();
        assert_eq!(snapshot.faults, 0);
        (snapshot.in_flight, snapshot.awaiting_client)
    }

    #[test]
    fn a_place_that_waits_for_its_reader_is_lent_and_taken_back_as_a_debt() {
        let gauge = gauge(1);
        let reading = gauge.try_acquire().unwrap();
        let waits = gauge.await_client(1, Client::Reads).unwrap();
        assert_eq!(seen(&gauge), (0, 1));
        let other = gauge.try_acquire().unwrap();
        drop(waits);
        assert_eq!(seen(&gauge), (2, 0));
        drop(other);
        assert!(gauge.try_acquire().is_err(), "the first is in flight again");
        drop(reading);
        assert!(gauge.try_acquire().is_ok());
    }

    #[test]
    fn a_place_that_waits_for_its_sender_is_kept() {
        let gauge = gauge(1);
        let permit = gauge.try_acquire().unwrap();
        let waits = gauge.await_client(1, Client::Sends).unwrap();
        assert_eq!(seen(&gauge), (1, 1));
        assert!(gauge.try_acquire().is_err());
        drop((waits, permit));
        assert_eq!(seen(&gauge), (0, 0));
    }

    #[test]
    fn no_more_is_lent_than_ten_times_the_limit() {
        let gauge = gauge(2);
        gauge.set_limit(30);
        let take = || (gauge.try_acquire().unwrap().into_owned(), gauge.await_client(1, Client::Reads));
        let lent: Vec<_> = (0..300).map(|_| take()).collect();
        assert_eq!(seen(&gauge), (0, 300));
        let kept: Vec<_> = (0..30).map(|_| take()).collect();
        assert_eq!(seen(&gauge), (30, 330));
        assert!(gauge.try_acquire().is_err());
        for (permit, waits) in lent.into_iter().chain(kept) {
            drop(waits);
            drop(permit);
        }
        assert_eq!(seen(&gauge), (0, 0));
    }

    #[test]
    fn two_hundred_may_be_lent_however_low_the_limit_is() {
        let gauge = gauge(1);
        let take = || (gauge.try_acquire().unwrap().into_owned(), gauge.await_client(1, Client::Reads));
        let lent: Vec<_> = (0..200).map(|_| take()).collect();
        assert_eq!(seen(&gauge), (0, 200));
        let kept = take();
        assert_eq!(seen(&gauge), (1, 201));
        for (permit, waits) in lent.into_iter().chain([kept]) {
            drop(waits);
            drop(permit);
        }
    }

    #[test]
    fn a_drain_waits_for_what_is_lent() {
        let gauge = gauge(2);
        let permit = gauge.try_acquire().unwrap().into_owned();
        let waits = gauge.await_client(1, Client::Reads);
        let drained = std::thread::spawn({
            let gauge = gauge.clone();
            move || gauge.drain_blocking()
        });
        while !gauge.snapshot().closed {
            std::thread::yield_now();
        }
        assert!(!drained.is_finished());
        drop(waits);
        assert!(!drained.is_finished());
        drop(permit);
        drained.join().unwrap();
    }

    #[test]
    fn a_fixed_limit_counts_all_alike() {
        assert!(PressureGauge::new(1).await_client(1, Client::Reads).is_none());
    }
}
