//! A summary as people read it.

use std::fmt;

use super::{Goodput, Pace, Summary};
use crate::{load::End, words::count};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", count(self.requests, "request"), self.url)?;
        if let Some(callers) = self.concurrency {
            write!(f, ", {callers} at a time")?;
        }
        if let Some(Pace { arrivals, rate, seed, duration, .. }) = &self.pace {
            write!(f, ", {arrivals} at {rate} a second for {duration} s with seed {seed}")?;
        }
        let (seconds, rate, errors) = (self.seconds, self.per_second, self.errors_in_words());
        writeln!(f, ", in {seconds:.2} s: {errors}{rate:.1} answers a second")?;
        if let Some(pace) = &self.pace {
            write_pace(pace, f)?;
        }
        if let Some(goodput) = &self.goodput {
            write_goodput(goodput, f)?;
        }
        if let Some(unfinished) = self.unfinished {
            writeln!(f, "INTERRUPTED: not counted are {} in flight", count(unfinished, "request"))?;
        }
        // Why, and what to do about it, is for whoever reports the failure.
        if !self.valid {
            writeln!(f, "INVALID: the figures do not tell what the service can do")?;
        }
        self.write_table(f)
    }
}

fn write_pace(pace: &Pace, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [p50, p99, max] = [pace.lag.p50_ms, pace.lag.p99_ms, pace.lag.max_ms].map(readable);
    writeln!(
        f,
        "offered {:.1} a second, sent {:.1} a second with a lag of p50 {p50}, p99 {p99}, max {max}",
        pace.offered_per_second, pace.sent_per_second
    )
}

fn write_goodput(goodput: &Goodput, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let percent = goodput.share * 100.0;
    write!(f, "goodput {:.1} a second, {percent:.1} % of the requests: status", goodput.per_second)?;
    match goodput.slo_ms {
        Some(slo) => writeln!(f, " below 400 within {slo} ms"),
        None => writeln!(f, " below 400"),
    }
}

impl Summary {
    /// The errors among the answers, if they are most of all that came of the requests: refusals are none.
    fn errors_in_words(&self) -> String {
        let is_error = |status: u16| End::Status(status).is_admitted() && !End::Status(status).is_good();
        let errors = self.statuses.iter().filter(|(status, _)| is_error(**status));
        if 2 * errors.clone().map(|(_, times)| times.count).sum::<u64>() <= self.requests {
            return String::new();
        }
        let each: Vec<_> = errors.map(|(status, times)| format!("{} with {status}", times.count)).collect();
        format!("{}; ", each.join(", ").replacen(" with", " answered with", 1))
    }

    fn write_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
