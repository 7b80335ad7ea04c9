//! Calls that are judged together.

use std::time::Duration;

use super::Sample;
use crate::outcome::Outcome;

/// Calls that are judged together, as by Netflix' `WindowedLimit`, in which most of its algorithms
/// are wrapped.
///
/// The first call that ends after its time is up closes a window. If it has too few calls by then,
/// it is thrown away. Its time is the mean of the calls, its `in_flight` their largest, and one
/// overloaded call makes the window overloaded.
///
/// Source: `WindowedLimit` and `AverageSampleWindow` of Netflix/concurrency-limits, there by
/// default 1 s and 10 calls; calls faster than 100 µs are not looked at.
#[derive(Debug, Clone)]
pub struct Window {
    lasts: Duration,
    calls_min: u32,
    ends: Duration,
    seen: Seen,
}

/// What a window has seen.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Seen {
    /// How many calls.
    pub calls: u32,
    /// Their mean time, in seconds.
    pub mean: f64,
    /// The largest number of places that one of them saw taken.
    pub in_flight: u32,
    /// Whether one of them was overloaded.
    pub is_overloaded: bool,
}

/// Faster calls are not looked at.
const TIME_MIN: Duration = Duration::from_micros(100);

impl Window {
    /// A window that lasts so long, and is thrown away if it has fewer calls than `calls_min`.
    pub fn new(lasts: Duration, calls_min: u32) -> Self {
        Window { lasts, calls_min, ends: Duration::ZERO, seen: Seen::default() }
    }

    /// Takes in a call. If that closes the window, returns what the window has seen.
    pub fn observe(&mut self, sample: &Sample) -> Option<Seen> {
        if sample.outcome == Outcome::Cancelled || sample.time() < TIME_MIN {
            return None;
        }
        self.seen.take_in(sample);
        if sample.ended <= self.ends {
            return None;
        }
        self.ends = sample.ended.saturating_add(self.lasts);
        let seen = std::mem::take(&mut self.seen);
        (seen.calls >= self.calls_min).then_some(seen)
    }
}

impl Seen {
    fn take_in(&mut self, sample: &Sample) {
        self.calls += 1;
        self.mean += (sample.time().as_secs_f64() - self.mean) / f64::from(self.calls);
        self.in_flight = self.in_flight.max(sample.in_flight);
        self.is_overloaded |= sample.outcome == Outcome::Overload;
    }
}

impl Default for Window {
    fn default() -> Self {
        Window::new(Duration::from_secs(1), 10)
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;
    use crate::limit::testing::sample;

    #[test]
    fn a_window_is_closed_by_the_first_call_that_ends_after_its_time() {
        let mut window = Window::new(Duration::from_secs(1), 2);
        assert_eq!(window.observe(&sample(0.0, 0.010, 1)), None, "alone, in a window that ended at once");
        assert_eq!(window.observe(&sample(0.1, 0.010, 4)), None);
        assert_eq!(window.observe(&sample(0.5, 0.020, 7)), None);
        let overloaded = Sample { outcome: Outcome::Overload, ..sample(1.0, 0.060, 2) };
        let seen = window.observe(&overloaded).unwrap();
        assert_eq!((seen.calls, seen.in_flight, seen.is_overloaded), (3, 7, true));
        assert!((seen.mean - 0.030).abs() < 1e-9, "{}", seen.mean);
        assert_eq!(window.observe(&sample(2.0, 0.010, 1)), None, "the next ends a second after that");
        assert_eq!(window.observe(&sample(2.2, 0.010, 1)).map(|seen| seen.calls), Some(2));
    }

    #[test]
    fn a_window_of_too_few_calls_is_thrown_away() {
        let mut window = Window::new(Duration::from_secs(1), 3);
        window.observe(&sample(0.0, 0.010, 1));
        window.observe(&sample(0.5, 0.010, 1));
        assert_eq!(window.observe(&sample(1.5, 0.010, 1)), None, "two are too few");
        window.observe(&sample(1.6, 0.010, 1));
        window.observe(&sample(1.7, 0.010, 1));
        assert_eq!(
            window.observe(&sample(2.6, 0.010, 1)).map(|seen| seen.calls),
            Some(3),
            "and do not count later"
        );
    }

    #[test]
    fn cancelled_calls_and_those_of_no_time_are_not_looked_at() {
        let mut window = Window::new(Duration::ZERO, 1);
        let cancelled = Sample { outcome: Outcome::Cancelled, ..sample(0.0, 0.010, 1) };
        assert_eq!(window.observe(&cancelled), None);
        assert_eq!(window.observe(&sample(0.0, 0.000_09, 1)), None);
        assert!(window.observe(&sample(0.0, 0.010, 1)).is_some());
    }
}
