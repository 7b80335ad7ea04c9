//! What became of the calls: of each press, and of those who come all the time, with backpressure and without it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    figures::{End, Episode, Figures},
    press::{Press, Pressed},
};

/// So many of the last presses are shown, so that one with backpressure stands beside one without.
const PRESSES: usize = 3;
/// So many of the last calls of a stream are shown one by one.
const SHOWN: usize = 100;
/// So many callers may be there at once; a machine has ports for more.
const CALLERS_MAX: usize = 2_000;

/// What became of the calls. Those of a press are counted, and those of a stream come at a rate: they never stand in one figure.
#[derive(Debug)]
pub(super) struct Board {
    /// The last presses, the newest first.
    presses: VecDeque<Press>,
    /// How many presses there ever were.
    pressed: u64,
    /// The number of the stream's first call that is shown.
    first: u64,
    /// The stream's last calls, in the order in which they were made; nothing, as long as they wait.
    last: VecDeque<Option<End>>,
    waiting: usize,
    /// What the stream's calls begin in now.
    episode: u64,
    with: Row,
    without: Row,
    /// Which of both is now.
    has_backpressure: bool,
}

/// What a stream's callers got with backpressure, or without it.
#[derive(Debug, Default)]
struct Row {
    /// The last episode of this kind.
    episode: Option<Episode>,
    /// What there was to say of those before.
    before: Option<Figures>,
}

/// A call that waits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waiting {
    /// Which caller of which press.
    Pressed { press: u64, caller: usize },
    /// Which call of the stream, in which episode.
    Streamed { number: u64, episode: u64 },
}

impl Board {
    pub(super) fn new() -> Self {
        Board {
            presses: VecDeque::new(),
            pressed: 0,
            first: 0,
            last: VecDeque::new(),
            waiting: 0,
            episode: 0,
            with: Row::default(),
            without: Row::default(),
            has_backpressure: true,
        }
    }

    pub(super) fn has_backpressure(&self) -> bool {
        self.has_backpressure
    }

    /// What is seen from now on is to be told from what was before: with backpressure or without it, and at another rate, if any come.
    pub(super) fn begin_anew(&mut self, now: Instant, has_backpressure: bool, is_stream: bool) {
        for row in [&mut self.with, &mut self.without] {
            row.episode.iter_mut().for_each(|episode| episode.end(now));
        }
        self.has_backpressure = has_backpressure;
        if is_stream {
            self.episode += 1;
            let row = if has_backpressure { &mut self.with } else { &mut self.without };
            row.before = row.figures(now);
            row.episode = Some(Episode::new(self.episode, now));
        }
    }

    /// Whether somebody waits for an answer.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// So many callers at once. The last calls of a stream have been seen.
    pub(super) fn press(&mut self, count: usize) -> impl Iterator<Item = Waiting> + use<> {
        self.presses.truncate(PRESSES - 1);
        self.presses.push_front(Press::of(count, self.has_backpressure));
        self.pressed += 1;
        self.waiting += count;
        self.first += self.last.len() as u64;
        self.last.clear();
        let press = self.pressed;
        (0..count).map(move |caller| Waiting::Pressed { press, caller })
    }

    /// One more call of the stream, if there is room for it.
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
        Some(Waiting::Streamed { number: self.first + self.last.len() as u64 - 1, episode: self.episode })
    }

    pub(super) fn end(&mut self, now: Instant, waiting: Waiting, end: End, took: Duration) {
        self.waiting -= 1;
        match waiting {
            Waiting::Pressed { press, caller } => {
                if let Some(press) = at(&mut self.presses, self.pressed - press) {
                    press.end(caller, end, took);
                }
            }
            Waiting::Streamed { number, episode } => {
                let index = number.checked_sub(self.first);
                if let Some(shown) = index.and_then(|index| at(&mut self.last, index)) {
                    *shown = Some(end);
                }
                let rows = [&mut self.with, &mut self.without];
                let episodes = rows.into_iter().filter_map(|row| row.episode.as_mut());
                for same in episodes.filter(|known| known.number() == episode) {
                    same.add(now, end, took);
                }
            }
        }
    }

    /// The last presses, the newest first.
    pub(super) fn presses(&self) -> Vec<Pressed> {
        self.presses.iter().map(Press::shown).collect()
    }

    /// The stream's last figures with backpressure, and those without it.
    pub(super) fn figures(&self, now: Instant) -> [Option<Figures>; 2] {
        [self.with.figures(now), self.without.figures(now)]
    }

    /// The stream's last calls, a letter each.
    pub(super) fn letters(&self) -> String {
        self.last.iter().copied().map(End::letter).collect()
    }
}

