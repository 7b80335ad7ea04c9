//! The event loop: a scenario in virtual time, through the gauge that production runs.
//!
//! A request's way: it *comes* by its schedule, is *sent* to the gauge, is admitted, waits in the gauge's line or is
//! refused; admitted, it *visits* one station after the other; it *ends* when it leaves the last, or when its caller hangs up.
//! Whoever has no answer may send it again. `run/way.rs` reads in this order.
//!
//! What a call meets by chance (its kind, its work) comes from its own seed. So all limits meet the same calls, and differ
//! only by what they do with them.

mod call;
mod event;
mod way;
mod world;

use std::{
    collections::BinaryHeap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pushback::{BuildError, Line, Outcome, OwnedPermit, PressureGauge};
use rand_xoshiro::{SplitMix64, rand_core::SeedableRng};

use self::{
    call::{Call, Request, State, mixed},
    event::{Event, What},
};
use super::{
    clock::{Nanos, SharedClock, VirtualClock, nanos},
    record::{Notes, Record, STEP, Span},
    scenario::{self, Discipline, HangUp, Phase, Scenario},
    station::Station,
};
use crate::{
    arrivals::Schedule,
    limits::{Utilisation, steering::Steering},
};

/// The line that a scenario wants.
fn line_of(line: &scenario::Line) -> Line {
    let places = line.places.whole();
    let made = match line.discipline {
        Discipline::Fifo => Line::fifo(places),
        Discipline::Lifo => Line::lifo(places),
        Discipline::Codel => Line::codel(places),
        Discipline::AdaptiveLifo => Line::adaptive_lifo(places),
    };
    made.wait_at_most(line.wait.0)
}

/// Runs a scenario. The same seed gives the same run.
///
/// # Errors
///
/// If a setting of the limit is wrong.
pub fn run(scenario: &Scenario, steering: Steering, seed: u64) -> Result<Record, BuildError> {
    Simulation::new(scenario, steering, seed).map(Simulation::run)
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    limits: Vec<u32>,
    /// How long after its phase has begun each of them is set.
    late: Nanos,
    utilisation: Option<Utilisation>,
    /// Whether calls bring their deadlines.
    tells: bool,
    seed: u64,
    now: Nanos,
    end: Nanos,
    clock: Arc<VirtualClock>,
    gauge: PressureGauge,
    stations: Vec<Station>,
    events: BinaryHeap<Event>,
    number: u64,
    phase: usize,
    begins: Vec<Nanos>,
    schedule: Option<Schedule>,
    next_arrival: Option<Nanos>,
    requests: u64,
    /// How many callers of a closed loop there are now.
    callers: u32,
    calls: Vec<Call>,
    free: Vec<u32>,
    woken: Arc<Mutex<Vec<u32>>>,
    in_service: u32,
    in_flight: u32,
    in_flight_since: Nanos,
    /// How much time calls were in flight before this phase, all together.
    in_flight_seconds_before: f64,
    /// How many retries are allowed now.
    budget: f64,
    notes: Notes,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, steering: Steering, seed: u64) -> Result<Self, BuildError> {
        let mut begin = 0;
        let spans: Vec<Span> = scenario
            .phases
            .iter()
            .map(|phase| {
                let span = Span { begin, end: begin + nanos(phase.lasts.0), is_healthy: phase.healthy };
                begin = span.end;
                span
            })
            .collect();
        let clock = Arc::new(VirtualClock::new());
        let line = scenario.line.as_ref().map_or(Line::fifo(0), line_of);
        let builder = PressureGauge::builder().line(line).clock(SharedClock(Arc::clone(&clock))).seed(seed);
        let tells = matches!(steering, Steering::Limit { tells: true, .. });
        let (gauge, limits, late, utilisation) = match steering {
            Steering::Limit { limit, utilisation, .. } => {
                (builder.limit(limit).build()?, Vec::new(), 0, Some(utilisation))
            }
            Steering::ByPhase { limits, late } => {
                let (first, late) = late.unwrap_or((limits.first().copied().unwrap_or(1), Duration::ZERO));
                (builder.limit(first).build()?, limits, nanos(late), None)
            }
        };
        Ok(Simulation {
            scenario,
            limits,
            late,
            utilisation,
            tells,
            seed,
            now: 0,
            end: begin,
            clock,
            gauge,
            stations: scenario.stations.iter().map(|station| Station::new(station.capacity(None))).collect(),
            events: BinaryHeap::new(),
            number: 0,
            phase: 0,
            begins: spans.iter().map(|span| span.begin).collect(),
            schedule: None,
            next_arrival: None,
            requests: 0,
            callers: 0,
            calls: Vec::new(),
            free: Vec::new(),
            woken: Arc::default(),
            in_service: 0,
            in_flight: 0,
            in_flight_since: 0,
            in_flight_seconds_before: 0.0,
            budget: 0.0,
            notes: Notes::new(spans, nanos(scenario.warmup.0), scenario.routes.len().max(1)),
        })
    }

    fn run(mut self) -> Record {
        for (index, begin) in self.begins.clone().into_iter().enumerate() {
            self.note(begin, What::Phase(index));
        }
        self.note(nanos(STEP), What::Step);
        if let Some(pause) = self.scenario.pause {
            self.note(nanos(pause.every.0), What::Pause(true));
        }
        while self.step() {}
        self.finish()
    }

    /// Does what comes next; `false` at the end.
    fn step(&mut self) -> bool {
        let ending = (0..self.stations.len())
            .filter_map(|index| Some((self.stations[index].next_end()?, index)))
            .min()
            .unwrap_or((Nanos::MAX, 0));
        let arriving = self.next_arrival.unwrap_or(Nanos::MAX);
        let noted = self.events.peek().map_or(Nanos::MAX, |event| event.at);
        let next = ending.0.min(arriving).min(noted);
        if next > self.end {
            return false;
        }
        self.now = next;
        self.clock.set(next);
        if noted == next {
            if let Some(event) = self.events.pop() {
                self.happen(event.what);
            }
        } else if ending.0 == next {
            self.leave_station(ending.1);
        } else {
            self.arrive();
        }
        self.look_after_line();
        true
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Phase(index) => self.begin_phase(index),
            What::Limit(phase) => self.set_limit(phase),
            What::Step => self.end_step(),
            What::Pause(begins) => self.pause(begins),
            What::Warm { phase, station } => self.warm(phase, station),
            What::Ring(alarm) => alarm.ring(),
            What::TimeOut { call, generation } => self.time_out(call, generation),
            What::Overloaded { call, generation } => {
                if self.call(call).generation == generation {
                    self.end(call, Outcome::Overload);
                }
            }
            What::Send(request) => self.send(request),
            What::Ask(caller) => self.ask(caller),
        }
    }

    fn note(&mut self, at: Nanos, what: What) {
        self.number += 1;
        self.events.push(Event { at, number: self.number, what });
    }

    fn this_phase(&self) -> &'a Phase {
        &self.scenario.phases[self.phase]
    }

    fn finish(mut self) -> Record {
        self.end_phase();
        let (now, calls) = (self.now, std::mem::take(&mut self.calls));
        for call in &calls {
            if matches!(call.state, State::Running(_) | State::Unnoticed(_)) {
                self.notes.record.call_seconds += (now - call.admitted) as f64 / 1e9;
            }
        }
        let snapshot = self.gauge.snapshot();
        self.notes.record.refusals = snapshot.refused;
        self.notes.record.moves = snapshot.why.map(|why| why.moves).unwrap_or_default();
        self.notes.record
    }
}

