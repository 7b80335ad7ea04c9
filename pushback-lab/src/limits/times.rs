//! The times of a window.

/// Times in seconds, of which a percentile is wanted.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<f64>);

impl Times {
    pub(super) fn add(&mut self, time: f64) {
        self.0.push(time);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The time that this part of them does not exceed, and forgets all; nothing, if there are none.
    pub(super) fn take_quantile(&mut self, part: f64) -> Option<f64> {
        let last = self.0.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "an index, and no negative one")]
        let index = (part * last as f64).round() as usize;
        let (_, time, _) = self.0.select_nth_unstable_by(index.min(last), f64::total_cmp);
        let time = *time;
        self.clear();
        Some(time)
    }
}
