//! Peers that make no progress: readers of answers, senders of uploads, idle connections.
//!
//! There is one alarm for all that a patrol watches, and a request's way reads no clock. Each has an entry, and whoever
//! awaits its peer has some patience there. A sweep takes one from it; progress gives all of it back; whose patience is
//! used up has stalled. So a peer is given up on between the bound and the bound plus one period.

mod lasting;
mod watch;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use slab::Slab;

use self::lasting::Lasting;
pub(super) use self::watch::{Side, Watch};
use super::{answering::Answering, progress::Progress};
use crate::{
    clock::{Alarm, Ring},
    gauge::{AwaitingClient, Client, PressureGauge, ToTell},
    sync::{Mutex, MutexGuard, locked},
    telemetry,
};

/// How many threads can come and go without waiting for each other.
const SHARDS: usize = 8;
/// The time between two sweeps is a quarter of the bound, so that it is kept to that, within these limits.
const PERIODS_IN_BOUND: u32 = 4;
const PERIOD_MIN: Duration = Duration::from_millis(25);
const PERIOD_MAX: Duration = Duration::from_millis(500);
/// An empty shard with room for more gives it back.
const ROOM_KEPT: usize = 256;

pub(super) struct Patrol {
    /// Whose clock it is, and whose name.
    gauge: PressureGauge,
    shards: [Mutex<Slab<Entry>>; SHARDS],
    /// Whether a sweep is to come.
    is_armed: AtomicBool,
    /// When. A ring for any other time is in vain, and does no harm.
    due: Mutex<Option<Instant>>,
    bound: Duration,
    period: Duration,
    /// How many sweeps a peer may take for its next step.
    patience: u32,
    /// How many bytes a sender must send from sweep to sweep, if he must.
    bytes_in_sweep: Option<u64>,
    lasting: Lasting,
}

/// Who is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Of an answer's body.
    Reader,
    /// Of a request's body.
    Sender,
    /// Of a connection, or of what nobody wants any more.
    Idle,
}

struct Entry {
    peer: Peer,
    held: Forfeit,
    /// What the connection had taken at the last sweep.
    taken: u64,
    awaited: Awaited,
    /// How many sweeps a place has seen that others could have.
    age: u32,
    /// It has been answered for so long that its place is lent to its end.
    is_open: bool,
    /// Of who sends or reads, and of who writes: they may be two tasks.
    wakers: [Option<Waker>; 2],
}

/// What goes to others, or ends, when the peer has stalled.
#[derive(Default)]
pub(super) struct Forfeit {
    /// While the call that holds the place waits for the peer. Before the permit, so that it goes first.
    pub(super) awaiting: Option<AwaitingClient>,
    pub(super) permit: Option<Answering>,
    pub(super) body: Option<Arc<dyn Abort>>,
    /// Of the peer's connection, if what that takes counts as a step.
    pub(super) progress: Option<Progress>,
    /// Whether it is our turn after all, whatever the peer does.
    pub(super) is_busy: Option<IsBusy>,
}

/// Says whether something goes on for which a peer waits.
pub(super) type IsBusy = Arc<dyn Fn() -> bool + Send + Sync>;

/// Something that can be ended while nobody looks at it.
pub(super) trait Abort: Send + Sync {
    fn abort(&self);
}

/// Whose next step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Us,
    Peer { sweeps_left: u32 },
    Stalled,
}

impl Patrol {
    /// Whoever sends must send so many bytes a second; 0 for any.
    pub(super) fn new(gauge: &PressureGauge, stall: Duration, least_rate: u32) -> Arc<Self> {
        let period = (stall / PERIODS_IN_BOUND).clamp(PERIOD_MIN, PERIOD_MAX);
        Arc::new(Patrol {
            gauge: gauge.clone(),
            shards: std::array::from_fn(|_| Mutex::new(Slab::new())),
            is_armed: AtomicBool::new(false),
            due: Mutex::new(None),
            bound: stall,
            period,
            patience: sweeps(stall, period),
            bytes_in_sweep: (least_rate > 0).then(|| bytes_in(least_rate, period)),
            lasting: Lasting::default(),
        })
    }

    /// Counts a sender who was cut off before a sweep found him.
    pub(super) fn a_sender_stalled(&self) {
        telemetry::stalled(self.gauge.name(), 0, 1);
    }

    /// How many sweeps a peer may take for a step.
    pub(super) fn patience(&self) -> u32 {
        self.patience
    }

    pub(super) fn bytes_in_sweep(&self) -> Option<u64> {
        self.bytes_in_sweep
    }

    /// So many places wait for their client from now on, if that matters.
    fn await_client(&self, places: u32, client: Client) -> Option<AwaitingClient> {
        if places == 0 { None } else { self.gauge.await_client(places, client) }
    }

    /// By the gauge's clock.
    pub(super) fn now(&self) -> Instant {
        self.gauge.now()
    }

