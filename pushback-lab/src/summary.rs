//! A run in numbers: how many ended how, and how long they took.

mod pace;
mod text;

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

pub use pace::Pace;

use crate::load::{End, Load, Run};

/// A run in numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Where the requests went.
    pub url: String,
    /// How many there were.
    pub requests: u64,
    /// Whether the run is what it was meant to be, so that its figures say something about the service.
    pub valid: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid_because: Option<String>,
    /// In a closed loop, how many callers there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// In an open loop, how it kept its schedule.
    #[serde(flatten)]
    pub pace: Option<Pace>,
    /// How long the run took.
    pub seconds: f64,
    /// Answers a second, whatever their status.
    pub per_second: f64,
    /// The answers that are of use; in a closed loop only if a latency is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goodput: Option<Goodput>,
    /// How many were in flight when the run was stopped, if it was. They are counted nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, Times>,
    /// Requests without an answer, by what was wrong: `timed out`, `not connected`, `broken`, `not sent`.
    pub errors: BTreeMap<&'static str, Times>,
    /// What was wrong the first time, for each of these but time-outs.
    pub causes: BTreeMap<&'static str, String>,
}

/// The answers that are of use: admitted, with a status below 400, and soon enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goodput {
    /// How soon that is, in milliseconds from when the request was meant to be sent; nothing if any time will do.
    pub slo_ms: Option<f64>,
    /// How many there were.
    pub count: u64,
    /// How many for each second in which requests were to be sent.
    pub per_second: f64,
    /// Their part of all requests, 0 to 1.
    pub share: f64,
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
    /// Counts a run, of which answers are of use within `slo`.
    pub fn of(run: &Run, slo: Option<Duration>) -> Self {
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
        let (concurrency, pace) = match &run.load {
            Load::Closed(closed) => (Some(closed.callers), None),
            Load::Open(open) => (None, Some(Pace::of(open, run, slo))),
        };
        let invalid_because = why_invalid(run, pace.as_ref());
        let is_asked_for = pace.is_some() || slo.is_some();
        Summary {
            url: run.load.target().to_string(),
            requests: run.calls.len() as u64,
            valid: invalid_because.is_none(),
            invalid_because,
            concurrency,
            pace,
            seconds: run.time.as_secs_f64(),
            per_second: rate(answers, run.time),
            goodput: is_asked_for.then(|| Goodput::of(run, slo)),
            unfinished: run.unfinished,
            statuses,
            errors,
            causes: run.causes.iter().map(|(end, cause)| (name(*end), cause.clone())).collect(),
        }
    }
}

impl Goodput {
    fn of(run: &Run, slo: Option<Duration>) -> Self {
        let is_soon = |time| slo.is_none_or(|slo| time <= slo);
        let count = run.calls.iter().filter(|call| call.end.is_good() && is_soon(call.time)).count() as u64;
        Goodput {
            slo_ms: slo.map(|slo| slo.as_secs_f64() * 1000.0),
            count,
            per_second: rate(count, run.window()),
            share: count as f64 / run.calls.len().max(1) as f64,
        }
    }
}

