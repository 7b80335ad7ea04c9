//! Which calls are timed: all, or some where there are so many that telling the time for each would cost more than the rest of an
//! admission.

use std::time::Duration;

use crate::{
    dice,
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// How many are timed each second, at least; a decision needs some fifty.
const TIMED_A_SECOND: f64 = 2_000.0;
/// Not fewer than one of so many, or a load that falls would not be seen for long.
const EVERY_MAX: u32 = 1 << 10;
/// How often the pace is looked at.
const LOOKS: Duration = Duration::from_millis(100);

/// One of so many calls, a power of two, is timed. It is chosen when it is admitted: afterwards, slow calls would be missed.
#[derive(Debug)]
pub(super) struct Sampling {
    mask: AtomicU32,
    /// For choices that repeat; without it, each thread has its own random numbers, which nobody waits for.
    state: Option<AtomicU64>,
}

/// What must be kept to know the pace; under the controller's lock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    at: Duration,
    admitted: u64,
}

impl Pace {
    /// So many were admitted by then.
    pub(super) fn since(at: Duration, admitted: u64) -> Self {
        Pace { at, admitted }
    }
}

impl Sampling {
    /// All at first. With a seed, the choice repeats.
    pub(super) fn of_all(seed: Option<u64>) -> Self {
        Sampling { mask: AtomicU32::new(0), state: seed.map(AtomicU64::new) }
    }

    /// Whether each call is timed.
    pub(super) fn is_of_all(&self) -> bool {
        self.mask.load(Ordering::Relaxed) == 0
    }

    /// Whether the call that is being admitted is timed.
    #[inline]
    pub(super) fn chooses(&self) -> bool {
        let mask = self.mask.load(Ordering::Relaxed);
        mask == 0 || self.roll() & mask == 0
    }

    #[inline]
    fn roll(&self) -> u32 {
        match &self.state {
            None => dice::roll(),
            Some(state) => dice::quick(state.fetch_add(dice::STEP, Ordering::Relaxed)),
        }
    }

    /// Looks at how many calls are admitted.
    pub(super) fn follow(&self, pace: &mut Pace, now: Duration, admitted: u64) {
        let passed = now.saturating_sub(pace.at);
        if passed < LOOKS {
            return;
        }
        let rate = admitted.saturating_sub(pace.admitted) as f64 / passed.as_secs_f64();
        *pace = Pace::since(now, admitted);
        self.mask.store(every(rate) - 1, Ordering::Relaxed);
    }
}

fn every(rate: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "it saturates, and is bounded")]
    let fit = (rate / TIMED_A_SECOND) as u32;
    let power = fit.clamp(1, EVERY_MAX).ilog2();
    1 << power
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    #[test]
    fn two_to_four_thousand_calls_a_second_are_timed_where_there_are_more() {
        for (rate, expected) in
            [(0.0, 1), (3_999.0, 1), (4_000.0, 2), (100_000.0, 32), (1e8, 1 << 10), (f64::INFINITY, 1 << 10)]
        {
            assert_eq!(every(rate), expected, "{rate}");
        }
    }

    #[test]
    fn one_of_so_many_is_chosen_and_the_choice_has_no_rhythm() {
        for seed in [None, Some(7)] {
            choose(&Sampling { mask: AtomicU32::new(63), state: seed.map(AtomicU64::new) });
        }
    }

    fn choose(sampling: &Sampling) {
        let chosen: Vec<u32> = (0..640_000).filter(|_| sampling.chooses()).collect();
        let expected = 10_000.0;
        let deviation = (chosen.len() as f64 - expected) / f64::sqrt(expected);
        assert!(deviation.abs() < 5.0, "{} of 640000", chosen.len());
        // Geometric distances: as large a deviation as their mean, and no two are alike for long.
        let distances: Vec<f64> = chosen.windows(2).map(|pair| f64::from(pair[1] - pair[0])).collect();
        let mean = distances.iter().sum::<f64>() / distances.len() as f64;
        let variance = distances.iter().map(|distance| (distance - mean).powi(2)).sum::<f64>();
        let variation = (variance / distances.len() as f64).sqrt() / mean;
        assert!((0.9..1.1).contains(&variation), "{variation}");
    }

    #[test]
    fn the_pace_follows_what_is_admitted() {
        let (sampling, mut pace) = (Sampling::of_all(None), Pace::default());
        let mut look = |millis, admitted| {
            sampling.follow(&mut pace, Duration::from_millis(millis), admitted);
            sampling.mask.load(Ordering::Relaxed) + 1
        };
        assert_eq!(look(50, 1_000_000), 1, "too early");
        assert_eq!(look(100, 100_000), 256, "a million a second");
        assert_eq!(look(200, 100_100), 1, "a thousand");
    }
}
