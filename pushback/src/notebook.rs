//! What is noted of a gauge's requests while somebody watches it: how long they take, how important they are, and the last that were
//! refused. While nobody watches, a request pays one load for it.

use std::{
    collections::VecDeque,
    mem,
    sync::OnceLock,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    arrival::Priority,
    rejected::Reason,
    sync::{AtomicU32, AtomicU64, Mutex, Ordering, locked},
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

/// The notes of one gauge, of the time since somebody watches.
pub(crate) struct Notebook {
    watchers: AtomicU32,
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

/// A request that is refused, as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) reason: Reason,
    pub(crate) priority: Priority,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
}

/// A request that was refused, and how many others just like it.
#[derive(Debug, Clone)]
pub(crate) struct LastRefusal {
    /// When the last of them was.
    pub(crate) at: Instant,
    pub(crate) count: u64,
    pub(crate) reason: Reason,
    pub(crate) priority: Priority,
    method: Box<str>,
    path: Box<str>,
}

/// How long requests took lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quantiles {
    pub(crate) count: u64,
    pub(crate) p50: Duration,
    pub(crate) p95: Duration,
    pub(crate) p99: Duration,
}

impl Notebook {
    pub(crate) fn new() -> Self {
        Notebook { watchers: AtomicU32::new(0), notes: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) != 0
    }

    /// Somebody watches, until [`end`](Self::end). The first who does begins with empty notes.
    pub(crate) fn begin(&self) {
        let notes = self.notes.get_or_init(|| Box::new(Notes::new()));
        if self.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            notes.clear();
        }
    }

    pub(crate) fn end(&self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }

    #[inline]
    fn notes(&self) -> Option<&Notes> {
        if self.is_on() { self.notes.get().map(Box::as_ref) } else { None }
    }

    #[inline]
    pub(crate) fn admitted(&self, priority: Priority) {
        if let Some(notes) = self.notes() {
            notes.by_priority[priority as usize].admitted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `now` is asked for only if somebody watches.
    #[inline]
    pub(crate) fn refused(&self, refused: Refused<'_>, now: impl FnOnce() -> Instant) {
        if let Some(notes) = self.notes() {
            notes.refused(refused, now);
        }
    }

    pub(crate) fn took(&self, now: Instant, time: Duration) {
        // No request waits for another, or for whoever watches; one of many that is not noted changes no percentile.
        if let Some(mut times) = self.notes().and_then(|notes| notes.times.try_lock().ok()) {
            times.record(now, time);
        }
    }

    /// Admitted and refused, since somebody watches.
    pub(crate) fn by_priority(&self) -> impl Iterator<Item = (Priority, u64, u64)> + '_ {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = self.notes.get().into_iter().flat_map(|notes| &notes.by_priority);
        let all = Priority::ALL.iter().copied().zip(counts);
        all.map(move |(priority, counts)| (priority, read(&counts.admitted), read(&counts.refused)))
    }

    pub(crate) fn quantiles(&self, now: Instant) -> Option<Quantiles> {
        let notes = self.notes.get()?;
        // What is counted is taken along and looked at without the lock.
        let both = match locked(&notes.times).look(now) {
            Look::Known(found) => return found,
            Look::Counted(both) => both,
        };
        let found = Quantiles::of(&both);
        locked(&notes.times).found = Some((now, found));
        Some(found)
    }

    /// The last that were refused, the newest last.
    pub(crate) fn refusals(&self) -> Vec<LastRefusal> {
        self.notes.get().map_or_else(Vec::new, |notes| locked(&notes.refusals).iter().cloned().collect())
    }
}

impl Notes {
    fn new() -> Self {
        Notes {
            by_priority: Default::default(),
            times: Mutex::new(Times::new()),
            refusals: Mutex::new(VecDeque::with_capacity(REFUSALS)),
        }
    }

    fn clear(&self) {
        for counts in &self.by_priority {
            counts.admitted.store(0, Ordering::Relaxed);
            counts.refused.store(0, Ordering::Relaxed);
        }
        *locked(&self.times) = Times::new();
        locked(&self.refusals).clear();
    }

    #[inline(never)]
    fn refused(&self, refused: Refused<'_>, now: impl FnOnce() -> Instant) {
        let Refused { reason, priority, method, path } = refused;
        self.by_priority[priority as usize].refused.fetch_add(1, Ordering::Relaxed);
        // Refusals wait for each other here, for as long as a count takes, or the page would show fewer than there were. Only while
        // somebody watches.
        let mut refusals = locked(&self.refusals);
        let path = path.char_indices().nth(PATH_MAX).map_or(path, |(end, _)| &path[..end]);
        let same = refusals.iter().rposition(|other| {
            (other.reason, other.priority, &*other.method, &*other.path) == (reason, priority, method, path)
        });
        // A flood of one path then neither drives out what else was refused, nor allocates.
        let refusal = match same.and_then(|index| refusals.remove(index)) {
            Some(same) => LastRefusal { at: now(), count: same.count + 1, ..same },
            None => LastRefusal {
                at: now(),
                count: 1,
                reason,
                priority,
                method: method.into(),
                path: path.into(),
            },
        };
        if refusals.len() >= REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back(refusal);
    }
}

