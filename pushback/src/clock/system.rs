//! The machine's clock, with one thread for all gauges of the process.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Instant,
};

use super::{Alarm, Clock};

/// The machine's monotonic clock, the default of every gauge.
///
/// Alarms are rung by one thread, `pushback-clock`, which starts when the first call with a bound waits in line.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The one that gauges share, so that a gauge does not allocate its clock.
    pub(crate) fn shared() -> Arc<dyn Clock> {
        static SHARED: OnceLock<Arc<SystemClock>> = OnceLock::new();
        Arc::clone(SHARED.get_or_init(|| Arc::new(SystemClock))) as Arc<dyn Clock>
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn ring_at(&self, when: Instant, alarm: Alarm) {
        RINGER.add(when, alarm);
    }
}

static RINGER: Ringer = Ringer {
    agenda: Mutex::new(Agenda { entries: BinaryHeap::new(), added: 0, running: false }),
    earlier: Condvar::new(),
};

struct Ringer {
    agenda: Mutex<Agenda>,
    /// Says that there is an earlier entry than the thread knows of.
    earlier: Condvar,
}

struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    added: u64,
    running: bool,
}

impl Ringer {
    fn add(&'static self, when: Instant, alarm: Alarm) {
        let mut agenda = self.lock();
        let number = agenda.added;
        agenda.added += 1;
        agenda.entries.push(Reverse(Entry { when, number, alarm }));
        let is_first = agenda.entries.peek().is_some_and(|Reverse(first)| first.number == number);
        if !agenda.running {
            // Without the thread, calls in line still end: at the next change of the line instead of on time. The
            // next alarm tries again.
            let started = thread::Builder::new().name("pushback-clock".into()).spawn(|| self.run());
            agenda.running = started.is_ok();
        } else if is_first {
            self.earlier.notify_one();
        }
    }

    fn run(&self) {
        let mut agenda = self.lock();
        loop {
            let now = SystemClock.now();
            let wait = agenda.entries.peek().map(|Reverse(first)| first.when.saturating_duration_since(now));
            agenda = match wait {
                Some(wait) if wait.is_zero() => {
                    let due = agenda.entries.pop();
                    drop(agenda);
                    // A panic in a waker that an alarm reaches must not silence all other gauges.
                    let _ = catch_unwind(AssertUnwindSafe(|| due.map(|Reverse(entry)| entry.alarm.ring())));
                    self.lock()
                }
                Some(wait) => {
                    self.earlier.wait_timeout(agenda, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.earlier.wait(agenda).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An alarm with its time; entries of one time ring in the order they came.
struct Entry {
    when: Instant,
    number: u64,
    alarm: Alarm,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.when, self.number).cmp(&(other.when, other.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
