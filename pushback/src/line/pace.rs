//! How fast places come back while calls wait for them.
//!
//! While anybody waits, all places are taken and each that comes back is handed on at once. So the time between two turns is
//! measured without timing a single call, and a call takes as long as all places have a turn each (Little's law).

use std::time::{Duration, Instant};

/// Over so many places the time from one turn to the next is averaged.
const AVERAGED: f64 = 32.0;
/// It is known after so many.
const KNOWN: f64 = 8.0;
/// A line is short as long as so many turns are before a new call, or as many as there are places, if that is more: as long as a
/// call takes.
const SHORT: f64 = 10.0;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The last turn, or when the line began.
    last: Option<Instant>,
    turns: f64,
    /// From one turn to the next, in seconds.
    turn: f64,
}

impl Pace {
    /// Somebody waits, and nobody did before.
    pub(super) fn line_begins(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// So many places were handed on.
    pub(super) fn handed_on(&mut self, now: Instant, places: u32) {
        let Some(last) = self.last.replace(now) else { return };
        let places = f64::from(places.max(1));
        let turn = now.saturating_duration_since(last).as_secs_f64() / places;
        self.turns = (self.turns + places).min(AVERAGED);
        self.turn += (places / self.turns).min(1.0) * (turn - self.turn);
    }

    /// How long a call waits in a short line, if it is known: ten turns, or as long as a call takes.
    pub(super) fn usual_wait(&self, places: u32) -> Option<Duration> {
        let known = self.turns >= KNOWN && self.turn > 0.0;
        let wait = self.turn * SHORT.max(f64::from(places));
        known.then(|| Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX))
    }
}
