//! What became of the calls: the last ones one by one, and figures of all, with backpressure and without it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::figures::{End, Episode, Figures};

/// So many of the last calls are shown one by one.
const SHOWN: usize = 120;
/// So many callers may be there at once; a machine has ports for more.
const CALLERS_MAX: usize = 2_000;

/// What became of the calls.
#[derive(Debug)]
pub(super) struct Board {
    /// The number of the first call that is shown.
    first: u64,
    /// The last calls, in the order in which they were made; nothing, as long as they wait.
    last: VecDeque<Option<End>>,
    waiting: usize,
    /// What calls begin in now.
    episode: u64,
    with: Row,
    without: Row,
    /// Which of both is now.
    has_backpressure: bool,
}

/// What callers got with backpressure, or without it.
#[derive(Debug, Default)]
struct Row {
    /// The last episode of this kind.
    episode: Option<Episode>,
    /// What there was to say of those before.
    before: Option<Figures>,
}

/// A call that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    number: u64,
    episode: u64,
}

impl Board {
    pub(super) fn new(now: Instant) -> Self {
        let mut board = Board {
            first: 0,
            last: VecDeque::new(),
            waiting: 0,
            episode: 0,
            with: Row::default(),
            without: Row::default(),
            has_backpressure: true,
        };
        board.begin_anew(now, true, false);
        board
    }

    pub(super) fn has_backpressure(&self) -> bool {
        self.has_backpressure
    }

    /// What is seen from now on is to be told from what was before: with backpressure or without it, and with callers who come all the time
    /// or are sent at once.
    pub(super) fn begin_anew(&mut self, now: Instant, has_backpressure: bool, is_stream: bool) {
        for row in [&mut self.with, &mut self.without] {
            row.episode.iter_mut().for_each(|episode| episode.end(now));
        }
        self.episode += 1;
        self.has_backpressure = has_backpressure;
        let row = if has_backpressure { &mut self.with } else { &mut self.without };
        row.before = row.figures(now);
        row.episode = Some(Episode::new(self.episode, is_stream, now));
    }

    /// Whether somebody waits for an answer.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// One more call, if there is room for it.
    pub(super) fn begin(&mut self) -> Option<Waiting> {
        if self.waiting >= CALLERS_MAX {
            return None;
        }
        self.waiting += 1;
        if self.last.len() >= SHOWN {
            self.last.pop_front();
            self.first += 1;
        }
        self.last.push_back(None);
        Some(Waiting { number: self.first + self.last.len() as u64 - 1, episode: self.episode })
    }

    pub(super) fn end(&mut self, now: Instant, waiting: Waiting, end: End, took: Duration) {
        self.waiting -= 1;
        let shown = waiting.number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(shown) = shown.and_then(|index| self.last.get_mut(index)) {
            *shown = Some(end);
        }
        let episodes = [&mut self.with, &mut self.without].into_iter().filter_map(|row| row.episode.as_mut());
        for episode in episodes.filter(|episode| episode.number() == waiting.episode) {
            episode.add(now, end, took);
        }
    }

    /// The last figures with backpressure, and those without it.
    pub(super) fn figures(&self, now: Instant) -> [Option<Figures>; 2] {
        [self.with.figures(now), self.without.figures(now)]
    }

    /// The last calls, a letter each.
    pub(super) fn letters(&self) -> String {
        let letter = |end: &Option<End>| match end {
            None => 'w',
            Some(End::Answered) => 'a',
            Some(End::Refused) => 'r',
            Some(End::GaveUp) => 'g',
            Some(End::Failed) => 'f',
        };
        self.last.iter().map(letter).collect()
    }
}

impl Row {
    fn figures(&self, now: Instant) -> Option<Figures> {
        self.episode.as_ref().and_then(|episode| episode.figures(now)).or(self.before)
    }
}

#[cfg(test)]
mod tests {
    use pushback::{Clock, ManualClock};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_call_is_shown_in_its_place_as_long_as_it_is_among_the_last() {
        let now = ManualClock::new().now();
        let mut board = Board::new(now);
        let first = board.begin().unwrap();
        let second = board.begin().unwrap();
        board.end(now, second, End::Refused, Duration::ZERO);
        assert_eq!(board.letters(), "wr");
        for _ in 0..SHOWN - 1 {
            board.begin().unwrap();
        }
        board.end(now, first, End::Answered, SECOND);
        assert_eq!(board.letters(), format!("r{}", "w".repeat(SHOWN - 1)), "the first is not shown any more");
        let [with, _] = board.figures(now);
        let with = with.unwrap();
        assert_eq!((with.answered, with.refused, board.waiting), (1.0, 1.0, SHOWN - 1));
    }

    #[test]
    fn there_is_a_bound_on_callers() {
        let mut board = Board::new(ManualClock::new().now());
        assert_eq!((0..CALLERS_MAX + 10).filter_map(|_| board.begin()).count(), CALLERS_MAX);
    }

    #[test]
    fn the_last_figures_of_both_ways_stay_beside_each_other() {
        let now = ManualClock::new().now();
        let mut board = Board::new(now);
        assert_eq!(board.figures(now), [None, None]);
        let late = board.begin().unwrap();
        let call = board.begin().unwrap();
        board.end(now, call, End::Refused, Duration::ZERO);
        board.begin_anew(now, false, false);
        // It began with backpressure, so that is what its answer speaks for.
        board.end(now + SECOND, late, End::Answered, SECOND);
        let call = board.begin().unwrap();
        board.end(now + SECOND, call, End::GaveUp, SECOND);
        let counts = |figures: Option<Figures>| {
            let Figures { answered, refused, gave_up, .. } = figures.unwrap();
            (answered, refused, gave_up)
        };
        assert_eq!(board.figures(now).map(counts), [(1.0, 1.0, 0.0), (0.0, 0.0, 1.0)]);
        board.begin_anew(now, true, true);
        assert_eq!(
            board.figures(now).map(counts),
            [(1.0, 1.0, 0.0), (0.0, 0.0, 1.0)],
            "until there are others"
        );
        assert_eq!(
            board.figures(now + SECOND).map(counts)[0],
            (0.0, 0.0, 0.0),
            "nobody was there for a second"
        );
    }
}