/// What a run says that did not ask the service as it was meant to, it does not say of the service.
fn why_invalid(run: &Run, pace: Option<&Pace>) -> Option<String> {
    let all = run.calls.len();
    let of = |end: End| {
        let cause = run.causes.get(&end).map_or("", String::as_str);
        (run.calls.iter().filter(|call| call.end == end).count(), cause)
    };
    let mut reasons: Vec<_> = pace.and_then(Pace::why_invalid).into_iter().collect();
    let (unsent, cause) = of(End::NotSent);
    if unsent > 0 {
        let fewer = if pace.is_some() { "--rate" } else { "--concurrency" };
        reasons.push(format!(
            "{unsent} of {all} requests were not sent: {cause}; lower {fewer}, or allow more files and ports"
        ));
    }
    // A few are what a service may do to its callers; more than half, and there was hardly a service.
    let (unconnected, cause) = of(End::NotConnected);
    if unconnected > all / 2 {
        reasons.push(format!(
            "{unconnected} of {all} requests found nobody to connect to: {cause}; see whether the service still runs"
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// So many in this time, a second.
fn rate(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

fn name(end: End) -> &'static str {
    match end {
        End::Status(_) => "answered",
        End::TimedOut => "timed out",
        End::NotConnected => "not connected",
        End::Broken => "broken",
        End::NotSent => "not sent",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        arrivals::Arrivals,
        load::{Call, Closed, Open, Target},
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn target() -> Target {
        Target::parse("http://localhost/").unwrap()
    }

    fn call(time: u64, end: End) -> Call {
        Call { start: Duration::ZERO, lag: Some(Duration::ZERO), time: Duration::from_millis(time), end }
    }

    fn closed(calls: Vec<Call>) -> Run {
        let closed = Closed { target: target(), requests: 102, callers: 4, timeout: SECOND };
        let causes = [(End::Broken, "connection reset".to_owned())].into();
        Run { load: Load::Closed(closed), calls, time: 2 * SECOND, causes, unfinished: None }
    }

    /// Two a second for four seconds, of which the last answer came after six.
    fn open(calls: Vec<Call>) -> Run {
        let open = Open {
            target: target(),
            arrivals: Arrivals::Steady,
            rate: 2.0,
            seed: 1,
            duration: 4 * SECOND,
            timeout: SECOND,
            in_flight_max: 10,
        };
        Run { load: Load::Open(open), calls, time: 6 * SECOND, causes: [].into(), unfinished: None }
    }

    /// As late as this, each.
    fn late(lags: impl IntoIterator<Item = Duration>) -> Run {
        open(lags.into_iter().map(|lag| Call { lag: Some(lag), ..call(1, End::Status(200)) }).collect())
    }

    #[test]
    fn a_run_is_counted_by_status_and_by_error() {
        let mut calls: Vec<_> = (1..=100).map(|time| call(time, End::Status(200))).collect();
        calls.extend([call(1, End::Status(429)), call(5000, End::TimedOut)]);
        let summary = Summary::of(&closed(calls), None);
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
        assert_eq!(summary.goodput, None);
        assert!(!text.contains("goodput") && !text.contains("INVALID"), "{text}");
    }

    #[test]
    fn goodput_is_what_is_admitted_and_no_error_and_soon_enough() {
        let ends = [200, 200, 304, 404, 429, 500].map(End::Status);
        let mut calls: Vec<_> =
            (1..).map(|number| 100 * number).zip(ends).map(|(time, end)| call(time, end)).collect();
        calls.extend([call(1, End::TimedOut), call(1, End::NotSent)]);
        let goodput = |run, slo| Summary::of(run, slo).goodput.unwrap();
        let (open, closed) = (open(calls.clone()), closed(calls));
        // The second 200 took exactly as long as is allowed. Four seconds count and not six.
        let soon = Goodput { slo_ms: Some(200.0), count: 2, per_second: 0.5, share: 0.25 };
        assert_eq!(goodput(&open, Some(Duration::from_millis(200))), soon);
        assert_eq!(goodput(&closed, Some(Duration::from_millis(200))), Goodput { per_second: 1.0, ..soon });
        let any = Goodput { slo_ms: None, count: 3, per_second: 0.75, share: 0.375 };
        assert_eq!(goodput(&open, None), any);
    }

    #[test]
    fn a_run_is_invalid_above_a_hundredth_of_the_latency_wanted_or_a_millisecond() {
        for (lag_ms, slo_ms, valid) in [
            (0, None, true),
            (1, None, true),
            (2, None, false),
            (1, Some(50), true),
            (2, Some(50), false),
            (4, Some(500), true),
            (6, Some(500), false),
        ] {
            let run = late([Duration::from_millis(lag_ms); 8]);
            let summary = Summary::of(&run, slo_ms.map(Duration::from_millis));
            let why = summary.invalid_because;
            assert_eq!(summary.valid, valid, "{lag_ms} ms, SLO {slo_ms:?}: {why:?}");
        }
        let summary = Summary::of(&late([Duration::from_millis(6); 8]), Some(SECOND / 2));
        assert!(summary.to_string().contains("\nINVALID: the figures "), "{summary}");
        let reason =
            "requests were sent late, with a lag of p99 6.00 ms where 5.00 ms are allowed: lower --rate, or";
        assert!(summary.invalid_because.unwrap().starts_with(reason));
    }

    #[test]
    fn one_late_request_of_a_hundred_is_no_lag() {
        let lags =
            |late: usize| (0..100).map(move |number| if number < late { SECOND } else { Duration::ZERO });
        assert!(Summary::of(&late(lags(1)), None).valid);
        assert!(!Summary::of(&late(lags(2)), None).valid);
    }

    #[test]
    fn what_is_not_sent_is_lost_and_makes_the_run_invalid() {
        let mut run = open(vec![call(1, End::Status(200)), Call { lag: None, ..call(1, End::NotSent) }]);
        run.causes = [(End::NotSent, "10 were in flight".to_owned())].into();
        let summary = Summary::of(&run, None);
        assert_eq!((summary.requests, summary.errors["not sent"].count), (2, 1));
        let reason = "1 of 2 requests were not sent: 10 were in flight; lower --rate, or allow";
        assert!(summary.invalid_because.unwrap().starts_with(reason));
        let pace = summary.pace.unwrap();
        assert_eq!((pace.offered_per_second, pace.sent_per_second, pace.lag.count), (2.0, 0.25, 1));
    }

    #[test]
    fn a_closed_loop_is_invalid_too_if_it_could_not_send_or_mostly_found_nobody() {
        let with = |end: End, count: usize| {
            let mut run = closed(vec![call(1, End::Status(200)); 10 - count]);
            run.calls.extend(vec![call(1, end); count]);
            run.causes = [(end, "too many open files".to_owned())].into();
            Summary::of(&run, None)
        };
        let unsent = with(End::NotSent, 1);
        assert!(!unsent.valid && unsent.to_string().contains("\nINVALID: "), "{unsent}");
        let reason = "1 of 10 requests were not sent: too many open files; lower --concurrency, or allow";
        assert!(unsent.invalid_because.unwrap().starts_with(reason));
        assert!(with(End::NotConnected, 5).valid && with(End::Broken, 9).valid);
        let why = with(End::NotConnected, 6).invalid_because.unwrap();
        assert!(why.starts_with("6 of 10 requests found nobody to connect to: "), "{why}");
    }

    /// As of a wrong path, whose answers come fast.
    #[test]
    fn answers_that_are_mostly_errors_are_said_first() {
        let first_line = |statuses: &[u16]| {
            let calls = statuses.iter().map(|status| call(1, End::Status(*status))).collect();
            Summary::of(&closed(calls), None).to_string().lines().next().unwrap().to_owned()
        };
        for (statuses, words) in [
            (&[404, 404, 200][..], "in 2.00 s: 2 answered with 404; 1.5 answers a second"),
            (&[404, 500, 429], "in 2.00 s: 1 answered with 404, 1 with 500; 1.5 answers a second"),
            (&[404, 200], "in 2.00 s: 1.0 answers a second"),
            (&[429, 503, 200], "in 2.00 s: 1.5 answers a second"),
        ] {
            assert!(first_line(statuses).ends_with(words), "{statuses:?}: {}", first_line(statuses));
        }
        assert!(first_line(&[200]).starts_with("1 request to "));
    }

    #[test]
    fn a_stopped_run_is_measured_until_then() {
        let mut run = open(vec![call(1, End::Status(200)), call(2, End::Status(200))]);
        (run.time, run.unfinished) = (SECOND, Some(3));
        let summary = Summary::of(&run, None);
        assert_eq!(summary.goodput.unwrap().per_second, 2.0);
        assert_eq!(summary.pace.as_ref().unwrap().offered_per_second, 2.0);
        assert!(
            summary.to_string().contains("INTERRUPTED: not counted are 3 requests in flight"),
            "{summary}"
        );
    }

    #[test]
    fn a_run_without_requests_has_numbers_too() {
        let summary = Summary::of(&Run { time: Duration::ZERO, ..open(vec![]) }, None);
        let goodput = summary.goodput.unwrap();
        assert_eq!((goodput.per_second, goodput.share, summary.per_second), (0.0, 0.0, 0.0));
        assert!(summary.valid);
    }
}