    /// How long a peer may take for a step.
    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    fn shard(&self, number: usize) -> MutexGuard<'_, Slab<Entry>> {
        locked(&self.shards[number])
    }

    /// Makes sure that a sweep is to come.
    fn arm(self: &Arc<Self>) {
        if self.is_armed.load(Ordering::SeqCst) || self.is_armed.swap(true, Ordering::SeqCst) {
            return;
        }
        let me = Arc::downgrade(self) as Weak<dyn Ring>; // an alarm must not keep the layer alive
        let when = self.gauge.now() + self.period;
        *locked(&self.due) = Some(when);
        if !self.gauge.ring_at(when, Alarm::new(me, when)) {
            // Whoever comes next tries again.
            self.is_armed.store(false, Ordering::SeqCst);
        }
    }
}

impl Entry {
    fn unless_stalled(&mut self) -> Result<&mut Self, Stalled> {
        if self.awaited == Awaited::Stalled { Err(Stalled) } else { Ok(self) }
    }

    /// How many places it holds that others could have.
    fn places(&self) -> u32 {
        self.held.permit.as_ref().map_or(0, |permit| permit.places_that_move())
    }

    /// Whether it is a place that others could have if it turns out that the answer which holds it goes on for as long as its client likes.
    /// It is a sweep older then.
    fn grows_older(&mut self) -> bool {
        let grows = self.places() > 0 && !self.is_open;
        self.age = self.age.saturating_add(u32::from(grows));
        grows
    }

    /// What is to be told of an answer that is read slowly, or is open for good from now on.
    fn is_its_clients_affair(&mut self, open_after: u32, patience: Duration, now: Instant) -> Option<ToTell> {
        let permit = self.held.permit.as_mut()?;
        self.is_open |= self.age >= open_after && permit.has_answered();
        (permit.is_timed() && (self.is_open || permit.is_read_slowly(patience, now)))
            .then(|| permit.take_open(now))?
    }

    /// Whether its connection has taken anything since the last sweep, or it is our turn.
    fn has_moved(&mut self) -> bool {
        let taken = self.held.progress.as_ref().map_or(0, Progress::bytes);
        // Other people's code, of which one that panics must not keep the others from their turn.
        let is_busy = |is_busy: &IsBusy| catch_unwind(AssertUnwindSafe(|| is_busy())).unwrap_or(false);
        std::mem::replace(&mut self.taken, taken) != taken || self.held.is_busy.as_ref().is_some_and(is_busy)
    }
}

/// How many sweeps last at least this long. One more than fit, for the first may come at once.
fn sweeps(time: Duration, period: Duration) -> u32 {
    let fit = time.as_nanos().div_ceil(period.as_nanos().max(1));
    u32::try_from(fit).unwrap_or(u32::MAX).saturating_add(1)
}

/// So many come in a period at such a rate; at least one.
fn bytes_in(rate: u32, period: Duration) -> u64 {
    u64::try_from(u128::from(rate) * period.as_millis() / 1_000).unwrap_or(u64::MAX).max(1)
}

impl fmt::Debug for Patrol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patrol").field("bound", &self.bound).finish_non_exhaustive()
    }
}

/// The peer has made no progress for longer than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stalled;

impl Ring for Patrol {
    fn ring(self: Arc<Self>, when: Instant) {
        {
            let mut due = locked(&self.due);
            if *due != Some(when) {
                return;
            }
            *due = None;
        }
        // Before the look around: whoever begins to await its peer from now on arms the next sweep itself.
        self.is_armed.store(false, Ordering::SeqCst);
        let (mut held, mut wakers) = (Vec::new(), Vec::new());
        let (mut readers, mut senders) = (0, 0);
        let mut is_peer_awaited = false;
        let (mut to_tell, mut opened) = (Vec::new(), Vec::new());
        let (now, open_after) = (self.gauge.now(), sweeps(self.lasting.open_after(), self.period));
        for number in 0..SHARDS {
            let mut entries = self.shard(number);
            for (key, entry) in entries.iter_mut() {
                let has_moved = entry.has_moved();
                if entry.grows_older() {
                    is_peer_awaited = true;
                    to_tell.extend(entry.is_its_clients_affair(open_after, self.period, now));
                    if entry.is_open {
                        opened.push((number, key));
                    }
                }
                match &mut entry.awaited {
                    Awaited::Peer { sweeps_left } if has_moved => {
                        *sweeps_left = self.patience;
                        is_peer_awaited = true;
                    }
                    Awaited::Peer { sweeps_left: 0 | 1 } => {
                        entry.awaited = Awaited::Stalled;
                        readers += u64::from(entry.peer == Peer::Reader);
                        senders += u64::from(entry.peer == Peer::Sender);
                        held.push(std::mem::take(&mut entry.held));
                        wakers.extend(entry.wakers.iter_mut().filter_map(Option::take));
                    }
                    Awaited::Peer { sweeps_left } => {
                        *sweeps_left -= 1;
                        is_peer_awaited = true;
                    }
                    Awaited::Us | Awaited::Stalled => (),
                }
            }
            if entries.is_empty() && entries.capacity() > ROOM_KEPT {
                *entries = Slab::new();
            }
        }
        if is_peer_awaited {
            self.arm();
        }
        telemetry::stalled(self.gauge.name(), readers, senders);
        self.end(held, wakers);
        to_tell.into_iter().for_each(ToTell::tell);
        opened.into_iter().for_each(|(shard, key)| self.lend(shard, key));
    }
}

