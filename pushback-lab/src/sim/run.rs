//! The event loop: a scenario in virtual time, through the gauge that production runs.
//!
//! A request's way: it *comes* by its schedule, is *sent* to the gauge, is admitted, waits in the gauge's line or is
//! refused; admitted, it *visits* one station after the other; it *ends* when it leaves the last, or when its caller hangs up.
//! Whoever has no answer may send it again.
//!
//! What a call meets by chance (its kind, its work) comes from its own seed. So all limits meet the same calls, and differ
//! only by what they do with them.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use pushback::{
    Acquire, Alarm, Arrival, BuildError, Line, Outcome, OwnedPermit, Permit, PressureGauge, limit::Limit,
};
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng, SeedableRng},
};

use super::{
    clock::{Nanos, SharedClock, VirtualClock, nanos},
    record::{Notes, Record, STEP, Span},
    scenario::{HangUp, Phase, Scenario},
    station::Station,
};
use crate::{arrivals::Schedule, limits::Utilisation};

/// What steers the gauge of a run.
#[derive(Debug)]
pub enum Steering {
    /// A limit that moves, or does not.
    Limit {
        /// The limit.
        limit: Box<dyn Limit>,
        /// Where it looks if it wants to know how busy the service is.
        utilisation: Utilisation,
    },
    /// One fixed limit for each phase.
    ByPhase(Vec<u32>),
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
    utilisation: Option<Utilisation>,
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
    /// How many retries are allowed now.
    budget: f64,
    notes: Notes,
}

/// A call at the gauge and in the service.
struct Call {
    request: Request,
    sent: Nanos,
    admitted: Nanos,
    route: usize,
    chance: SplitMix64,
    /// Which station it is in, and its number there.
    place: Option<(usize, u64)>,
    state: State,
    /// How often this entry was used: an old time-out must not meet a new call.
    generation: u32,
    waker: Waker,
}

enum State {
    Free,
    InLine(Acquire<'static>),
    /// Holding a place.
    Running(OwnedPermit),
    /// Holding a place, though its caller is gone.
    Unnoticed(OwnedPermit),
    /// Work that nobody wants and that holds no place.
    Abandoned,
}

/// What a user wants: one call, or several if it must be repeated.
#[derive(Clone, Copy)]
struct Request {
    born: Nanos,
    phase: usize,
    number: u64,
    attempt: u32,
    caller: Option<u32>,
}

struct Event {
    at: Nanos,
    /// Of those at one time, the one that was noted first comes first.
    number: u64,
    what: What,
}

enum What {
    Phase(usize),
    Step,
    Pause(bool),
    Warm {
        phase: usize,
        station: usize,
    },
    Ring(Alarm),
    TimeOut {
        call: u32,
        generation: u32,
    },
    /// The service says no by itself.
    Overloaded {
        call: u32,
        generation: u32,
    },
    Send(Request),
    /// A caller of a closed loop has thought.
    Ask(u32),
}

const WARMING_STEPS: u64 = 50;

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
        let line = scenario
            .line
            .map_or(Line::fifo(0), |line| Line::fifo(line.places.whole()).wait_at_most(line.wait.0));
        let builder = PressureGauge::builder().line(line).clock(SharedClock(Arc::clone(&clock)));
        let (gauge, limits, utilisation) = match steering {
            Steering::Limit { limit, utilisation } => {
                (builder.limit(limit).build()?, Vec::new(), Some(utilisation))
            }
            Steering::ByPhase(limits) => {
                (builder.limit(limits.first().copied().unwrap_or(1)).build()?, limits, None)
            }
        };
        Ok(Simulation {
            scenario,
            limits,
            utilisation,
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
            budget: 0.0,
            notes: Notes::new(spans, nanos(scenario.warmup.0)),
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
        self.count_in_flight(0);
        let (now, calls) = (self.now, std::mem::take(&mut self.calls));
        for call in &calls {
            if matches!(call.state, State::Running(_) | State::Unnoticed(_)) {
                self.notes.record.call_seconds += (now - call.admitted) as f64 / 1e9;
            }
        }
        self.notes.record
    }
}

/// What the scenario does.
impl Simulation<'_> {
    fn begin_phase(&mut self, index: usize) {
        self.phase = index;
        let phase = self.this_phase();
        if let Some(limit) = self.limits.get(index) {
            self.gauge.set_limit(*limit);
        }
        for (index, station) in self.scenario.stations.iter().enumerate() {
            let change = phase.change.get(&station.name);
            self.stations[index].change(self.now, station.capacity(change));
            if let Some(warms) = change.and_then(|change| change.warms) {
                let at = self.now + nanos(warms.0) / WARMING_STEPS;
                self.note(at, What::Warm { phase: self.phase, station: index });
            }
        }
        let seed = mixed(self.seed, index as u64);
        self.schedule = phase
            .rate
            .filter(|rate| rate.0 > 0.0)
            .map(|rate| phase.arrivals.arrivals().schedule(rate.0, seed));
        self.schedule_next();
        let before = std::mem::replace(&mut self.callers, phase.callers.map_or(0, |callers| callers.whole()));
        for caller in before..self.callers {
            self.think(caller, seed ^ u64::from(caller));
        }
    }

