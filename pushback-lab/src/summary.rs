//! A run in numbers: how many ended how, and how long they took.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::load::{End, Run};

/// A run in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Where the requests went.
    pub url: String,
    /// How many were sent.
    pub requests: u64,
    /// How many callers there were.
    pub concurrency: u64,
    /// How long the run took.
    pub seconds: f64,
    /// Answers a second, whatever their status.
    pub per_second: f64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, Times>,
    /// Requests without an answer, by what was wrong: `timed out`, `not connected`, `broken`.
    pub errors: BTreeMap<&'static str, Times>,
    /// What was wrong the first time, for each of these but time-outs.
    pub causes: BTreeMap<&'static str, String>,
}

/// How long requests of one kind took, in milliseconds, to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Times {
    /// How many there were.
    pub count: u64,
    /// Half of them took at most this long.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Summary {
    /// Counts a run.
    pub fn of(run: &Run) -> Self {
        let mut by_end: BTreeMap<End, Vec<Duration>> = BTreeMap::new();
        for call in &run.calls {
            by_end.entry(call.end).or_default().push(call.time);
        }
        let (mut statuses, mut errors) = (BTreeMap::new(), BTreeMap::new());
        for (end, times) in by_end {
            let times = Times::of(&times);
            match end {
                End::Status(status) => drop(statuses.insert(status, times)),
                lost => drop(errors.insert(name(lost), times)),
            }
        }
        let answers: u64 = statuses.values().map(|times: &Times| times.count).sum();
        let seconds = run.time.as_secs_f64();
        Summary {
            url: run.target.to_string(),
            requests: run.calls.len() as u64,
            concurrency: run.callers,
            seconds,
            per_second: if seconds > 0.0 { answers as f64 / seconds } else { 0.0 },
            statuses,
            errors,
            causes: run.causes.iter().map(|(end, cause)| (name(*end), cause.clone())).collect(),
        }
    }
}

fn name(end: End) -> &'static str {
    match end {
        End::Status(_) => "answered",
        End::TimedOut => "timed out",
        End::NotConnected => "not connected",
        End::Broken => "broken",
    }
}

impl Times {
    fn of(times: &[Duration]) -> Self {
        // From a microsecond to a day, to three digits: such a histogram can be built, and saturates beyond.
        let mut histogram =
            Histogram::<u64>::new_with_bounds(1, 86_400_000_000, 3).expect("the bounds are right");
        for time in times {
            histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let quantile = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        Times {
            count: histogram.len(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            max_ms: milliseconds(histogram.max()),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests to {}, {} at a time, in {:.2} s: {:.1} answers a second",
            self.requests, self.url, self.concurrency, self.seconds, self.per_second
        )?;
        writeln!(f)?;
        write!(f, "{:<14}{:>8}{:>11}{:>11}{:>11}{:>11}", "answer", "count", "p50", "p90", "p99", "max")?;
        let statuses = self.statuses.iter().map(|(status, times)| (status.to_string(), times));
        let errors = self.errors.iter().map(|(error, times)| ((*error).to_owned(), times));
        for (end, times) in statuses.chain(errors) {
            write!(f, "\n{end:<14}{:>8}", times.count)?;
            for time in [times.p50_ms, times.p90_ms, times.p99_ms, times.max_ms] {
                write!(f, "{:>11}", readable(time))?;
            }
        }
        for (end, cause) in &self.causes {
            write!(f, "\n{end}: {cause}")?;
        }
        Ok(())
    }
}

fn readable(milliseconds: f64) -> String {
    if milliseconds >= 1000.0 {
        format!("{:.3} s", milliseconds / 1000.0)
    } else {
        format!("{milliseconds:.2} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Call, Target};

    #[test]
    fn a_run_is_counted_by_status_and_by_error() {
        let call = |time, end| Call { start: Duration::ZERO, time: Duration::from_millis(time), end };
        let mut calls: Vec<_> = (1..=100).map(|time| call(time, End::Status(200))).collect();
        calls.extend([call(1, End::Status(429)), call(5000, End::TimedOut)]);
        let target = Target::parse("http://localhost/").unwrap();
        let causes = [(End::Broken, "connection reset".to_owned())].into();
        let summary = Summary::of(&Run { target, callers: 4, calls, time: Duration::from_secs(2), causes });
        assert_eq!((summary.requests, summary.per_second), (102, 50.5));
        let times = summary.statuses[&200];
        assert_eq!(times.count, 100);
        for (measured, exact) in
            [(times.p50_ms, 50.0), (times.p90_ms, 90.0), (times.p99_ms, 99.0), (times.max_ms, 100.0)]
        {
            assert!((measured / exact - 1.0_f64).abs() < 0.001, "{measured} instead of {exact}");
        }
        assert_eq!((summary.statuses[&429].count, summary.errors["timed out"].count), (1, 1));
        let text = summary.to_string();
        assert!(text.contains("timed out            1    5.0"), "{text}");
        assert!(text.ends_with("\nbroken: connection reset"), "{text}");
    }
}
