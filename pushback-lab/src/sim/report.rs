//! Standings as one page with plots, which needs nothing else.

use std::{cmp::Reverse, error::Error, fmt};

use super::{
    chart::{Line, Scale, chart},
    contest::{ScenarioStandings, Standings},
    record::{Record, STEP, StepRecord},
    table::{best_first, refused_at_half_load},
};
use crate::words;

/// The page could not be drawn.
#[derive(Debug)]
pub struct ReportError(String);

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot draw the report: {}", self.0)
    }
}

impl Error for ReportError {}

/// The page.
///
/// # Errors
///
/// If a plot cannot be drawn.
pub fn report(standings: &Standings) -> Result<String, ReportError> {
    let mut page = Page { text: String::with_capacity(1 << 20) };
    page.write(standings).map_err(|error| ReportError(error.to_string()))?;
    Ok(page.text)
}

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1rem }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .55rem; text-align: right; white-space: nowrap } th:first-child, td:first-child, details td { text-align: left; white-space: normal }
thead th { border-bottom: 1px solid #888; vertical-align: bottom } .wide { overflow-x: auto }
a { color: #0b5394 } .key { display: inline-block; width: 1.4rem; height: .3rem; vertical-align: middle; margin: 0 .3rem 0 .8rem }
svg { width: 100%; height: auto; display: block } .mutant { color: #888 } .wrong { color: #b00020 }";

/// More lines than this in one plot cannot be told apart.
const LINES_MAX: usize = 8;

/// The palette by Okabe and Ito, which people with any kind of colour vision can tell apart; black is the oracle's.
const COLOURS: [Colour; LINES_MAX] = [
    (0x00, 0x72, 0xB2),
    (0xD5, 0x5E, 0x00),
    (0x00, 0x9E, 0x73),
    (0xCC, 0x79, 0xA7),
    (0xE6, 0x9F, 0x00),
    (0x56, 0xB4, 0xE9),
    (0x99, 0x99, 0x99),
    (0x7B, 0x3F, 0x00),
];

struct Page {
    text: String,
}

impl Page {
    fn write(&mut self, standings: &Standings) -> Result<(), Box<dyn Error>> {
        self.add("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
        self.add(
            "<meta name=\"viewport\" content=\"width=device-width\"><title>Limits against the oracle</title>",
        );
        self.add(&format!("<style>{STYLE}</style><h1>Limits against the oracle</h1>"));
        let initials: Vec<_> = standings.initials.iter().map(ToString::to_string).collect();
        self.add(&format!(
            "<p>{}, {}with {} and from {} as the first limit. The oracle is the best fixed limit of each \
             phase. Numbers are goodput, requests answered in time, in percent of the oracle’s: the worst run, that below which \
             one in twenty and one in four are (p5, p25), and the mean of all.</p>",
            words::count(standings.scenarios.len() as u64, "scenario"),
            if standings.scenarios.len() == 1 { "" } else { "each " },
            words::count(standings.seeds, "seed"),
            list(&initials)
        ));
        self.summary(standings);
        self.matrix(standings);
        let shown = shown(standings);
        for scenario in &standings.scenarios {
            self.scenario(scenario, &shown)?;
        }
        self.add("</html>\n");
        Ok(())
    }

    fn summary(&mut self, standings: &Standings) {
        self.add(
            "<table><thead><tr><th>limit<th>worst<th>p5<th>p25<th>mean<th>mean of the<br>scenarios’ worst<th>refused at<br>half load\
             <th>finds its way<br>in</thead>",
        );
        for (name, summary) in best_first(standings) {
            let class =
                if standings.mutants.iter().any(|mutant| mutant == name) { " class=mutant" } else { "" };
            self.add(&format!(
                "<tr{class}><td>{}<td>{:.1} %<td>{:.1} %<td>{:.1} %<td>{:.1} %<td>{:.1} %<td>{}<td>{:.1} s",
                escaped(name),
                summary.worst_percent_of_oracle,
                summary.p5_percent_of_oracle,
                summary.p25_percent_of_oracle,
                summary.mean_percent_of_oracle,
                summary.mean_worst_percent_of_oracle,
                refused_at_half_load(summary),
                summary.converges_in_seconds
            ));
        }
        self.add("</table>");
        if !standings.mutants.is_empty() {
            let mutants: Vec<_> = standings.mutants.iter().map(|name| escaped(name)).collect();
            self.add(&format!(
                "<p>There to fail, so that the scenarios are seen to tell good from bad: {}.</p>",
                list(&mutants)
            ));
        }
    }

    fn matrix(&mut self, standings: &Standings) {
        let order = best_first(standings);
        self.add("<h2>Worst and mean of each scenario</h2><div class=wide><table><thead><tr><th>scenario");
        for (name, _) in &order {
            self.add(&format!("<th>{}", escaped(name)));
        }
        self.add("</thead>");
        for scenario in &standings.scenarios {
            let name = escaped(&scenario.name);
            self.add(&format!("<tr><td><a href=\"#{name}\">{name}</a>"));
            for (limit, _) in &order {
                let Some(standing) = scenario.limits.get(*limit) else { continue };
                let worst = standing.worst_percent_of_oracle;
                // White at the oracle's goodput, red where nothing is left of it.
                let lightness = 62.0 + 0.38 * worst;
                self.add(&format!(
                    "<td style=\"background:hsl(12 90% {lightness:.0}%)\">{worst:.0} / {:.0}",
                    standing.mean_percent_of_oracle
                ));
            }
        }
        self.add("</table></div>");
    }

    fn scenario(&mut self, scenario: &ScenarioStandings, shown: &[&str]) -> Result<(), Box<dyn Error>> {
        let name = escaped(&scenario.name);
        self.add(&format!("<h2 id=\"{name}\">{name}</h2><p>{}</p>", escaped(&scenario.shows)));
        for line in &scenario.unexpected {
            self.add(&format!("<p class=wrong>Not as expected: {}</p>", escaped(line)));
        }
        self.add("<table><thead><tr><th>from<th>requests<br>a second<th>oracle’s<br>limit<th>oracle’s<br>goodput</thead>");
        for phase in &scenario.phases {
            let rate = phase.rate.map_or("closed".to_owned(), |rate| format!("{rate:.0}"));
            self.add(&format!(
                "<tr><td>{:.0} s<td>{rate}<td>{}<td>{:.0}",
                phase.begins, phase.oracle_limit, phase.oracle_goodput
            ));
        }
        self.add("</table><p><span class=key style=\"background:#000\"></span>oracle");
        let runs: Vec<(&str, &Record)> = shown
            .iter()
            .filter_map(|name| Some((*name, scenario.limits.get(*name)?.shown.as_ref()?)))
            .collect();
        for ((name, _), (r, g, b)) in runs.iter().zip(COLOURS) {
            self.add(&format!(
                "<span class=key style=\"background:rgb({r} {g} {b})\"></span>{}",
                escaped(name)
            ));
        }
        self.add("</p>");
        let begins: Vec<f64> = scenario.phases.iter().map(|phase| phase.begins).collect();
        let plots: [Plot; 3] = [
            ("limit", Scale::Logarithmic, |part| part.limit),
            ("answered in time, a second", Scale::Linear, |part| {
                part.good / (part.steps * STEP.as_secs_f64())
            }),
            ("mean time of admitted calls, ms", Scale::Logarithmic, |part| part.mean_ms),
        ];
        for (title, scale, value) in plots {
            let mut lines: Vec<Line> =
                runs.iter().zip(COLOURS).map(|((_, record), colour)| line(record, value, colour)).collect();
            lines.extend(scenario.oracle.as_ref().map(|record| line(record, value, ORACLE)));
            self.add(&chart(title, scale, &begins, &lines)?);
        }
        self.moves(&runs);
        Ok(())
    }

    /// Why the limits moved.
    fn moves(&mut self, runs: &[(&str, &Record)]) {
        self.add("<details><summary>Why they moved</summary><table>");
        for (name, record) in runs {
            let all: u64 = record.moves.values().sum();
            let mut causes: Vec<_> = record.moves.iter().collect();
            causes.sort_by_key(|(_, count)| Reverse(**count));
            let causes: Vec<_> =
                causes.iter().map(|(cause, count)| format!("{} {count}", escaped(cause))).collect();
            self.add(&format!(
                "<tr><td>{}<td>{}<td>{}",
                escaped(name),
                words::count(all, "move"),
                causes.join("; ")
            ));
        }
        self.add("</table></details>");
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
    }
}

/// A plot's title, its scale, and what it shows of a part of a run.
type Plot = (&'static str, Scale, fn(&Part) -> f64);

type Colour = (u8, u8, u8);

const ORACLE: Colour = (0, 0, 0);

fn line(record: &Record, value: fn(&Part) -> f64, colour: Colour) -> Line {
    let point = |part: &Part| (part.at * STEP.as_secs_f64(), value(part));
    let points = parts(record).iter().map(point).filter(|(_, y)| y.is_finite()).collect();
    Line { name: None, colour, width: if colour == ORACLE { 2 } else { 1 }, points }
}

/// One plot alone, as SVG: how the limits moved in a scenario, and the oracle's.
///
/// # Errors
///
/// If it cannot be drawn.
pub fn plot(standings: &Standings, scenario: &ScenarioStandings) -> Result<String, ReportError> {
    let named = |record: &Record, name: &str, colour| {
        let name = Some(name.to_owned());
        Line { name, ..line(record, |part| part.limit, colour) }
    };
    let oracle = scenario.oracle.as_ref().map(|record| named(record, "the oracle", ORACLE));
    let shown = shown(standings);
    let runs = shown.iter().zip(COLOURS).filter_map(|(name, colour)| {
        let record = scenario.limits.get(*name)?.shown.as_ref()?;
        Some(named(record, name, colour))
    });
    let begins: Vec<f64> = scenario.phases.iter().map(|phase| phase.begins).collect();
    let title = format!("{}: the limit", scenario.name);
    let lines: Vec<Line> = oracle.into_iter().chain(runs).collect();
    chart(&title, Scale::Logarithmic, &begins, &lines).map_err(|error| ReportError(error.to_string()))
}

/// Some steps of a run together, so that long runs are not drawn in more points than there are pixels.
struct Part {
    at: f64,
    steps: f64,
    limit: f64,
    good: f64,
    /// No number, where no call ended.
    mean_ms: f64,
}

fn parts(record: &Record) -> Vec<Part> {
    const PARTS: usize = 240;
    let size = record.steps.len().div_ceil(PARTS).max(1);
    let part = |(index, steps): (usize, &[StepRecord])| {
        let sum = |value: fn(&StepRecord) -> f64| steps.iter().map(value).sum::<f64>();
        let count = steps.len() as f64;
        Part {
            at: (index * size) as f64 + count / 2.0,
            steps: count,
            limit: sum(|step| f64::from(step.limit)) / count,
            good: sum(|step| f64::from(step.good)),
            mean_ms: 1000.0 * sum(|step| f64::from(step.time)) / sum(|step| f64::from(step.ended)),
        }
    };
    record.steps.chunks(size).enumerate().map(part).collect()
}

/// Whose lines are drawn: the best that are no mutants.
fn shown(standings: &Standings) -> Vec<&str> {
    let all = best_first(standings).into_iter().map(|(name, _)| name);
    all.filter(|name| !standings.mutants.iter().any(|mutant| mutant == name)).take(LINES_MAX).collect()
}

fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Text that nothing in it can make markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
