//! Standings for a terminal.

use std::fmt::Write;

use super::{
    contest::{PhaseStandings, Standings},
    score::Summary,
};
use crate::words::count;

/// Where not even the oracle answers so many percent in time, a limit that comes to all of the oracle's goodput does little good.
const HARDLY_ANYBODY: f64 = 10.0;

/// Each limit over all scenarios, the best first, and then each scenario.
pub fn table(standings: &Standings) -> String {
    let mut text = String::new();
    let _ = write_table(&mut text, standings);
    text
}

fn write_table(text: &mut String, standings: &Standings) -> std::fmt::Result {
    let order = best_first(standings);
    writeln!(
        text,
        "{}, {}from the {} {}, {}; goodput in % of the oracle's\n",
        count(standings.scenarios.len() as u64, "scenario"),
        if standings.scenarios.len() == 1 { "" } else { "each " },
        if standings.initials.len() == 1 { "limit" } else { "limits" },
        standings.initials.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        count(standings.seeds, "seed")
    )?;
    writeln!(
        text,
        "{:<18}{:>9}{:>9}{:>9}{:>9}{:>15}{:>22}{:>14}",
        "limit", "worst", "p5", "p25", "mean", "mean of worst", "refused at half load", "converges in"
    )?;
    for (name, summary) in &order {
        writeln!(
            text,
            "{name:<18}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>15.1}{:>22}{:>12.1} s",
            summary.worst_percent_of_oracle,
            summary.p5_percent_of_oracle,
            summary.p25_percent_of_oracle,
            summary.mean_percent_of_oracle,
            summary.mean_worst_percent_of_oracle,
            refused_at_half_load(summary),
            summary.converges_in_seconds
        )?;
    }
    let width = order.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(11) + 1;
    let longest =
        standings.scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0).max(8) + 1;
    write!(text, "\n{:<longest$}{:>14}", "scenario", "oracle's limit")?;
    for (name, _) in &order {
        write!(text, "{name:>width$}")?;
    }
    writeln!(text)?;
    for scenario in &standings.scenarios {
        let limits = scenario.phases.iter().map(|phase| phase.oracle_limit);
        let (least, most) = (limits.clone().min().unwrap_or(0), limits.max().unwrap_or(0));
        let oracle = if least == most { least.to_string() } else { format!("{least}–{most}") };
        write!(text, "{:<longest$}{oracle:>14}", scenario.name)?;
        for (name, _) in &order {
            let cell = scenario.limits.get(*name).map_or(String::new(), |standing| {
                format!("{:.0}/{:.0}", standing.worst_percent_of_oracle, standing.mean_percent_of_oracle)
            });
            write!(text, "{cell:>width$}")?;
        }
        writeln!(text)?;
    }
    for scenario in &standings.scenarios {
        if let Some(served) = served_by_oracle(&scenario.phases).filter(|served| *served < HARDLY_ANYBODY) {
            writeln!(
                text,
                "\n{}: even the oracle answers only {served:.0} % of the requests in time",
                scenario.name
            )?;
        }
    }
    Ok(())
}

/// Nothing was measured where no phase is healthy.
pub(super) fn refused_at_half_load(summary: &Summary) -> String {
    summary
        .false_refusals_percent_half_load
        .map_or_else(|| "-".to_owned(), |percent| format!("{percent:.3} %"))
}

/// Which part of the requests the oracle answers in time, in percent, if it is known how many come.
fn served_by_oracle(phases: &[PhaseStandings]) -> Option<f64> {
    let come: Option<f64> = phases.iter().map(|phase| phase.rate.map(|rate| rate * phase.seconds)).sum();
    let served: f64 = phases.iter().map(|phase| phase.oracle_goodput * phase.seconds).sum();
    come.filter(|come| *come > 0.0).map(|come| 100.0 * served / come)
}

/// The best worst case comes first, and what is there to fail comes last.
pub(super) fn best_first(standings: &Standings) -> Vec<(&str, &Summary)> {
    let mut order: Vec<_> =
        standings.summary.iter().map(|(name, summary)| (name.as_str(), summary)).collect();
    let is_mutant = |name: &str| standings.mutants.iter().any(|mutant| mutant == name);
    order.sort_by(|(a_name, a), (b_name, b)| {
        let mutants = is_mutant(a_name).cmp(&is_mutant(b_name));
        let worst = b.worst_percent_of_oracle.total_cmp(&a.worst_percent_of_oracle);
        mutants.then(worst).then(b.mean_percent_of_oracle.total_cmp(&a.mean_percent_of_oracle))
    });
    order
}