impl Patrol {
    /// Others may have the place of this answer from now on.
    fn lend(&self, shard: usize, key: usize) {
        let lacks = |entry: &&mut Entry| entry.is_open && entry.held.awaiting.is_none();
        let Some(places) = self.shard(shard).get_mut(key).filter(lacks).map(|entry| entry.places()) else {
            return;
        };
        let mut awaiting = self.await_client(places, Client::Reads); // outside of the lock, for it may wake others
        if let Some(entry) = self.shard(shard).get_mut(key).filter(lacks) {
            entry.held.awaiting = awaiting.take();
        }
    }

    /// Ends what has stalled: the places first, for somebody waits for them. The rest is other people's code, of which one
    /// that panics must not keep the others from their turn.
    fn end(&self, held: Vec<Forfeit>, wakers: Vec<Waker>) {
        if held.is_empty() {
            return;
        }
        let mut bodies = Vec::new();
        for Forfeit { awaiting, permit, body, .. } in held {
            drop(awaiting);
            drop(permit);
            bodies.extend(body);
        }
        let mut panics = 0;
        for body in bodies {
            panics += u64::from(catch_unwind(AssertUnwindSafe(|| body.abort())).is_err());
        }
        for waker in wakers {
            panics += u64::from(catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err());
        }
        if panics > 0 {
            self.gauge.count_faults(panics);
        }
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use std::task::Context;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_bound_is_kept_for_at_least_as_long_as_it_says() {
        for (stall, period, patience) in [(10_000, 500, 21), (1_000, 250, 5), (2_001, 500, 6), (1, 25, 2)] {
            let (stall, period) = (Duration::from_millis(stall), Duration::from_millis(period));
            let patrol = Patrol::new(&PressureGauge::new(1), stall, 0);
            assert_eq!((patrol.period, patrol.patience), (period, patience), "{stall:?}");
            assert!(patrol.period * (patrol.patience - 1) >= stall);
        }
    }

    fn patrol(clock: &ManualClock) -> Arc<Patrol> {
        let gauge = PressureGauge::builder().limit(10).clock(clock.clone()).build().unwrap();
        Patrol::new(&gauge, Duration::from_secs(1), 0)
    }

    #[test]
    fn a_ring_in_vain_takes_nobodys_patience() {
        let clock = ManualClock::new();
        let patrol = patrol(&clock);
        let watch = Watch::reader(&patrol, Forfeit::default());
        let due = locked(&patrol.due).unwrap();
        for _ in 0..100 {
            Arc::clone(&patrol).ring(due + Duration::from_millis(1));
        }
        clock.advance(Duration::from_millis(999));
        assert_eq!(watch.awaits_us(), Ok(()));
    }

    #[test]
    fn no_alarm_is_set_while_nobody_is_awaited() {
        let clock = ManualClock::new();
        let patrol = patrol(&clock);
        let watch = Watch::reader(&patrol, Forfeit::default());
        assert!(locked(&patrol.due).is_some());
        assert_eq!(watch.awaits_us(), Ok(()));
        clock.advance(Duration::from_secs(10));
        assert!(locked(&patrol.due).is_none());
        assert_eq!(watch.awaits_peer(), Ok(()));
        assert!(locked(&patrol.due).is_some());
        clock.advance(Duration::from_secs(2));
        assert_eq!(watch.awaits_us(), Err(Stalled));
    }

    /// A waker that panics.
    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics");
        }
    }

    #[test]
    fn a_waker_that_panics_keeps_no_place_and_is_counted() {
        let clock = ManualClock::new();
        let patrol = patrol(&clock);
        let held = || Forfeit {
            permit: Some(Answering::short(
                patrol.gauge.try_acquire().unwrap().into_owned().into(),
                Duration::ZERO,
            )),
            ..Forfeit::default()
        };
        let watches = [Watch::reader(&patrol, held()), Watch::reader(&patrol, held())];
        for watch in &watches {
            let waker = Arc::new(Panics).into();
            assert_eq!(watch.wake_when_stalled(&Context::from_waker(&waker)), Ok(()));
        }
        clock.advance(Duration::from_secs(2));
        let snapshot = patrol.gauge.snapshot();
        assert_eq!((snapshot.in_flight, snapshot.faults), (0, 2));
    }
}