impl LastRefusal {
    /// Its method and path: `GET /checkout`. A path is what a stranger likes, so what would turn the text around it is taken out.
    pub(crate) fn request(&self) -> String {
        let is_harmless = |letter: char| !letter.is_control() && !TURNS_TEXT.contains(&letter);
        let path = self
            .path
            .chars()
            .map(|letter| if is_harmless(letter) { letter } else { char::REPLACEMENT_CHARACTER });
        let more = if self.path.chars().count() < PATH_MAX { "" } else { "…" };
        format!("{} {}{more}", self.method, path.collect::<String>())
    }
}

/// The controls of the bidirectional algorithm (UAX 9).
const TURNS_TEXT: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

impl Quantiles {
    fn of(times: &Histogram<u32>) -> Self {
        let at = |quantile| Duration::from_micros(times.value_at_quantile(quantile));
        Quantiles { count: times.len(), p50: at(0.5), p95: at(0.95), p99: at(0.99) }
    }
}

/// Times in microseconds, of two windows.
struct Times {
    began: Option<Instant>,
    current: Histogram<u32>,
    last: Histogram<u32>,
    found: Option<(Instant, Quantiles)>,
}

/// What there is to know of times.
enum Look {
    /// Nothing, or what was found so lately that it still holds.
    Known(Option<Quantiles>),
    Counted(Histogram<u32>),
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

    fn look(&mut self, now: Instant) -> Look {
        self.turn(now);
        if self.last.is_empty() && self.current.is_empty() {
            return Look::Known(None);
        }
        match self.found {
            Some((at, found)) if now.saturating_duration_since(at) < LOOKS => Look::Known(Some(found)),
            _ => {
                let mut both = self.last.clone();
                // They have the same bounds, so this cannot fail.
                let _ = both.add(&self.current);
                Look::Counted(both)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn refused(priority: Priority, path: &str) -> Refused<'_> {
        Refused { reason: Reason::Full, priority, method: "GET", path }
    }

    #[test]
    fn nothing_is_noted_while_nobody_watches() {
        let (notebook, now) = (Notebook::new(), ManualClock::new().now());
        let note = |notebook: &Notebook| {
            notebook.admitted(Priority::Normal);
            notebook.refused(refused(Priority::Low, "/"), || now);
            notebook.took(now, Duration::from_millis(20));
        };
        let counts = |notebook: &Notebook| -> Vec<_> {
            notebook.by_priority().filter(|(_, admitted, refused)| admitted + refused > 0).collect()
        };
        note(&notebook);
        assert_eq!((notebook.by_priority().count(), notebook.refusals().len()), (0, 0));
        notebook.begin();
        note(&notebook);
        notebook.begin();
        notebook.end();
        note(&notebook);
        notebook.end();
        note(&notebook);
        assert_eq!(
            counts(&notebook),
            [(Priority::Normal, 2, 0), (Priority::Low, 0, 2)],
            "as long as one of two watches"
        );
        assert_eq!(notebook.quantiles(now).map(|quantiles| quantiles.count), Some(2));
        assert_eq!((notebook.refusals()[0].request(), notebook.refusals()[0].count), ("GET /".to_owned(), 2));
        notebook.begin();
        assert_eq!(
            (counts(&notebook), notebook.refusals().len()),
            (vec![], 0),
            "who comes later begins anew"
        );
    }

    #[test]
    fn the_last_refusals_are_kept_equal_ones_once_and_long_paths_are_cut() {
        let (notebook, now) = (Notebook::new(), ManualClock::new().now());
        notebook.begin();
        let refuse = |path: &str| notebook.refused(refused(Priority::Normal, path), || now);
        for number in 0..100 {
            refuse(&format!("/{number}/{}", "ü".repeat(1_000)));
        }
        for _ in 0..1_000 {
            refuse("/flood");
        }
        let refusals = notebook.refusals();
        assert_eq!(refusals.len(), REFUSALS);
        let first = refusals[0].request();
        assert!(first.starts_with("GET /81/ü") && first.ends_with("ü…"), "{first}");
        assert_eq!(first.chars().count(), "GET ".len() + PATH_MAX + 1);
        assert_eq!((refusals[19].request(), refusals[19].count), ("GET /flood".to_owned(), 1_000));
    }

    #[test]
    fn a_path_does_not_turn_the_text_around_it() {
        let (notebook, now) = (Notebook::new(), ManualClock::new().now());
        notebook.begin();
        notebook.refused(refused(Priority::Normal, "/\u{202e}x\u{7}"), || now);
        assert_eq!(notebook.refusals()[0].request(), "GET /\u{fffd}x\u{fffd}");
    }

    #[test]
    fn times_are_those_of_the_last_ten_seconds() {
        let clock = ManualClock::new();
        let notebook = Notebook::new();
        notebook.begin();
        let second = |millis: u64| {
            notebook.took(clock.now(), Duration::from_millis(millis));
            let found = notebook.quantiles(clock.now());
            clock.advance(Duration::from_secs(1));
            found.unwrap()
        };
        for _ in 0..5 {
            second(100);
        }
        let both = second(1_000);
        assert_eq!(both.count, 6);
        assert!(both.p50 >= Duration::from_millis(100) && both.p50 <= Duration::from_millis(101), "{both:?}");
        assert!(both.p99 >= Duration::from_secs(1), "{both:?}");
        for _ in 0..10 {
            second(1);
        }
        assert!(second(1).p99 < Duration::from_millis(2), "the old ones are gone");
        clock.advance(Duration::from_secs(60));
        assert_eq!(notebook.quantiles(clock.now()), None, "silence has no times");
    }
}