    fn schedule_next(&mut self) {
        let begin = self.begins[self.phase];
        self.next_arrival =
            self.schedule.as_mut().and_then(Iterator::next).map(|offset| begin.saturating_add(nanos(offset)));
    }

    fn warm(&mut self, phase: usize, station: usize) {
        let settings = &self.scenario.stations[station];
        let Some(change) = self.this_phase().change.get(&settings.name).filter(|_| phase == self.phase)
        else {
            return;
        };
        let (Some(warms), mut capacity) = (change.warms, settings.capacity(Some(change))) else { return };
        let passed = self.now - self.begins[phase];
        let part = (passed as f64 / warms.nanos()).min(1.0);
        capacity.speed += (1.0 - capacity.speed) * part;
        self.stations[station].change(self.now, capacity);
        if part < 1.0 {
            let at = self.now + (nanos(warms.0) / WARMING_STEPS).max(1);
            self.note(at, What::Warm { phase, station });
        }
    }

    fn pause(&mut self, begins: bool) {
        let Some(pause) = self.scenario.pause else { return };
        for (station, settings) in self.stations.iter_mut().zip(&self.scenario.stations) {
            if !settings.is_delay() {
                station.pause(self.now, begins);
            }
        }
        let lasts = nanos(pause.lasts.0);
        let after = if begins { lasts } else { nanos(pause.every.0).saturating_sub(lasts).max(1) };
        self.note(self.now + after, What::Pause(!begins));
    }

    fn end_step(&mut self) {
        self.notes.limit(self.now, self.gauge.snapshot().limit);
        if let Some(utilisation) = &self.utilisation {
            let (now, step) = (self.now, nanos(STEP) as f64);
            let busiest = self.stations.iter_mut().filter_map(|station| {
                let busy = station.take_busy(now);
                station.servers().map(|servers| busy / (servers * step))
            });
            utilisation.set(busiest.fold(0.0, f64::max).min(1.0));
        }
        self.note(self.now + nanos(STEP), What::Step);
    }
}

