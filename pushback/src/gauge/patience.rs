//! How long callers wait for their answers, as far as calls bring deadlines.

use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

/// This part of the calls waits for less. A mean would be that of the few who wait for minutes.
const PART: f64 = 0.25;
/// How far one call moves what is known, for a mean over some forty.
const STEP: f64 = 0.1;
/// Whoever waits for longer waits for ever, and so does whoever does not say; in nanoseconds.
const EVER: f64 = 3600e9;

/// The first quartile of what calls say, found step by step: down where a call says less, up where it says more or nothing
/// (Robbins and Monro, 1951), so that nothing has to be kept. In nanoseconds; 0 if no call has said anything.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU64);

impl Patience {
    /// A call is admitted whose caller waits for so long yet, if it says so. Calls at the same time may miss each other's.
    #[inline]
    pub(super) fn hear(&self, waits: Option<Duration>) {
        let known = self.0.load(Ordering::Relaxed);
        if known > 0 || waits.is_some() {
            self.0.store(moved(known, waits), Ordering::Relaxed);
        }
    }

    /// How long three of four callers wait at least, if that is known and not for ever.
    pub(super) fn known(&self) -> Option<Duration> {
        let known = self.0.load(Ordering::Relaxed);
        (known > 0 && (known as f64) < EVER).then(|| Duration::from_nanos(known))
    }
}

fn moved(known: u64, waits: Option<Duration>) -> u64 {
    let waits = waits.map_or(EVER, |waits| (waits.as_nanos() as f64).clamp(1.0, EVER));
    let moved = match known as f64 {
        0.0 => waits,
        known if waits < known => (known * (1.0 - STEP * (1.0 - PART))).max(waits),
        known => (known * (1.0 + STEP * PART)).min(waits),
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 1 to an hour")]
    let whole = moved.max(1.0) as u64;
    whole
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    fn after(calls: impl IntoIterator<Item = Option<u64>>) -> Option<Duration> {
        let patience = Patience::default();
        calls.into_iter().for_each(|millis| patience.hear(millis.map(Duration::from_millis)));
        patience.known()
    }

    #[test]
    fn nothing_is_known_where_nobody_says_it_or_hardly_anybody_does() {
        assert_eq!(after([]), None);
        assert_eq!(after([None, None]), None);
        let one_in_ten = (0..1000).map(|call| (call % 10 == 0).then_some(100));
        assert_eq!(after(one_in_ten), None);
    }

    #[test]
    fn where_all_wait_as_long_that_is_known_at_once_and_exactly() {
        assert_eq!(after([Some(300)]), Some(Duration::from_millis(300)));
        assert_eq!(after([Some(300); 50]), Some(Duration::from_millis(300)));
    }

    #[test]
    fn it_is_what_three_of_four_wait_for_at_least() {
        // One of five waits for less, which is not a quarter.
        let known = after((0..2000).map(|call| Some(if call % 5 == 0 { 10 } else { 1000 }))).unwrap();
        assert!((500..=1000).contains(&known.as_millis()), "{known:?}");
        let known = after((0..2000).map(|call| Some(if call % 5 < 2 { 10 } else { 1000 }))).unwrap();
        assert!((10..=20).contains(&known.as_millis()), "{known:?}");
    }

    #[test]
    fn it_follows_when_callers_change() {
        let patient = std::iter::repeat_n(Some(10_000), 100);
        let hurried = after(patient.chain(std::iter::repeat_n(Some(100), 200)));
        assert_eq!(hurried, Some(Duration::from_millis(100)));
        let silent = after(std::iter::repeat_n(Some(100), 100).chain(std::iter::repeat_n(None, 1000)));
        assert_eq!(silent, None);
    }

    #[test]
    fn a_deadline_that_is_now_and_one_in_a_thousand_years_are_no_trouble() {
        assert_eq!(after([Some(0)]), Some(Duration::from_nanos(1)));
        assert_eq!(after([Some(u64::MAX)]), None);
    }
}
