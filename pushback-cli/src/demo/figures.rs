//! What callers who come all the time got between two changes, in figures that can be laid beside those of other times.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Figures are those of so long, which is soon enough to see a change come and go.
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

impl End {
    /// For those who wait, too.
    pub(super) fn letter(end: Option<End>) -> char {
        match end {
            None => 'w',
            Some(End::Answered) => 'a',
            Some(End::Refused) => 'r',
            Some(End::GaveUp) => 'g',
            Some(End::Failed) => 'f',
        }
    }
}

/// What callers got, a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(super) struct Figures {
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
    began: Instant,
    /// When there was another change.
    ended: Option<Instant>,
    /// When and how the last calls ended, and after how long.
    ends: VecDeque<(Instant, End, Duration)>,
}

impl Episode {
    pub(super) fn new(number: u64, now: Instant) -> Self {
        Episode { number, began: now, ended: None, ends: VecDeque::new() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// No other calls begin in it.
    pub(super) fn end(&mut self, now: Instant) {
        self.ended.get_or_insert(now);
    }

    pub(super) fn add(&mut self, now: Instant, end: End, took: Duration) {
        // What becomes of the calls once no others come is not what it was like.
        if self.ended.is_some() {
            return;
        }
        while self.ends.front().is_some_and(|(at, ..)| *at + WINDOW < now) {
            self.ends.pop_front();
        }
        self.ends.push_back((now, end, took));
    }

    /// What there is to say, if there is anything yet.
    pub(super) fn figures(&self, now: Instant) -> Option<Figures> {
        let now = self.ended.unwrap_or(now);
        let passed = now.saturating_duration_since(self.began).min(WINDOW);
        if passed < WINDOW_MIN {
            return None;
        }
        let of = |wanted: End| {
            let ends = self.ends.iter().filter(move |(at, end, _)| *end == wanted && *at + passed > now);
            ends.map(|(.., took)| *took)
        };
        let rate = |end: End| of(end).count() as f64 / passed.as_secs_f64();
        Some(Figures {
            answered: rate(End::Answered),
            refused: rate(End::Refused),
            gave_up: rate(End::GaveUp),
            failed: rate(End::Failed),
            p50_seconds: half(of(End::Answered)),
        })
    }
}

/// So many seconds, which half of these times do not exceed.
pub(super) fn half(times: impl Iterator<Item = Duration>) -> Option<f64> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) / 2).map(Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use pushback::{Clock, ManualClock};

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn only_the_last_seconds_count_and_none_behind_the_end() {
        let start = ManualClock::new().now();
        let mut stream = Episode::new(1, start);
        // Twenty a second are answered for ten seconds, and then nobody.
        for tick in 1..=200 {
            stream.add(start + millis(50 * tick), End::Answered, millis(500));
        }
        assert_eq!(stream.figures(start + millis(999)), None);
        let now = start + millis(10_000);
        let figures = stream.figures(now).unwrap();
        assert_eq!((figures.answered, figures.p50_seconds), (20.0, Some(0.5)));
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
