//! Gauges by the settings that are in force, and what they take over from those before.

use std::collections::BTreeMap;

use pushback::{
    DryRunMode, PressureGauge,
    limit::{Auto, Limit},
};

use crate::{proxy::settings::GaugeSettings, settings::LimitChoice};

/// Where limits stood, by the names of their gauges.
pub(in crate::proxy) type Stood = BTreeMap<String, u32>;

/// How the gauge says why a limit stands where an operator wants it.
const OPERATORS: &str = "by an operator";

/// A gauge and the settings that it was made by.
pub(super) type Settled<'a> = (&'a GaugeSettings, &'a PressureGauge);

/// The gauges before.
#[derive(Default)]
pub(super) struct Before<'a> {
    pub(super) in_force: Vec<Settled<'a>>,
    /// Those of still earlier settings that somebody uses.
    pub(super) retired: Vec<Settled<'a>>,
}

impl Before<'_> {
    /// Where the limit of this gauge stands, if it finds itself before and after. One that stands where it would begin anyway, and has never
    /// moved, has found nothing yet: it should begin as any other does.
    fn stood(&self, settings: &GaugeSettings) -> Option<u32> {
        let is_same = |was: &GaugeSettings| {
            was.name == settings.name && [&was.limit, &settings.limit] == [&LimitChoice::AUTO; 2]
        };
        let (_, gauge) = self.in_force.iter().find(|(was, _)| is_same(was))?;
        let snapshot = gauge.snapshot();
        let has_moved = snapshot.why.is_some_and(|why| !why.moves.is_empty());
        let first = Auto::new().start().map(|start| start.limit);
        (has_moved || first != Ok(snapshot.limit)).then_some(snapshot.limit)
    }

    /// Where an operator keeps the limit of this gauge, if these settings say the same of that as those before.
    fn pinned(&self, settings: &GaugeSettings) -> Option<u32> {
        let is_same = |was: &GaugeSettings| (&was.name, &was.limit) == (&settings.name, &settings.limit);
        let (_, gauge) = self.in_force.iter().find(|(was, _)| is_same(was))?;
        let snapshot = gauge.snapshot();
        snapshot.pinned.then_some(snapshot.limit)
    }

    /// Whether an operator has paused the gauge of this name.
    fn is_paused(&self, name: &str) -> bool {
        self.in_force.iter().any(|(was, gauge)| was.name == name && gauge.snapshot().paused)
    }
}

/// A gauge for these settings, paused if the one before was, and pinned where it was, if they do not say otherwise.
/// Where there is none before, a limit that finds itself goes on from where it is remembered to have stood.
pub(super) fn gauge_of(
    settings: &GaugeSettings,
    before: &Before<'_>,
    remembered: &Stood,
) -> Result<PressureGauge, String> {
    let gauge = kept_or_new(settings, before, remembered)?;
    let pinned = before.pinned(settings);
    if let Some(limit) = pinned.filter(|_| !gauge.snapshot().pinned) {
        gauge.pin(limit);
    }
    match (before.is_paused(&settings.name), gauge.snapshot().paused) {
        (true, false) => gauge.pause(),
        (false, true) => gauge.resume(), // it was retired while it was paused
        _ => (),
    }
    Ok(gauge)
}

/// The gauge before, if it can become that of these settings, or one that goes on from where its limit stood.
fn kept_or_new(
    settings: &GaugeSettings,
    before: &Before<'_>,
    remembered: &Stood,
) -> Result<PressureGauge, String> {
    let is_kept = |(was, _): &&Settled<'_>| was.is_kept_by(settings);
    let in_force = before.in_force.iter().find(is_kept);
    let stood = before.stood(settings).filter(|_| in_force.is_none());
    let dry_run = if settings.is_dry_run { DryRunMode::On } else { DryRunMode::Off };
    if let Some((was, gauge)) = in_force.or_else(|| before.retired.iter().find(is_kept)) {
        // Since it was in force, another has learned.
        if let Some(limit) = stood {
            gauge.set_limit(limit);
        }
        // What an operator has set in the meantime stays, unless the file says something new.
        if let (LimitChoice::Fixed(limit), true) = (&settings.limit, was.limit != settings.limit) {
            gauge.set_limit(*limit);
        }
        if was.is_dry_run != settings.is_dry_run {
            gauge.set_dry_run(dry_run);
        }
        return Ok((*gauge).clone());
    }
    let line = settings.line_discipline.line(settings.line).wait_at_most(settings.line_wait);
    let gauge = PressureGauge::builder().name(&settings.name).line(line);
    let stood = stood.or_else(|| remembered.get(&settings.name).copied());
    let gauge = gauge.limit(settings.told_limit(stood));
    let gauge = gauge.dry_run(dry_run).build().map_err(|error| error.to_string())?;
    // An operator wants nothing admitted.
    if stood == Some(0) {
        gauge.set_limit(0);
    }
    Ok(gauge)
}

