//! Whether more calls in flight get more done, or less.

/// How throughput follows the calls in flight: the slope of a line through the logarithms of both, over the last dozen cohorts
/// that filled the limit. 1 where nothing queues, 0 where a queue only gets longer, less than 0 past a knee.
#[derive(Debug, Default)]
pub(super) struct Knee {
    weight: f64,
    squared_weights: f64,
    in_flight: f64,
    rate: f64,
    in_flight_squares: f64,
    products: f64,
    rate_squares: f64,
}

/// What is kept of it from cohort to cohort.
const KEPT: f64 = 0.92;
/// As many cohorts are needed.
const COHORTS: f64 = 6.0;

/// A slope, and how sure it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slope {
    slope: f64,
    /// The standard error.
    error: f64,
}

impl Slope {
    /// Fewer in flight would get more done.
    pub(super) fn falls(self) -> bool {
        self.slope + self.error < -0.1
    }

    /// More in flight get more done.
    pub(super) fn rises(self) -> bool {
        self.slope - self.error > 0.3 || self.error < 0.2 && self.slope > 0.1
    }
}

impl Knee {
    /// A cohort with so many in flight and such a rate.
    pub(super) fn learn(&mut self, in_flight: f64, rate: f64) -> Option<Slope> {
        let (in_flight, rate) = (in_flight.ln(), rate.ln());
        self.weight = KEPT * self.weight + 1.0;
        self.squared_weights = KEPT * KEPT * self.squared_weights + 1.0;
        let (by_in_flight, by_rate) = (in_flight - self.in_flight, rate - self.rate);
        self.in_flight += by_in_flight / self.weight;
        self.rate += by_rate / self.weight;
        self.in_flight_squares = KEPT * self.in_flight_squares + by_in_flight * (in_flight - self.in_flight);
        self.products = KEPT * self.products + by_in_flight * (rate - self.rate);
        self.rate_squares = KEPT * self.rate_squares + by_rate * (rate - self.rate);
        let cohorts = self.weight * self.weight / self.squared_weights;
        if cohorts < COHORTS || self.in_flight_squares < 1e-6 {
            return None;
        }
        let slope = self.products / self.in_flight_squares;
        let unexplained = (self.rate_squares - slope * self.products).max(0.0) / (cohorts - 2.0);
        Some(Slope { slope, error: (unexplained / self.in_flight_squares).sqrt() })
    }
}

#[cfg(all(test, not(pushback_loom)))]
mod tests {
    use super::*;

    /// What is known after some cohorts with 10, 20 and 40 in flight.
    fn after(cohorts: usize, rate: impl Fn(f64) -> f64) -> Option<Slope> {
        let mut knee = Knee::default();
        let in_flight = [10.0, 20.0, 40.0].into_iter().cycle();
        in_flight.take(cohorts).map(|in_flight| knee.learn(in_flight, rate(in_flight))).last().flatten()
    }

    #[test]
    fn a_slope_is_the_exponent_with_which_throughput_follows() {
        for exponent in [-0.7, 0.0, 0.5, 1.0] {
            let slope = after(30, |in_flight| 100.0 * in_flight.powf(exponent)).unwrap();
            assert!((slope.slope - exponent).abs() < 1e-9 && slope.error < 1e-6, "{slope:?}");
            assert_eq!((slope.falls(), slope.rises()), (exponent < -0.1, exponent > 0.1));
        }
    }

    #[test]
    fn nothing_is_said_after_few_cohorts_or_if_nothing_varies() {
        assert!(after(5, |in_flight| in_flight).is_none());
        let mut knee = Knee::default();
        assert!((0..50).all(|_| knee.learn(20.0, 100.0).is_none()));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut knee = Knee::default();
        let mut last = None;
        for (cohorts, exponent) in [(30, 1.0), (60, -1.0)] {
            for in_flight in [10.0_f64, 20.0, 40.0].into_iter().cycle().take(cohorts) {
                // The same in the middle, so that only the slope has changed.
                last = knee.learn(in_flight, 100.0 * (in_flight / 20.0).powf(exponent));
            }
        }
        assert!(last.unwrap().falls());
    }
}