fn at<T>(shown: &mut VecDeque<T>, index: u64) -> Option<&mut T> {
    usize::try_from(index).ok().and_then(|index| shown.get_mut(index))
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
        let mut board = Board::new();
        let first = board.begin().unwrap();
        let second = board.begin().unwrap();
        board.end(now, second, End::Refused, Duration::ZERO);
        assert_eq!(board.letters(), "wr");
        for _ in 0..SHOWN - 1 {
            board.begin().unwrap();
        }
        board.end(now, first, End::Answered, SECOND);
        assert_eq!(board.letters(), format!("r{}", "w".repeat(SHOWN - 1)), "the first is not shown any more");
        assert_eq!(board.waiting, SHOWN - 1);
    }

    #[test]
    fn there_is_a_bound_on_callers() {
        let mut board = Board::new();
        assert_eq!((0..CALLERS_MAX + 10).filter_map(|_| board.begin()).count(), CALLERS_MAX);
    }

    #[test]
    fn each_press_has_its_callers_and_the_stream_has_its_own() {
        let now = ManualClock::new().now();
        let mut board = Board::new();
        let streamed = board.begin().unwrap();
        let first: Vec<_> = board.press(2).collect();
        board.begin_anew(now, false, false);
        let second: Vec<_> = board.press(1).collect();
        for (waiting, end) in [
            (streamed, End::Failed),
            (first[0], End::Answered),
            (second[0], End::GaveUp),
            (first[1], End::Refused),
        ] {
            board.end(now, waiting, end, SECOND);
        }
        let expected = |count: usize, has_backpressure, ends: &[End]| {
            let mut press = Press::of(count, has_backpressure);
            ends.iter().enumerate().for_each(|(caller, end)| press.end(caller, *end, SECOND));
            press.shown()
        };
        assert_eq!(
            board.presses(),
            [expected(1, false, &[End::GaveUp]), expected(2, true, &[End::Answered, End::Refused])],
            "the newest first"
        );
        assert_eq!((board.letters().as_str(), board.has_waiting()), ("", false), "the stream was before");
        for _ in 0..PRESSES {
            board.press(1).for_each(drop);
        }
        assert_eq!(board.presses().len(), PRESSES);
        let gone = Waiting::Pressed { press: 1, caller: 0 };
        board.end(now, gone, End::Answered, SECOND);
        assert!(board.presses().iter().all(|press| *press == Press::of(1, false).shown()), "nobody's else");
    }

    #[test]
    fn the_streams_last_figures_of_both_ways_stay_beside_each_other() {
        let start = ManualClock::new().now();
        let mut board = Board::new();
        assert_eq!(board.figures(start), [None, None]);
        board.begin_anew(start, true, true);
        let late = board.begin().unwrap();
        let call = board.begin().unwrap();
        let now = start + SECOND;
        board.end(now, call, End::Refused, Duration::ZERO);
        board.begin_anew(now, false, true);
        board.end(now, late, End::Answered, SECOND);
        let call = board.begin().unwrap();
        let now = now + SECOND;
        board.end(now, call, End::GaveUp, SECOND);
        let rates = |figures: Option<Figures>| {
            let Figures { answered, refused, gave_up, .. } = figures.unwrap();
            (answered, refused, gave_up)
        };
        assert_eq!(board.figures(now).map(rates), [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]);
        board.begin_anew(now, true, true);
        assert_eq!(
            board.figures(now).map(rates),
            [(0.0, 1.0, 0.0), (0.0, 0.0, 1.0)],
            "until there are others"
        );
        assert_eq!(
            board.figures(now + SECOND).map(rates)[0],
            (0.0, 0.0, 0.0),
            "nobody was there for a second"
        );
        // Who is sent at once has figures of their own.
        board.begin_anew(now + SECOND, true, false);
        let before = board.figures(now + SECOND);
        let pressed: Vec<_> = board.press(10).collect();
        pressed.into_iter().for_each(|waiting| board.end(now + SECOND, waiting, End::Answered, SECOND));
        assert_eq!(board.figures(now + 2 * SECOND), before);
    }
}
