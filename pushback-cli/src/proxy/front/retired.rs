//! What other settings have taken away and somebody still uses: it goes on in the figures, and the end waits for it.

use std::sync::{Arc, Weak};

use pushback::PressureGauge;

use super::{route::Route, upgraded::Upgraded};
use crate::proxy::settings::GaugeSettings;

/// The routes that led to it, which calls have until their answer begins.
type Ways = Vec<Weak<Route>>;

#[derive(Clone, Default)]
pub(super) struct Retired {
    gauges: Vec<(GaugeSettings, PressureGauge, Ways)>,
    upgraded: Vec<(Upgraded, Ways)>,
}

impl Retired {
    pub(super) fn add_gauge<'a>(
        &mut self,
        settings: &GaugeSettings,
        gauge: &PressureGauge,
        routes: impl Iterator<Item = &'a Arc<Route>>,
    ) {
        let ways = routes.map(Arc::downgrade).collect();
        self.gauges.push((settings.clone(), gauge.clone(), ways));
    }

    pub(super) fn add_upgraded(&mut self, route: &Arc<Route>) {
        self.upgraded.push((route.upgraded.clone(), vec![Arc::downgrade(route)]));
    }

    /// Those of this route, which is there again.
    pub(super) fn upgraded(&self, route: &str) -> Option<&Upgraded> {
        self.upgraded.iter().map(|(upgraded, _)| upgraded).find(|upgraded| upgraded.route() == route)
    }

    pub(super) fn forget_upgraded(&mut self, route: &str) {
        self.upgraded.retain(|(upgraded, _)| upgraded.route() != route);
    }

    /// Forgets what nobody uses any more, once its figures say so.
    pub(super) fn forget_unused(&mut self) {
        self.gauges.retain(|(_, gauge, ways)| {
            let is_used = is_reached(ways) || in_flight(gauge) > 0;
            if !is_used {
                gauge.publish_metrics();
            }
            is_used
        });
        self.upgraded.retain(|(upgraded, ways)| {
            let is_used = is_reached(ways) || upgraded.open() > 0;
            if !is_used {
                upgraded.publish_metrics();
            }
            is_used
        });
    }

    pub(super) fn gauges(&self) -> impl Iterator<Item = &PressureGauge> {
        self.gauges.iter().map(|(_, gauge, _)| gauge)
    }

    pub(super) fn gauges_as_they_were(&self) -> impl Iterator<Item = (&GaugeSettings, &PressureGauge)> {
        self.gauges.iter().map(|(settings, gauge, _)| (settings, gauge))
    }

    /// Those that are there again.
    pub(super) fn forget_gauges(&mut self, is_back: impl Fn(&GaugeSettings) -> bool) {
        self.gauges.retain(|(settings, ..)| !is_back(settings));
    }

    pub(super) fn all_upgraded(&self) -> impl Iterator<Item = &Upgraded> {
        self.upgraded.iter().map(|(upgraded, _)| upgraded)
    }
}

/// Whether a call may still come by.
fn is_reached(ways: &Ways) -> bool {
    ways.iter().any(|route| route.strong_count() > 0)
}

/// How many calls run, those among them that a dry run lets run beside the limit.
pub(super) fn in_flight(gauge: &PressureGauge) -> u64 {
    let snapshot = gauge.snapshot();
    let beside = snapshot.dry_run.map_or(0, |dry_run| dry_run.phantoms);
    u64::from(snapshot.in_flight) + u64::from(beside)
}