/// A request's way.
impl Simulation<'_> {
    fn arrive(&mut self) {
        self.schedule_next();
        self.come(None);
    }

    /// A caller of a closed loop asks, if it is still there.
    fn ask(&mut self, caller: u32) {
        if caller < self.callers {
            self.come(Some(caller));
        }
    }

    fn come(&mut self, caller: Option<u32>) {
        self.requests += 1;
        let request =
            Request { born: self.now, phase: self.phase, number: self.requests, attempt: 0, caller };
        self.notes.came(request.born, request.phase);
        if let Some(share) = self.scenario.client.budget {
            // As many as ten may be saved up.
            self.budget = (self.budget + share.0).min(10.0);
        }
        self.send(request);
    }

    fn send(&mut self, request: Request) {
        self.notes.record.calls += 1;
        let index = self.new_call(request);
        let cost = self.scenario.routes.get(self.call(index).route).and_then(|route| route.cost);
        let arrival = Arrival::new().cost(cost.map_or(1, |cost| cost.whole()));
        if let Some(timeout) = self.scenario.client.timeout {
            let generation = self.call(index).generation;
            self.note(self.now + nanos(timeout.0), What::TimeOut { call: index, generation });
        }
        if self.scenario.line.is_some() {
            let acquire = self.gauge.acquire_for(arrival).into_owned();
            self.call(index).state = State::InLine(acquire);
            self.poll_line(index);
        } else {
            let admitted = self.gauge.try_acquire_for(arrival).map(Permit::into_owned);
            match admitted {
                Ok(permit) => self.admit(index, permit),
                Err(_) => self.refuse(index),
            }
        }
    }

    fn poll_line(&mut self, index: u32) {
        let call = self.call(index);
        let State::InLine(acquire) = &mut call.state else { return };
        match Pin::new(acquire).poll(&mut Context::from_waker(&call.waker)) {
            Poll::Pending => (),
            Poll::Ready(Ok(permit)) => self.admit(index, permit),
            Poll::Ready(Err(_)) => self.refuse(index),
        }
    }

    fn admit(&mut self, index: u32, permit: OwnedPermit) {
        let now = self.now;
        let call = self.call(index);
        call.state = State::Running(permit);
        call.admitted = now;
        self.in_service += 1;
        self.count_in_flight(1);
        match self.scenario.overload {
            Some(overload) if self.in_service > overload.above.whole() => {
                let generation = self.call(index).generation;
                self.note(now + nanos(overload.after.0), What::Overloaded { call: index, generation });
            }
            _ => self.visit(index, 0),
        }
    }

    /// Goes on to the next station that the call passes through, from this one on.
    fn visit(&mut self, index: u32, from: usize) {
        let scenario = self.scenario;
        for (number, station) in scenario.stations.iter().enumerate().skip(from) {
            let call = self.call(index);
            if station.share.is_some_and(|share| call.roll() >= share.0) {
                continue;
            }
            let factor = scenario.routes.get(call.route).map_or(1.0, |route| route.work.0);
            let work = station.time.nanos(call.roll()) * factor;
            let ticket = self.stations[number].enter(self.now, index, work);
            self.call(index).place = Some((number, ticket));
            return;
        }
        self.end(index, Outcome::Success);
    }

    fn leave_station(&mut self, station: usize) {
        let Some(index) = self.stations[station].end_next(self.now) else { return };
        if let State::Abandoned = self.call(index).state {
            self.forget(index);
        } else {
            self.visit(index, station + 1);
        }
    }

    /// The service is done with a call.
    fn end(&mut self, index: u32, outcome: Outcome) {
        let now = self.now;
        let call = self.call(index);
        let (request, sent) = (call.request, call.sent);
        let (mut permit, is_wanted) = match std::mem::replace(&mut call.state, State::Free) {
            State::Running(permit) => (permit, true),
            State::Unnoticed(permit) => (permit, false),
            State::Free | State::InLine(_) | State::Abandoned => return,
        };
        self.in_service -= 1;
        permit.record(outcome);
        self.give_back(index, permit);
        self.forget(index);
        if is_wanted {
            self.notes.ended(request.born, request.phase, now, now - sent);
            let is_good = outcome == Outcome::Success && now - sent <= nanos(self.scenario.deadline.0);
            if is_good {
                self.notes.good(request.born, request.phase);
            }
            if outcome == Outcome::Overload { self.retry_refused(request) } else { self.answered(request) }
        }
    }

    fn refuse(&mut self, index: u32) {
        let request = self.call(index).request;
        self.notes.refused(request.born, request.phase, self.now);
        self.forget(index);
        self.retry_refused(request);
    }

    fn retry_refused(&mut self, request: Request) {
        if self.scenario.client.retries_refused && self.retry(request) {
            return;
        }
        self.notes.lost_to_refusal(request.born, request.phase);
        self.answered(request);
    }

    fn time_out(&mut self, index: u32, generation: u32) {
        let is_noticed = self.scenario.client.hang_up == HangUp::Noticed;
        let now = self.now;
        let call = self.call(index);
        if call.generation != generation {
            return;
        }
        let (request, sent) = (call.request, call.sent);
        match std::mem::replace(&mut call.state, State::Abandoned) {
            State::InLine(acquire) => {
                drop(acquire);
                self.forget(index);
            }
            State::Running(permit) if is_noticed => self.abandon(index, permit),
            State::Running(permit) => call.state = State::Unnoticed(permit),
            other => {
                call.state = other;
                return;
            }
        }
        self.notes.ended(request.born, request.phase, now, now - sent);
        if !self.retry(request) {
            self.answered(request);
        }
    }

    /// Gives the place back at once; what queues is dropped, what has begun is done to its end.
    fn abandon(&mut self, index: u32, mut permit: OwnedPermit) {
        permit.record(Outcome::Cancelled);
        self.in_service -= 1;
        self.give_back(index, permit);
        // Whoever is in no station is being told that there are too many.
        let has_begun =
            self.call(index).place.is_some_and(|(station, ticket)| !self.stations[station].leave(ticket));
        if !has_begun {
            self.forget(index);
        }
    }

    /// Sends a request again, if its caller does such things.
    fn retry(&mut self, request: Request) -> bool {
        let client = self.scenario.client;
        if request.attempt >= client.retries || (client.budget.is_some() && self.budget < 1.0) {
            return false;
        }
        if client.budget.is_some() {
            self.budget -= 1.0;
        }
        let at = self.now + client.backoff.map_or(0, |backoff| nanos(backoff.0));
        self.note(at, What::Send(Request { attempt: request.attempt + 1, ..request }));
        true
    }

    /// A request is over; in a closed loop, its caller thinks about the next.
    fn answered(&mut self, request: Request) {
        if let Some(caller) = request.caller {
            self.think(caller, mixed(self.seed, request.number));
        }
    }

    fn think(&mut self, caller: u32, seed: u64) {
        let think = self
            .this_phase()
            .think
            .map_or(0.0, |think| -think.nanos() * (1.0 - number(&mut SplitMix64::seed_from_u64(seed))).ln());
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        let at = self.now.saturating_add(think as Nanos);
        self.note(at, What::Ask(caller));
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
        call.route = if routes.is_empty() {
            0
        } else {
            let total: f64 = routes.iter().map(|route| route.share.0).sum();
            let mut left = call.roll() * total;
            let chosen = routes.iter().position(|route| {
                left -= route.share.0;
                left < 0.0
            });
            chosen.unwrap_or(routes.len() - 1)
        };
        index
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

impl Call {
    fn new(request: Request, index: u32, woken: &Arc<Mutex<Vec<u32>>>) -> Self {
        Call {
            request,
            sent: 0,
            admitted: 0,
            route: 0,
            chance: SplitMix64::seed_from_u64(0),
            place: None,
            state: State::Free,
            generation: 0,
            waker: Waker::from(Arc::new(Bell { index, woken: Arc::clone(woken) })),
        }
    }

    fn roll(&mut self) -> f64 {
        number(&mut self.chance)
    }
}

/// Notes who was woken.
struct Bell {
    index: u32,
    woken: Arc<Mutex<Vec<u32>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}

/// A random number, 0 to below 1.
fn number(random: &mut SplitMix64) -> f64 {
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Another seed for each of many uses of one.
fn mixed(seed: u64, number: u64) -> u64 {
    SplitMix64::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next_u64()
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The earliest is the greatest, for the heap gives the greatest first.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
