//! What the scenario does.

use super::{
    Nanos, STEP, Simulation,
    call::{Call, State, mixed},
    event::What,
    nanos,
};

const WARMING_STEPS: u64 = 50;

impl Simulation<'_> {
    pub(super) fn begin_phase(&mut self, index: usize) {
        if index > 0 {
            self.end_phase();
        }
        self.phase = index;
        let phase = self.this_phase();
        if self.late == 0 {
            self.set_limit(index);
        } else if !self.limits.is_empty() {
            self.note(self.now + self.late, What::Limit(index));
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

    /// Sees what it leaves to the next one.
    pub(super) fn end_phase(&mut self) {
        self.count_in_flight(0);
        let begin = self.begins[self.phase];
        let seconds = self.notes.record.in_flight_seconds - self.in_flight_seconds_before;
        self.in_flight_seconds_before = self.notes.record.in_flight_seconds;
        let runs = |call: &&Call| matches!(call.state, State::Running(_) | State::Unnoticed(_));
        let unfinished = self.calls.iter().filter(runs).map(|call| self.now - call.admitted.max(begin));
        let unfinished = unfinished.sum::<Nanos>() as f64 / 1e9;
        self.notes.unfinished(self.phase, if seconds > 0.0 { unfinished / seconds } else { 0.0 });
    }

    /// Sets the limit that is known before for this phase, if it is still that.
    pub(super) fn set_limit(&mut self, phase: usize) {
        if let Some(limit) = self.limits.get(phase).filter(|_| phase == self.phase) {
            self.gauge.set_limit(*limit);
        }
    }

    pub(super) fn schedule_next(&mut self) {
        let begin = self.begins[self.phase];
        self.next_arrival =
            self.schedule.as_mut().and_then(Iterator::next).map(|offset| begin.saturating_add(nanos(offset)));
    }

    pub(super) fn warm(&mut self, phase: usize, station: usize) {
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

    pub(super) fn pause(&mut self, begins: bool) {
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

    pub(super) fn end_step(&mut self) {
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
