//! A press of the button: callers who come at once, and what became of each.

use std::time::Duration;

use super::figures::{End, half};

/// Callers who came at once.
#[derive(Debug)]
pub(super) struct Press {
    has_backpressure: bool,
    /// How each ended, and after how long; nothing, as long as it waits.
    ends: Vec<Option<(End, Duration)>>,
}

/// A press as it is shown.
#[derive(Debug, PartialEq, serde::Serialize)]
pub(super) struct Pressed {
    backpressure: bool,
    /// A letter for each caller.
    calls: String,
    waiting: usize,
    answered: usize,
    refused: usize,
    gave_up: usize,
    failed: usize,
    /// Half of those who were answered waited no longer.
    p50_seconds: Option<f64>,
}

impl Press {
    pub(super) fn of(count: usize, has_backpressure: bool) -> Self {
        Press { has_backpressure, ends: vec![None; count] }
    }

    pub(super) fn end(&mut self, caller: usize, end: End, took: Duration) {
        if let Some(waiting) = self.ends.get_mut(caller) {
            *waiting = Some((end, took));
        }
    }

    pub(super) fn shown(&self) -> Pressed {
        let ends = || self.ends.iter().map(|end| end.map(|(end, _)| end));
        let count = |wanted| ends().filter(|end| *end == wanted).count();
        let answered = self.ends.iter().flatten().filter(|(end, _)| *end == End::Answered);
        Pressed {
            backpressure: self.has_backpressure,
            calls: ends().map(End::letter).collect(),
            waiting: count(None),
            answered: count(Some(End::Answered)),
            refused: count(Some(End::Refused)),
            gave_up: count(Some(End::GaveUp)),
            failed: count(Some(End::Failed)),
            p50_seconds: half(answered.map(|(_, took)| *took)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_callers_of_a_press_count_whenever_they_end() {
        let millis = Duration::from_millis;
        let mut press = Press::of(5, true);
        press.end(1, End::Refused, millis(1));
        let Pressed { calls, waiting, p50_seconds, .. } = press.shown();
        assert_eq!((calls.as_str(), waiting, p50_seconds), ("wrwww", 4, None));
        for (caller, took) in [(0, 500), (2, 502), (4, 60_000)] {
            press.end(caller, End::Answered, millis(took));
        }
        press.end(3, End::GaveUp, millis(1_250));
        let expected = Pressed {
            backpressure: true,
            calls: "araga".to_owned(),
            waiting: 0,
            answered: 3,
            refused: 1,
            gave_up: 1,
            failed: 0,
            p50_seconds: Some(0.502),
        };
        assert_eq!(press.shown(), expected);
    }
}
