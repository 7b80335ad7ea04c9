//! What callers got between two changes, in figures that can be laid beside those of other times.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Figures of callers who come all the time are those of so long, which is soon enough to see a change come and go.
const WINDOW: Duration = Duration::from_secs(3);
/// Of less time, figures a second would be chance.
const WINDOW_MIN: Duration = Duration::from_secs(1);

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// In time, or its caller would have given up.
    Answered,
    Refused,
    GaveUp,
    Failed,
}

/// What callers got.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(super) struct Figures {
    /// Whether the counts are a second, for callers who come all the time, or of all who were sent.
    pub(super) per_second: bool,
    pub(super) answered: f64,
    pub(super) refused: f64,
    pub(super) gave_up: f64,
    pub(super) failed: f64,
    /// Half of those who were answered waited no longer.
    pub(super) p50_seconds: Option<f64>,
}

/// The calls that began between two changes.
#[derive(Debug)]
pub(super) struct Episode {
    number: u64,
    /// Whether calls come all the time, or were sent at once.
    is_stream: bool,
    began: Instant,
    /// When the next began.
    ended: Option<Instant>,
    /// When and how calls ended, and after how long: of a stream the last ones, else all of them.
    ends: VecDeque<(Instant, End, Duration)>,
}

impl Episode {
    pub(super) fn new(number: u64, is_stream: bool, now: Instant) -> Self {
        Episode { number, is_stream, began: now, ended: None, ends: VecDeque::new() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Calls that began in it may still come to their end, but no others begin.
    pub(super) fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    pub(super) fn add(&mut self, now: Instant, end: End, took: Duration) {
        if self.is_stream {
            // What becomes of a stream's calls once no others come is not what it was like.
            if self.ended.is_some() {
                return;
            }
            while self.ends.front().is_some_and(|(at, ..)| *at + WINDOW < now) {
                self.ends.pop_front();
            }
        }
        self.ends.push_back((now, end, took));
    }

    /// What there is to say, if there is anything yet.
    pub(super) fn figures(&self, now: Instant) -> Option<Figures> {
        let now = self.ended.unwrap_or(now);
        let passed = now.saturating_duration_since(self.began).min(WINDOW);
        let is_enough = if self.is_stream { passed >= WINDOW_MIN } else { !self.ends.is_empty() };
        if !is_enough {
            return None;
        }
        let counts = |at: &Instant| !self.is_stream || *at + passed > now;
        let of = |wanted: End| {
            let ends = self.ends.iter().filter(move |(at, end, _)| *end == wanted && counts(at));
            ends.map(|(.., took)| *took)
        };
        let count = |end: End| {
            let count = of(end).count() as f64;
            if self.is_stream { count / passed.as_secs_f64() } else { count }
        };
        let mut answered: Vec<Duration> = of(End::Answered).collect();
        answered.sort_unstable();
        let half = answered.get(answered.len().saturating_sub(1) / 2);
        Some(Figures {
            per_second: self.is_stream,
            answered: count(End::Answered),
            refused: count(End::Refused),
            gave_up: count(End::GaveUp),
            failed: count(End::Failed),
            p50_seconds: half.map(Duration::as_secs_f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use pushback::{Clock, ManualClock};

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn of_calls_that_were_sent_at_once_all_count_whenever_they_end() {
        let start = ManualClock::new().now();
        let mut press = Episode::new(1, false, start);
        assert_eq!(press.figures(start), None);
        for _ in 0..40 {
            press.add(start + millis(5), End::Refused, millis(5));
        }
        press.end(start + millis(100));
        for late in 0..10 {
            press.add(start + millis(500 + late), End::Answered, millis(500 + late));
        }
        let expected =
            Figures { answered: 10.0, refused: 40.0, p50_seconds: Some(0.504), ..Figures::default() };
        assert_eq!(press.figures(start + millis(60_000)), Some(expected));
    }

    #[test]
    fn of_a_stream_only_the_last_seconds_count_and_none_behind_its_end() {
        let start = ManualClock::new().now();
        let mut stream = Episode::new(1, true, start);
        // Twenty a second are answered for ten seconds, and then nobody.
        for tick in 1..=200 {
            stream.add(start + millis(50 * tick), End::Answered, millis(500));
        }
        assert_eq!(stream.figures(start + millis(999)), None);
        let now = start + millis(10_000);
        let figures = stream.figures(now).unwrap();
        assert_eq!((figures.per_second, figures.answered, figures.p50_seconds), (true, 20.0, Some(0.5)));
        for tick in 1..=120 {
            stream.add(now + millis(25 * tick), End::GaveUp, millis(1_250));
        }
        let now = now + WINDOW;
        let figures = stream.figures(now).unwrap();
        assert_eq!((figures.answered, figures.gave_up, figures.p50_seconds), (0.0, 40.0, None));
        assert!(stream.ends.len() <= 200, "what is not shown any more is forgotten");
        stream.end(now);
        stream.add(now + millis(10), End::Answered, millis(500));
        assert_eq!(stream.figures(now + millis(60_000)), Some(figures), "it stays as it was at its end");
    }
}
