//! A request's way.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pushback::{Arrival, Outcome, OwnedPermit, Permit};
use rand_xoshiro::{SplitMix64, rand_core::SeedableRng};

use super::{
    HangUp, Nanos, Simulation,
    call::{Request, State, mixed, number},
    event::What,
    nanos,
};

impl Simulation<'_> {
    pub(super) fn arrive(&mut self) {
        self.schedule_next();
        self.come(None);
    }

    /// A caller of a closed loop asks, if it is still there.
    pub(super) fn ask(&mut self, caller: u32) {
        if caller < self.callers {
            self.come(Some(caller));
        }
    }

    pub(super) fn come(&mut self, caller: Option<u32>) {
        self.requests += 1;
        let (number, route) = (self.requests, self.route(self.requests));
        let request = Request { born: self.now, phase: self.phase, number, route, attempt: 0, caller };
        self.notes.came(request.born, request.phase, route);
        if let Some(share) = self.scenario.client.budget {
            // As many as ten may be saved up.
            self.budget = (self.budget + share.0).min(10.0);
        }
        self.send(request);
    }

    pub(super) fn send(&mut self, request: Request) {
        self.notes.sent(request.born, request.phase);
        let index = self.new_call(request);
        let is_retry = self.scenario.client.tells_retries && request.attempt > 0;
        let mut arrival = Arrival::new().retry(is_retry);
        if let Some(route) = self.scenario.routes.get(request.route) {
            let cost = route.cost.map_or(1, |cost| cost.whole());
            arrival = arrival.cost(cost).priority(route.priority);
        }
        if self.tells {
            arrival = arrival.deadline(self.clock.instant(self.now) + self.scenario.patience());
        }
        if let Some(timeout) = self.scenario.client.timeout {
            let generation = self.call(index).generation;
            self.note(self.now + nanos(timeout.0), What::TimeOut { call: index, generation });
        }
        if self.scenario.line.is_some() {
            let acquire = self.gauge.acquire_for(arrival).into_owned();
            self.call(index).state = State::InLine(acquire);
            self.poll_line(index);
            // Once more: who is answered often is asked to let others go first, and here there are none.
            self.poll_line(index);
        } else {
            let admitted = self.gauge.try_acquire_for(arrival).map(Permit::into_owned);
            match admitted {
                Ok(permit) => self.admit(index, permit),
                Err(_) => self.refuse(index),
            }
        }
    }

    pub(super) fn poll_line(&mut self, index: u32) {
        let call = self.call(index);
        let State::InLine(acquire) = &mut call.state else { return };
        match Pin::new(acquire).poll(&mut Context::from_waker(&call.waker)) {
            Poll::Pending => (),
            Poll::Ready(Ok(permit)) => self.admit(index, permit),
            Poll::Ready(Err(_)) => self.refuse(index),
        }
    }

    pub(super) fn admit(&mut self, index: u32, permit: OwnedPermit) {
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
    pub(super) fn visit(&mut self, index: u32, from: usize) {
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
        let fails = scenario.routes.get(self.call(index).route).and_then(|route| route.fails);
        let is_failure = fails.or(scenario.fails).is_some_and(|part| self.call(index).roll() < part.0);
        self.end(index, if is_failure { Outcome::Overload } else { Outcome::Success });
    }

    pub(super) fn leave_station(&mut self, station: usize) {
        let Some(index) = self.stations[station].end_next(self.now) else { return };
        if let State::Abandoned = self.call(index).state {
            self.forget(index);
        } else {
            self.visit(index, station + 1);
        }
    }

    /// The service is done with a call.
    pub(super) fn end(&mut self, index: u32, outcome: Outcome) {
        let now = self.now;
        let call = self.call(index);
        let (request, sent) = (call.request, call.sent);
        let (mut permit, is_wanted) = match std::mem::replace(&mut call.state, State::Free) {
            State::Running(permit) => (permit, true),
            State::Unnoticed(permit) => (permit, false),
            State::Free | State::InLine(_) | State::Abandoned => return,
        };
        self.in_service -= 1;
        let is_told = is_wanted || self.scenario.client.hang_up == HangUp::Unnoticed;
        permit.record(if is_told { outcome } else { Outcome::Cancelled });
        self.give_back(index, permit);
        self.forget(index);
        if is_wanted {
            self.notes.ended(request.born, request.phase, now, now - sent);
            let is_good = outcome == Outcome::Success && now - sent <= nanos(self.scenario.deadline.0);
            if is_good {
                self.notes.good(request.born, request.phase, request.route);
            }
            if outcome == Outcome::Overload { self.retry_refused(request) } else { self.answered(request) }
        }
    }

    pub(super) fn refuse(&mut self, index: u32) {
        let request = self.call(index).request;
        self.notes.refused(request.born, request.phase, self.now);
        self.forget(index);
        self.retry_refused(request);
    }

    pub(super) fn retry_refused(&mut self, request: Request) {
        if self.scenario.client.retries_refused && self.retry(request) {
            return;
        }
        self.notes.lost_to_refusal(request.born, request.phase, request.route);
        self.answered(request);
    }

    pub(super) fn time_out(&mut self, index: u32, generation: u32) {
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
            State::Running(permit) => self.hang_up_on(index, permit),
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

    fn hang_up_on(&mut self, index: u32, permit: OwnedPermit) {
        let hang_up = self.scenario.client.hang_up;
        if hang_up == HangUp::Noticed {
            self.abandon(index, permit);
        } else if hang_up == HangUp::Begun && self.leaves_queue(index) {
            self.cancel(index, permit);
            self.forget(index);
        } else {
            self.call(index).state = State::Unnoticed(permit);
        }
    }

    /// Gives the place back at once; what queues is dropped, what has begun is done to its end.
    pub(super) fn abandon(&mut self, index: u32, permit: OwnedPermit) {
        self.cancel(index, permit);
        if self.leaves_queue(index) {
            self.forget(index);
        }
    }

    fn cancel(&mut self, index: u32, mut permit: OwnedPermit) {
        permit.record(Outcome::Cancelled);
        self.in_service -= 1;
        self.give_back(index, permit);
    }

    /// Takes a call out of the queue that it is in, unless it has begun. Whoever is in no station is being told that there are too many.
    fn leaves_queue(&mut self, index: u32) -> bool {
        let place = self.call(index).place;
        place.is_none_or(|(station, ticket)| self.stations[station].leave(ticket))
    }

    /// Sends a request again, if its caller does such things.
    pub(super) fn retry(&mut self, request: Request) -> bool {
        let client = self.scenario.client;
        let retries = client.retries.map_or(0.0, |retries| retries.0);
        if f64::from(request.attempt) >= retries || (client.budget.is_some() && self.budget < 1.0) {
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
    pub(super) fn answered(&mut self, request: Request) {
        if let Some(caller) = request.caller {
            self.think(caller, mixed(self.seed, request.number));
        }
    }

    pub(super) fn think(&mut self, caller: u32, seed: u64) {
        let think = self
            .this_phase()
            .think
            .map_or(0.0, |think| -think.nanos() * (1.0 - number(&mut SplitMix64::seed_from_u64(seed))).ln());
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        let at = self.now.saturating_add(think as Nanos);
        self.note(at, What::Ask(caller));
    }
}