/// What is kept of calls.
impl Simulation<'_> {
    fn call(&mut self, index: u32) -> &mut Call {
        &mut self.calls[index as usize]
    }

    fn new_call(&mut self, request: Request) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
            self.calls.push(Call::new(request, index, &self.woken));
            index
        });
        let seed = mixed(self.seed, request.number << 8 | u64::from(request.attempt));
        let now = self.now;
        let routes = &self.scenario.routes;
        let call = self.call(index);
        call.request = request;
        call.sent = now;
        call.chance = SplitMix64::seed_from_u64(seed);
        call.route = request.route;
        if !routes.is_empty() {
            // What chose the route when the request came.
            call.roll();
        }
        index
    }

    /// Which route a request takes, by the first number that its call meets.
    fn route(&self, number: u64) -> usize {
        let routes = &self.scenario.routes;
        let total: f64 = routes.iter().map(|route| route.share.0).sum();
        let mut left = call::number(&mut SplitMix64::seed_from_u64(mixed(self.seed, number << 8))) * total;
        let chosen = routes.iter().position(|route| {
            left -= route.share.0;
            left < 0.0
        });
        chosen.unwrap_or(routes.len().saturating_sub(1))
    }

    fn forget(&mut self, index: u32) {
        let call = self.call(index);
        call.state = State::Free;
        call.place = None;
        call.generation += 1;
        self.free.push(index);
    }

    fn give_back(&mut self, index: u32, permit: OwnedPermit) {
        let (now, admitted) = (self.now, self.call(index).admitted);
        self.notes.record.call_seconds += (now - admitted) as f64 / 1e9;
        self.count_in_flight(-1);
        drop(permit);
    }

    fn count_in_flight(&mut self, change: i32) {
        let passed = (self.now - self.in_flight_since) as f64 / 1e9;
        self.notes.record.in_flight_seconds += passed * f64::from(self.in_flight);
        self.in_flight_since = self.now;
        self.in_flight = self.in_flight.saturating_add_signed(change);
    }

    /// Lets those see to their turn who were woken, and notes the alarms that the line has set.
    fn look_after_line(&mut self) {
        if self.scenario.line.is_none() {
            return;
        }
        loop {
            let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
            if woken.is_empty() {
                break;
            }
            for index in woken {
                self.poll_line(index);
            }
        }
        for (at, alarm) in self.clock.new_alarms() {
            self.note(at.max(self.now), What::Ring(alarm));
        }
    }
}
