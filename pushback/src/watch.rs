//! What is noted of a gauge's requests while somebody watches it: how long they take, how important they are, and the last that were
//! refused. While nobody watches, a request pays one load for it.

use std::{
    collections::VecDeque,
    mem,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    arrival::Priority,
    rejected::Reason,
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// So many refusals are remembered.
const REFUSALS: usize = 20;
/// So much of a request's path; the rest is of no use on a page.
const PATH_MAX: usize = 100;
/// Times are counted in windows of this length, and what is told is of the last whole one and the one that is not yet over.
const WINDOW: Duration = Duration::from_secs(5);
/// How often percentiles are looked for; it is the most expensive part.
const LOOKS: Duration = Duration::from_secs(1);
/// Longer times count as this.
const TIME_MAX: Duration = Duration::from_secs(3600);

/// The notes of one gauge. What is counted begins with the first watcher.
pub(crate) struct Watch {
    is_on: AtomicU32,
    notes: OnceLock<Box<Notes>>,
}

struct Notes {
    by_priority: [Counts; Priority::COUNT as usize],
    times: Mutex<Times>,
    refusals: Mutex<VecDeque<LastRefusal>>,
}

#[derive(Default)]
struct Counts {
    admitted: AtomicU64,
    refused: AtomicU64,
}

/// One request that was refused.
#[derive(Debug, Clone)]
pub(crate) struct LastRefusal {
    pub(crate) at: Instant,
    pub(crate) reason: Reason,
    pub(crate) priority: Priority,
    /// Its method and path: `GET /checkout`.
    pub(crate) request: String,
}

/// How long requests took lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Watch { is_on: AtomicU32::new(0), notes: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn begin(&self) {
        self.notes.get_or_init(|| {
            Box::new(Notes {
                by_priority: Default::default(),
                times: Mutex::new(Times::new()),
                refusals: Mutex::new(VecDeque::with_capacity(REFUSALS)),
            })
        });
        self.is_on.store(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.is_on.store(0, Ordering::Relaxed);
    }

    fn notes(&self) -> Option<&Notes> {
        self.notes.get().filter(|_| self.is_on()).map(Box::as_ref)
    }

    #[inline]
    pub(crate) fn admitted(&self, priority: Priority) {
        if let Some(notes) = self.notes() {
            notes.by_priority[priority as usize].admitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `now` and `request` are asked for only if somebody watches.
    #[inline]
    pub(crate) fn refused(
        &self,
        reason: Reason,
        priority: Priority,
        now: impl FnOnce() -> Instant,
        method: &str,
        path: &str,
    ) {
        if let Some(notes) = self.notes() {
            notes.refused(reason, priority, now(), method, path);
        }
    }

    pub(crate) fn took(&self, now: Instant, time: Duration) {
        if let Some(notes) = self.notes() {
            locked(&notes.times).record(now, time);
        }
    }

    /// Admitted and refused since somebody first watched.
    pub(crate) fn by_priority(&self) -> impl Iterator<Item = (Priority, u64, u64)> + '_ {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = self.notes.get().into_iter().flat_map(|notes| &notes.by_priority);
        let all = Priority::ALL.iter().copied().zip(counts);
        all.map(move |(priority, counts)| (priority, read(&counts.admitted), read(&counts.refused)))
    }

    pub(crate) fn quantiles(&self, now: Instant) -> Option<Quantiles> {
        locked(&self.notes.get()?.times).quantiles(now)
    }

    /// The last that were refused, the newest last.
    pub(crate) fn refusals(&self) -> Vec<LastRefusal> {
        self.notes.get().map_or_else(Vec::new, |notes| locked(&notes.refusals).iter().cloned().collect())
    }
}

impl Notes {
    #[inline(never)]
    fn refused(&self, reason: Reason, priority: Priority, at: Instant, method: &str, path: &str) {
        self.by_priority[priority as usize].refused.fetch_add(1, Ordering::Relaxed);
        // Where refusals come so fast that they stand in each other's way, one of them is as good as another.
        let Ok(mut refusals) = self.refusals.try_lock() else { return };
        if refusals.len() >= REFUSALS {
            refusals.pop_front();
        }
        let end = path.char_indices().nth(PATH_MAX);
        let (path, more) = end.map_or((path, ""), |(end, _)| (&path[..end], "…"));
        refusals.push_back(LastRefusal { at, reason, priority, request: format!("{method} {path}{more}") });
    }
}

/// Times in microseconds, of two windows.
struct Times {
    began: Option<Instant>,
    current: Histogram<u32>,
    last: Histogram<u32>,
    found: Option<(Instant, Option<Quantiles>)>,
}

impl Times {
    fn new() -> Self {
        let most = u64::try_from(TIME_MAX.as_micros()).unwrap_or(u64::MAX);
        let empty = Histogram::new_with_bounds(1, most, 2).expect("its bounds are right");
        Times { began: None, current: empty.clone(), last: empty, found: None }
    }

    fn record(&mut self, now: Instant, time: Duration) {
        self.turn(now);
        // One that never ends would not come here, so saturating loses nothing that is true.
        self.current.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Begins a window when its time has come.
    fn turn(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.began.get_or_insert(now));
        if age < WINDOW {
            return;
        }
        mem::swap(&mut self.current, &mut self.last);
        self.current.reset();
        if age >= 2 * WINDOW {
            self.last.reset();
        }
        self.began = Some(now);
    }

    fn quantiles(&mut self, now: Instant) -> Option<Quantiles> {
        if let Some((_, found)) = self.found.filter(|(at, _)| now.saturating_duration_since(*at) < LOOKS) {
            return found;
        }
        self.turn(now);
        let mut both = self.last.clone();
        // Both have the same bounds, so this cannot fail.
        let _ = both.add(&self.current);
        let at = |quantile| Duration::from_micros(both.value_at_quantile(quantile));
        let found = (!both.is_empty()).then(|| Quantiles {
            count: both.len(),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
        });
        self.found = Some((now, found));
        found
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn nothing_is_noted_while_nobody_watches() {
        let (watch, now) = (Watch::new(), ManualClock::new().now());
        let note = |watch: &Watch| {
            watch.admitted(Priority::Normal);
            watch.refused(Reason::Full, Priority::Low, || now, "GET", "/");
            watch.took(now, Duration::from_millis(20));
        };
        note(&watch);
        assert_eq!((watch.by_priority().count(), watch.refusals().len()), (0, 0));
        watch.begin();
        note(&watch);
        watch.end();
        note(&watch);
        let counts: Vec<_> =
            watch.by_priority().filter(|(_, admitted, refused)| admitted + refused > 0).collect();
        assert_eq!(counts, [(Priority::Normal, 1, 0), (Priority::Low, 0, 1)]);
        assert_eq!(watch.quantiles(now).map(|quantiles| quantiles.count), Some(1));
        assert_eq!(watch.refusals()[0].request, "GET /");
    }

    #[test]
    fn the_last_refusals_are_kept_and_long_paths_are_cut() {
        let (watch, now) = (Watch::new(), ManualClock::new().now());
        watch.begin();
        for number in 0..100 {
            watch.refused(
                Reason::Full,
                Priority::Normal,
                || now,
                "GET",
                &format!("/{number}/{}", "ü".repeat(1_000)),
            );
        }
        let refusals = watch.refusals();
        assert_eq!(refusals.len(), REFUSALS);
        assert!(refusals[0].request.starts_with("GET /80/ü") && refusals[0].request.ends_with("ü…"));
        assert_eq!(refusals[0].request.chars().count(), "GET ".len() + PATH_MAX + 1);
    }

    #[test]
    fn times_are_those_of_the_last_ten_seconds() {
        let clock = ManualClock::new();
        let mut times = Times::new();
        let second = |millis: u64, times: &mut Times| {
            times.record(clock.now(), Duration::from_millis(millis));
            let found = times.quantiles(clock.now());
            clock.advance(Duration::from_secs(1));
            found
        };
        for _ in 0..5 {
            second(100, &mut times);
        }
        let both = second(1_000, &mut times).unwrap();
        assert_eq!(both.count, 6);
        assert!(both.p50 >= Duration::from_millis(100) && both.p50 <= Duration::from_millis(101), "{both:?}");
        assert!(both.p99 >= Duration::from_secs(1), "{both:?}");
        for _ in 0..10 {
            second(1, &mut times);
        }
        assert!(second(1, &mut times).unwrap().p99 < Duration::from_millis(2), "the old ones are gone");
        clock.advance(Duration::from_secs(60));
        assert_eq!(times.quantiles(clock.now()), None, "silence has no times");
    }
}