/// Where the limit of a gauge stands by what it has found. Nothing, if it has not moved yet, or what was last said about it is an operator's
/// word: set, pinned, or let go and not yet judged.
pub(super) fn found(gauge: &PressureGauge) -> Option<u32> {
    let snapshot = gauge.snapshot();
    let why = snapshot.why?;
    let is_operators = why.reason.is_some_and(|reason| reason.ends_with(OPERATORS));
    (!why.moves.is_empty() && !is_operators).then_some(snapshot.limit)
}

impl GaugeSettings {
    /// The limit, with all that it is told. One that finds itself goes on from where it stood, if it did.
    fn told_limit(&self, stood: Option<u32>) -> Box<dyn Limit> {
        if self.limit != LimitChoice::AUTO {
            return Box::new(self.limit.clone());
        }
        let auto = Auto::new();
        let auto = stood.map_or(auto.clone(), |limit| auto.resume(limit));
        let auto = self.patience.map_or(auto.clone(), |time| auto.patience(time));
        let auto = self.time_max.map_or(auto.clone(), |time| auto.time_max(time));
        Box::new(auto)
    }

    /// Whether a gauge is the one of the other settings too, without being made anew.
    pub(super) fn is_kept_by(&self, other: &GaugeSettings) -> bool {
        let is_same_kind = match (&self.limit, &other.limit) {
            (LimitChoice::Fixed(_), LimitChoice::Fixed(_)) => true,
            (LimitChoice::Moving(before), LimitChoice::Moving(after)) => before == after,
            _ => false,
        };
        self.name == other.name
            && is_same_kind
            && (self.patience, self.time_max) == (other.patience, other.time_max)
            && (self.line, self.line_wait, self.line_discipline)
                == (other.line, other.line_wait, other.line_discipline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_said_of_times_is_told_to_the_limit_that_finds_itself() {
        let told = |limit, patience, time_max| {
            let (line, line_wait) = (0, Duration::from_secs(1));
            let name = "a".to_owned();
            let line_discipline = Default::default();
            let settings = GaugeSettings {
                name,
                limit,
                patience,
                time_max,
                line,
                line_wait,
                line_discipline,
                is_dry_run: false,
            };
            format!("{:?}", settings.told_limit(None))
        };
        let (patience, time_max) = (Duration::from_secs(2), Duration::from_millis(150));
        let auto = Auto::new();
        assert_eq!(told(LimitChoice::AUTO, None, None), format!("{auto:?}"));
        let auto = auto.patience(patience).time_max(time_max);
        assert_eq!(told(LimitChoice::AUTO, Some(patience), Some(time_max)), format!("{auto:?}"));
        let vegas = LimitChoice::Moving("vegas");
        assert_eq!(told(vegas.clone(), None, None), format!("{vegas:?}"));
    }

    #[test]
    fn what_an_operator_said_last_is_nothing_that_the_limit_has_found() {
        let gauge = PressureGauge::auto();
        let judge = || {
            while found(&gauge).is_none() {
                gauge.process(|| ()).unwrap();
            }
        };
        assert_eq!(found(&gauge), None, "it begins");
        judge();
        gauge.set_limit(77);
        assert_eq!(found(&gauge), None);
        judge();
        gauge.pin(78);
        assert_eq!(found(&gauge), None);
        gauge.unpin();
        assert_eq!(found(&gauge), None);
        judge();
        gauge.set_limit(0);
        assert_eq!(found(&gauge), None);
    }
}
