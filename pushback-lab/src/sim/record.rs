//! What a run was like, in numbers.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use pushback::Refusals;

use super::clock::{Nanos, nanos};

/// The parts of a run's series: long enough for some calls, short enough to see a limit move.
pub const STEP: Duration = Duration::from_millis(250);

/// After so long into a phase, latencies count as those of a limit that has found its way.
const SETTLING: Duration = Duration::from_secs(5);
/// After so long into a healthy phase, nobody should be refused.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// A run.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its phases.
    pub phases: Vec<PhaseRecord>,
    /// Its steps, of [`STEP`] each.
    pub steps: Vec<StepRecord>,
    /// How many calls asked the gauge, retries among them.
    pub calls: u64,
    /// How many calls the gauge refused, by reason.
    pub refusals: Refusals,
    /// How many times the limit moved, by cause.
    pub moves: BTreeMap<&'static str, u64>,
    /// How much time all calls together were in flight, by how many were at each moment, in seconds.
    pub in_flight_seconds: f64,
    /// The same by how long each call was; by Little's law there is no difference.
    pub call_seconds: f64,
}

/// A phase of a run. A request belongs to the phase in which it came.
#[derive(Debug, Clone)]
pub struct PhaseRecord {
    /// How long it counts: without the run's warm-up.
    pub seconds: f64,
    /// Requests that came while it counted.
    pub requests: u64,
    /// Those that were answered in time.
    pub good: u64,
    /// Those that were refused, in the end.
    pub refused: u64,
    /// The same by route, in the scenario's order.
    pub routes: Vec<RouteRecord>,
    /// Which part of the time in places went to calls that had not ended at the phase's end.
    pub unfinished: f64,
    /// Calls in a healthy phase, retries among them, once the limit had its time.
    pub healthy_calls: u64,
    /// How many of those were refused.
    pub healthy_refusals: u64,
    /// How long admitted calls took, in microseconds, in the first seconds of the phase.
    pub settling: Histogram<u32>,
    /// And after them.
    pub settled: Histogram<u32>,
}

/// What became of the requests of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteRecord {
    /// Requests that came while the phase counted.
    pub requests: u64,
    /// Those that were answered in time.
    pub good: u64,
    /// Those that were refused, in the end.
    pub refused: u64,
}

/// A part of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepRecord {
    /// Requests that came.
    pub requests: u32,
    /// Those among them that were answered in time.
    pub good: u32,
    /// Calls that were refused.
    pub refused: u32,
    /// The limit at the end.
    pub limit: u32,
    /// How long admitted calls took that ended, all together, in seconds.
    pub time: f32,
    /// How many they were.
    pub ended: u32,
}

/// When a phase is, and what counts of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) begin: Nanos,
    pub(super) end: Nanos,
    pub(super) is_healthy: bool,
}

/// Takes notes during a run.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) record: Record,
    spans: Vec<Span>,
    warmup: Nanos,
}

impl Notes {
    pub(super) fn new(spans: Vec<Span>, warmup: Nanos, routes: usize) -> Self {
        let end = spans.last().map_or(0, |span| span.end);
        let steps = end.div_ceil(nanos(STEP));
        let phases = spans.iter().map(|span| PhaseRecord::new(span, warmup, routes)).collect();
        let record = Record {
            phases,
            steps: vec![StepRecord::default(); usize::try_from(steps).unwrap_or(0)],
            calls: 0,
            refusals: Refusals::default(),
            moves: BTreeMap::new(),
            in_flight_seconds: 0.0,
            call_seconds: 0.0,
        };
        Notes { record, spans, warmup }
    }

    pub(super) fn came(&mut self, born: Nanos, phase: usize, route: usize) {
        if born >= self.warmup {
            let phase = &mut self.record.phases[phase];
            phase.requests += 1;
            phase.routes[route].requests += 1;
        }
        self.step(born).requests += 1;
    }

    /// A call asks the gauge: the request itself, or a retry.
    pub(super) fn sent(&mut self, born: Nanos, phase: usize) {
        self.record.calls += 1;
        if self.is_healthy(born, phase) {
            self.record.phases[phase].healthy_calls += 1;
        }
    }

    pub(super) fn good(&mut self, born: Nanos, phase: usize, route: usize) {
        if born >= self.warmup {
            let phase = &mut self.record.phases[phase];
            phase.good += 1;
            phase.routes[route].good += 1;
        }
        self.step(born).good += 1;
    }

    pub(super) fn refused(&mut self, born: Nanos, phase: usize, now: Nanos) {
        if self.is_healthy(born, phase) {
            self.record.phases[phase].healthy_refusals += 1;
        }
        self.step(now).refused += 1;
    }

    pub(super) fn lost_to_refusal(&mut self, born: Nanos, phase: usize, route: usize) {
        if born >= self.warmup {
            let phase = &mut self.record.phases[phase];
            phase.refused += 1;
            phase.routes[route].refused += 1;
        }
    }

    /// An admitted call was answered, or its caller hung up.
    pub(super) fn ended(&mut self, born: Nanos, phase: usize, now: Nanos, time: Nanos) {
        let span = self.spans[phase];
        let record = &mut self.record.phases[phase];
        let histogram =
            if born < span.begin + nanos(SETTLING) { &mut record.settling } else { &mut record.settled };
        histogram.saturating_record(time / 1000);
        let step = self.step(now);
        step.ended += 1;
        step.time += time as f32 / 1e9;
    }

    pub(super) fn unfinished(&mut self, phase: usize, part: f64) {
        self.record.phases[phase].unfinished = part;
    }

    pub(super) fn limit(&mut self, now: Nanos, limit: u32) {
        self.step(now.saturating_sub(1)).limit = limit;
    }

    fn is_healthy(&self, born: Nanos, phase: usize) -> bool {
        let span = self.spans[phase];
        span.is_healthy && born >= span.begin + nanos(HEALTHY_AFTER)
    }

    fn step(&mut self, at: Nanos) -> &mut StepRecord {
        let last = self.record.steps.len() - 1;
        let index = usize::try_from(at / nanos(STEP)).unwrap_or(last).min(last);
        &mut self.record.steps[index]
    }
}

impl PhaseRecord {
    fn new(span: &Span, warmup: Nanos, routes: usize) -> Self {
        // From a microsecond to a minute, to two digits: such a histogram can be built, and saturates beyond.
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 2).expect("the bounds are right");
        PhaseRecord {
            seconds: span.end.saturating_sub(span.begin.max(warmup)) as f64 / 1e9,
            requests: 0,
            good: 0,
            refused: 0,
            routes: vec![RouteRecord::default(); routes],
            unfinished: 0.0,
            healthy_calls: 0,
            healthy_refusals: 0,
            settling: histogram.clone(),
            settled: histogram,
        }
    }
}
