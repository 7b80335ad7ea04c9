//! What the proxy says about itself.

use crate::raw::Raw;

/// Its metrics at one moment.
#[derive(Debug)]
pub(crate) struct Figures(String);

const HONEST: &str = "gauge=\"honest\"";
const IN_FLIGHT: &str = "pushback_in_flight{";

impl Figures {
    pub(crate) async fn of(admin: &str) -> Self {
        let mut scraper = Raw::connect(admin).await;
        Figures(scraper.get(admin, "/metrics").await.expect("the admin listener answers").body)
    }

    /// The sum of all of one name that have these labels; 0 as long as there is none.
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let lines = self.0.lines().filter(|line| line.starts_with(name));
        let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Of the gauge of honest calls.
    pub(crate) fn limit(&self) -> f64 {
        self.sum("pushback_limit{", &[HONEST])
    }

    pub(crate) fn in_flight(&self) -> f64 {
        self.sum(IN_FLIGHT, &[])
    }

    pub(crate) fn in_flight_beside_honest(&self) -> f64 {
        self.in_flight() - self.sum(IN_FLIGHT, &[HONEST])
    }

    /// What must not have happened and has, and what must have, or it was no attack, and has not.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let refused = |gauge| self.sum("pushback_refused_total{", &[gauge]);
        let overloads = |gauge| self.sum("pushback_ended_total{", &[gauge, "outcome=\"overload\""]);
        let stalled = |gauge| self.sum("pushback_stalled_total{", &[gauge]);
        let nothing = [
            ("faults", self.sum("pushback_internal_errors_total", &[])),
            ("overloads of the honest gauge", overloads(HONEST)),
        ];
        let something = [
            ("overloads by a service with faults", overloads("gauge=\"faults\"")),
            ("refusals of those who ask for much and leave", refused("gauge=\"dear\"")),
            ("readers and senders cut off", stalled("gauge=\"bodies\"")),
        ];
        println!("{nothing:?} {something:?}, {} refusals of the honest gauge", refused(HONEST));
        let too_many = nothing.iter().filter(|(_, count)| *count > 0.0);
        let too_few = something.iter().filter(|(_, count)| *count < 1.0);
        too_many.chain(too_few).map(|(what, count)| format!("{what}: {count}")).collect()
    }
}
