//! The machine's clock, with one thread for all gauges of the process.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Instant,
};

use super::{Alarm, Clock};

/// The machine's monotonic clock, the default of every gauge.
///
/// One thread, `pushback-clock`, rings the alarms. It starts when the first call with a bound waits
/// in line.
///
/// A forked process starts its own. Places that its parent's threads held stay taken in it, so fork
/// before gauges are used.
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

static RINGER: Ringer = Ringer::new();

struct Ringer {
    agenda: Mutex<Agenda>,
    /// Says that there is an earlier alarm than the thread knows of.
    earlier: Condvar,
}

/// An alarm's place: by its time, and among those of one time by the order in which they came.
type Key = (Instant, u64);

struct Agenda {
    alarms: BTreeMap<Key, Alarm>,
    /// The one alarm of each sleeper, by its address, which stays its own as long as its alarm is kept.
    of: BTreeMap<usize, Key>,
    added: u64,
    /// When there are so many, those that would ring in vain are thrown away.
    many: usize,
    /// The process whose thread rings them: after a fork, the child has none.
    rung_by: Option<u32>,
}

/// So few alarms are no matter.
const FEW: usize = 64;

impl Ringer {
    const fn new() -> Self {
        Ringer {
            agenda: Mutex::new(Agenda {
                alarms: BTreeMap::new(),
                of: BTreeMap::new(),
                added: 0,
                many: FEW,
                rung_by: None,
            }),
            earlier: Condvar::new(),
        }
    }

    fn add(&'static self, when: Instant, alarm: Alarm) {
        let mut agenda = self.lock();
        let is_first = agenda.add(when, alarm);
        let process = std::process::id();
        if agenda.rung_by != Some(process) {
            // Without the thread, calls in line still end: at the next change of the line instead of on time. The
            // next alarm tries again.
            let started = thread::Builder::new().name("pushback-clock".into()).spawn(|| self.run());
            agenda.rung_by = started.is_ok().then_some(process);
        } else if is_first {
            self.earlier.notify_one();
        }
    }

    fn run(&self) {
        let mut agenda = self.lock();
        loop {
            let now = SystemClock.now();
            let wait = agenda.first().map(|when| when.saturating_duration_since(now));
            agenda = match wait {
                Some(wait) if wait.is_zero() => {
                    let due = agenda.take_first();
                    drop(agenda);
                    // A panic in a waker that an alarm reaches must not silence all other gauges.
                    let _ = catch_unwind(AssertUnwindSafe(|| due.map(|alarm| alarm.ring())));
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

impl Agenda {
    /// Keeps the earliest alarm of each sleeper, which sets its next one when it is rung up. Says whether it is the first of all.
    fn add(&mut self, when: Instant, alarm: Alarm) -> bool {
        let sleeper = alarm.sleeper_address();
        if let Some(key) = self.of.get(&sleeper) {
            if key.0 <= when {
                return false;
            }
            self.alarms.remove(key);
        }
        if self.alarms.len() >= self.many {
            self.throw_away_what_is_in_vain();
        }
        let key = (when, self.added);
        self.added += 1;
        self.of.insert(sleeper, key);
        self.alarms.insert(key, alarm);
        self.alarms.first_key_value().is_some_and(|(first, _)| *first == key)
    }

    fn throw_away_what_is_in_vain(&mut self) {
        let of = &mut self.of;
        self.alarms.retain(|_, alarm| {
            let is_kept = !alarm.is_in_vain();
            if !is_kept {
                of.remove(&alarm.sleeper_address());
            }
            is_kept
        });
        self.many = (2 * self.alarms.len()).max(FEW);
    }

    fn first(&self) -> Option<Instant> {
        self.alarms.first_key_value().map(|((when, _), _)| *when)
    }

    fn take_first(&mut self) -> Option<Alarm> {
        let (_, alarm) = self.alarms.pop_first()?;
        self.of.remove(&alarm.sleeper_address());
        Some(alarm)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use std::{
        sync::{Weak, mpsc},
        time::Duration,
    };

    use super::*;
    use crate::clock::Ring;

    struct Sleeper(mpsc::Sender<()>);

    impl Ring for Sleeper {
        fn ring(self: Arc<Self>, _when: Instant) {
            let _ = self.0.send(());
        }
    }

    fn sleeper() -> (Arc<dyn Ring>, mpsc::Receiver<()>) {
        let (rung, heard) = mpsc::channel();
        (Arc::new(Sleeper(rung)), heard)
    }

    fn alarm(sleeper: &Arc<dyn Ring>, when: Instant) -> Alarm {
        Alarm::new(Arc::downgrade(sleeper) as Weak<dyn Ring>, when)
    }

    #[test]
    fn a_sleeper_has_one_alarm_the_earliest() {
        let ringer = Ringer::new();
        let mut agenda = ringer.lock();
        let (sleeper, _heard) = sleeper();
        let now = SystemClock.now();
        let later = |seconds| now + Duration::from_secs(seconds);
        for (seconds, is_first) in [(60, true), (70, false), (50, true), (55, false)] {
            assert_eq!(agenda.add(later(seconds), alarm(&sleeper, later(seconds))), is_first, "{seconds}");
        }
        assert_eq!((agenda.alarms.len(), agenda.first()), (1, Some(later(50))));
    }

    #[test]
    fn alarms_go_with_their_sleepers() {
        let ringer = Ringer::new();
        let mut agenda = ringer.lock();
        let when = SystemClock.now() + Duration::from_secs(60);
        let (lasting, _heard) = sleeper();
        agenda.add(when, alarm(&lasting, when));
        for _ in 0..20_000 {
            let (sleeper, _heard) = sleeper();
            agenda.add(when, alarm(&sleeper, when));
        }
        assert!(agenda.alarms.len() <= FEW, "{}", agenda.alarms.len());
        assert_eq!(agenda.alarms.len(), agenda.of.len());
        assert!(agenda.take_first().is_some_and(|alarm| !alarm.is_in_vain()));
    }

    /// As after a fork: it has a thread, but not in this process.
    #[test]
    fn a_process_whose_thread_is_missing_starts_one() {
        static RINGER: Ringer = Ringer::new();
        RINGER.lock().rung_by = Some(std::process::id().wrapping_add(1));
        let (sleeper, heard) = sleeper();
        let now = SystemClock.now();
        RINGER.add(now, alarm(&sleeper, now));
        heard.recv().unwrap();
    }
}
