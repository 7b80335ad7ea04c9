//! What is on the terminal.

use std::collections::{BTreeMap, VecDeque};

use ratatui::{
    Frame as Area,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, LegendPosition, Paragraph, Row, Table, TableState},
};

use super::{
    frame::{ByPriority, Frame, Gauge, Times},
    words::{ago, rate, reason, time},
};

/// A minute of frames is kept for the plot, at four a second.
const FRAMES: usize = 240;
/// Rates are those of the last so many frames.
const RATE_FRAMES: usize = 4;
/// How many seconds a plot spans at least.
const SPAN_MIN: f64 = 15.0;
const REFUSALS: u16 = 6;
const PLOT_MIN: u16 = 8;

/// The last frames, and which gauge is looked at.
pub(super) struct Screen {
    source: String,
    /// Why there are no frames now.
    lost: Option<String>,
    last: Option<Frame>,
    histories: BTreeMap<String, VecDeque<Moment>>,
    table: TableState,
}

/// A gauge at one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    seconds: f64,
    limit: u32,
    /// Phantoms among them.
    in_flight: u32,
    in_line: u32,
    admitted: u64,
    refused: u64,
}

impl Screen {
    pub(super) fn new(source: String) -> Self {
        let table = TableState::default().with_selected(0);
        Screen { source, lost: None, last: None, histories: BTreeMap::new(), table }
    }

    pub(super) fn add(&mut self, frame: Frame) {
        let frame = frame.visible();
        self.lost = None;
        self.histories.retain(|name, _| frame.gauges.iter().any(|gauge| gauge.title == *name));
        for gauge in &frame.gauges {
            let history = self.histories.entry(gauge.title.clone()).or_default();
            let moment = Moment::of(gauge, frame.seconds);
            if history.back().is_some_and(|last| !moment.follows(last)) {
                history.clear();
            }
            history.push_back(moment);
            if history.len() > FRAMES {
                history.pop_front();
            }
        }
        // Whoever is looked at stays so, whatever comes and goes around it.
        let chosen = self.chosen().map(|gauge| gauge.title.clone());
        let chosen = chosen.and_then(|title| frame.gauges.iter().position(|gauge| gauge.title == title));
        self.last = Some(frame);
        self.table.select(Some(chosen.unwrap_or_default()));
    }

    /// The server is gone, for this reason.
    pub(super) fn lose(&mut self, reason: String) {
        self.lost = Some(reason);
    }

    /// Looks at another gauge, so many further down.
    pub(super) fn choose(&mut self, further: isize) {
        let last = self.gauges().len().saturating_sub(1);
        let chosen = self.table.selected().unwrap_or_default().saturating_add_signed(further);
        self.table.select(Some(chosen.min(last)));
    }

    fn chosen(&self) -> Option<&Gauge> {
        self.gauges().get(self.table.selected()?)
    }

    fn gauges(&self) -> &[Gauge] {
        self.last.as_ref().map_or(&[], |frame| &frame.gauges)
    }

    /// Admitted and refused a second.
    fn rates(&self, name: &str) -> (f64, f64) {
        let empty = VecDeque::new();
        let history = self.histories.get(name).unwrap_or(&empty);
        let from = history.iter().rev().nth(RATE_FRAMES).or(history.front());
        let Some((from, to)) = from.zip(history.back()) else { return (0.0, 0.0) };
        let passed = to.seconds - from.seconds;
        let rate =
            |from: u64, to: u64| if passed > 0.0 { to.saturating_sub(from) as f64 / passed } else { 0.0 };
        (rate(from.admitted, to.admitted), rate(from.refused, to.refused))
    }

    pub(super) fn draw(&mut self, area: &mut Area<'_>) {
        let gauges = u16::try_from(self.gauges().len()).unwrap_or(u16::MAX).saturating_add(1);
        let [title, table, detail, refusals, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Max(gauges),
            Constraint::Min(PLOT_MIN),
            Constraint::Length(REFUSALS + 1),
            Constraint::Length(1),
        ])
        .areas(area.area());
        let state = match &self.lost {
            Some(reason) => format!("{reason}; trying again").red().bold(),
            None => "live".green(),
        };
        area.render_widget(
            Line::from(vec!["pushback ".bold(), Span::from(self.source.as_str()), "  ".into(), state]),
            title,
        );
        self.draw_table(area, table);
        self.draw_detail(area, detail);
        area.render_widget(self.refusals(), refusals);
        area.render_widget(Line::from("↑ ↓ choose a gauge   q end").dim(), keys);
    }

    fn draw_table(&mut self, area: &mut Area<'_>, place: Rect) {
        let rows: Vec<Row<'_>> = self.gauges().iter().map(|gauge| Row::new(self.cells(gauge))).collect();
        let widths = [
            Constraint::Fill(2),
            Constraint::Length(13),
            Constraint::Length(8),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(9),
            Constraint::Length(9),
        ];
        let table = Table::new(rows, widths)
            .header(Row::new(HEADER).style(Style::new().dim()))
            .row_highlight_style(Style::new().reversed());
        area.render_stateful_widget(table, place, &mut self.table);
    }

    fn cells(&self, gauge: &Gauge) -> [String; 7] {
        let (admitted, refused) = self.rates(&gauge.title);
        let time =
            |of: fn(&Times) -> f64| gauge.times.as_ref().map_or("–".to_owned(), |times| time(of(times)));
        [
            format!("{}{}", gauge.title, marks(gauge)),
            format!("{} of {}", gauge.in_flight, gauge.limit),
            gauge.in_line.to_string(),
            rate(admitted),
            rate(refused),
            time(|times| times.p50_seconds),
            time(|times| times.p99_seconds),
        ]
    }

    fn draw_detail(&self, area: &mut Area<'_>, place: Rect) {
        let Some(gauge) = self.chosen() else { return };
        let said = self.said(gauge);
        let lines = u16::try_from(said.len()).unwrap_or(u16::MAX);
        let [plot, text] = Layout::vertical([Constraint::Min(3), Constraint::Length(lines)]).areas(place);
        self.draw_plot(area, plot, gauge);
        area.render_widget(Paragraph::new(said), text);
    }

    fn draw_plot(&self, area: &mut Area<'_>, place: Rect, gauge: &Gauge) {
        let Some(history) = self.histories.get(&gauge.title) else { return };
        let now = history.back().map_or(0.0, |moment| moment.seconds);
        // A plot that has just begun is not stretched to nothing.
        let span = history.front().map_or(0.0, |first| now - first.seconds).max(SPAN_MIN);
        let points = |of: fn(&Moment) -> f64| -> Vec<(f64, f64)> {
            history.iter().map(|moment| (moment.seconds - now, of(moment))).collect()
        };
        let limit = points(|moment| f64::from(moment.limit));
        let in_flight = points(|moment| f64::from(moment.in_flight));
        let in_line = points(|moment| f64::from(moment.in_line));
        let all = [&in_flight, &in_line].into_iter().flatten().map(|point| point.1).fold(1.0, f64::max);
        let highest = limit.iter().map(|point| point.1).fold(0.0, f64::max);
        // A limit far above all that happens would make that invisible.
        let top = if highest <= 10.0 * all { all.max(highest) } else { all } * 1.1;
        let line = |name: &'static str, points, style| {
            let line = Dataset::default().name(name).graph_type(GraphType::Line).marker(Marker::Braille);
            line.style(style).data(points)
        };
        let chart = Chart::new(vec![
            line("limit", &limit, Style::new().bold()),
            line("in flight", &in_flight, Style::new().blue()),
            line("queued", &in_line, Style::new().yellow()),
        ]);
        let chart = chart
            .block(Block::bordered().title(format!(" {} ", gauge.title)))
            .legend_position(Some(LegendPosition::TopLeft))
            .x_axis(
                Axis::default().bounds([-span, 0.0]).labels([format!("{span:.0} s ago"), "now".to_owned()]),
            )
            .y_axis(Axis::default().bounds([0.0, top]).labels(["0".to_owned(), format!("{top:.0}")]));
        area.render_widget(chart, place);
    }

    /// What there is to say of a gauge.
    fn said(&self, gauge: &Gauge) -> Vec<Line<'static>> {
        let mut said = Vec::new();
        if let Some(times) = &gauge.times {
            said.push(Line::from(format!(
                "Request duration: p50 {}, p95 {}, p99 {}",
                time(times.p50_seconds),
                time(times.p95_seconds),
                time(times.p99_seconds)
            )));
        }
        if let Some(why) = &gauge.why {
            said.push(Line::from(match &why.reason {
                Some(reason) => {
                    format!("Why the limit is {}: {reason} ({})", gauge.limit, ago(why.seconds_ago))
                }
                None => {
                    format!("Why the limit is {}: it begins there, and nothing was decided yet", gauge.limit)
                }
            }));
        }
        if gauge.phantoms() > 0 {
            said.push(Line::from(format!(
                "Above the limit: {} in flight, which the dry run has let in",
                gauge.phantoms()
            )));
        }
        if !gauge.refused.is_empty() {
            let reasons = gauge.refused.iter().map(|(name, count)| format!("{} {count}", reason(name)));
            said.push(Line::from(format!("Refused so far: {}", reasons.collect::<Vec<_>>().join(", "))));
        }
        if gauge.priorities.len() > 1 {
            let priorities = gauge.priorities.iter().map(|ByPriority { name, admitted, refused }| {
                format!("{name} {admitted} admitted, {refused} refused")
            });
            let priorities = priorities.collect::<Vec<_>>().join("; ");
            said.push(Line::from(format!("By priority since somebody looks: {priorities}")));
        }
        if gauge.retries > 0 {
            said.push(Line::from(format!("Retries so far: {}", gauge.retries)));
        }
        said
    }

    fn refusals(&self) -> Paragraph<'static> {
        let refusals = self.last.iter().flat_map(|frame| &frame.refusals).take(usize::from(REFUSALS));
        let mut lines = vec![Line::from("Last refused").dim()];
        lines.extend(refusals.map(|refusal| {
            let when = ago(refusal.seconds_ago);
            let times = if refusal.count > 1 { format!(" ({} times)", refusal.count) } else { String::new() };
            let reason = reason(&refusal.reason);
            Line::from(format!("{when:>10}  {}{times}  {}: {reason}", refusal.request, refusal.gauge))
        }));
        Paragraph::new(lines)
    }

    /// The same as plain text.
    pub(super) fn text(&self) -> String {
        let mut rows = vec![HEADER.map(ToOwned::to_owned)];
        rows.extend(self.gauges().iter().map(|gauge| self.cells(gauge)));
        let widths: [usize; 7] = std::array::from_fn(|column| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
                cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
            })
            .collect();
        for gauge in self.gauges() {
            lines.extend(self.said(gauge).into_iter().map(|line| format!("{}: {line}", gauge.title)));
        }
        lines.join("\n")
    }
}

const HEADER: [&str; 7] = ["gauge", "in flight", "queued", "admitted/s", "refused/s", "p50", "p99"];

impl Moment {
    fn of(gauge: &Gauge, seconds: f64) -> Self {
        Moment {
            seconds,
            limit: gauge.limit,
            in_flight: gauge.in_flight.saturating_add(gauge.phantoms()),
            in_line: gauge.in_line,
            admitted: gauge.admitted,
            refused: gauge.refused(),
        }
    }

    /// Whether it goes on from there: after a pause, or when the server began anew, what was before says nothing about now.
    fn follows(&self, last: &Moment) -> bool {
        const PAUSE: f64 = 5.0;
        let passed = self.seconds - last.seconds;
        passed > 0.0 && passed < PAUSE && self.admitted >= last.admitted && self.refused >= last.refused
    }
}

/// What is unusual about a gauge.
fn marks(gauge: &Gauge) -> String {
    let is_dry = gauge.dry_run.as_ref().is_some_and(|dry_run| dry_run.on);
    let marks = [
        // Or its refusals would seem to be about what calls cost.
        (gauge.limit == 0 && !is_dry, "limit 0 admits nothing"),
        (is_dry, "dry run"),
        (gauge.paused, "paused"),
        (gauge.pinned, "pinned"),
    ];
    let marks: Vec<&str> = if gauge.closed {
        vec!["closed"]
    } else {
        marks.into_iter().filter_map(|(is_so, mark)| is_so.then_some(mark)).collect()
    };
    if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::top::frame::DryRun;

    fn frame(seconds: f64, admitted: u64, refused: u64) -> Frame {
        let frame = serde_json::json!({
            "seconds": seconds,
            "gauges": [{
                "title": "shop\u{1b}[2J", "limit": 10, "in_flight": 7, "in_line": 2, "admitted": admitted,
                "refused": { "queue_full": refused }, "closed": false,
                "why": { "reason": "calls take 2.1 times as long as without a queue", "seconds_ago": 75.0 },
                "dry_run": null,
                "times": { "p50_seconds": 0.02, "p95_seconds": 0.2, "p99_seconds": 2.0 },
            }],
            "refusals": [{
                "seconds_ago": 1.2, "gauge": "shop", "reason": "queue_full", "count": 3, "request": "GET /\u{1b}]0;x\u{7}",
            }],
        });
        serde_json::from_value(frame).unwrap()
    }

    fn screen() -> Screen {
        let mut screen = Screen::new("http://a".to_owned());
        screen.add(frame(1.0, 100, 0));
        screen.add(frame(1.5, 105, 20));
        screen
    }

    #[test]
    fn a_table_says_what_there_is_without_moving_the_cursor() {
        assert_eq!(
            screen().text(),
            "gauge     in flight  queued  admitted/s  refused/s  p50      p99\n\
             shop\u{fffd}[2J  7 of 10    2       10          40         20.0 ms  2.00 s\n\
             shop\u{fffd}[2J: Request duration: p50 20.0 ms, p95 200.0 ms, p99 2.00 s\n\
             shop\u{fffd}[2J: Why the limit is 10: calls take 2.1 times as long as without a queue (1 min ago)\n\
             shop\u{fffd}[2J: Refused so far: queue full 20"
        );
    }

    #[test]
    fn priorities_and_retries_are_told_where_there_are_some() {
        let mut screen = screen();
        let mut frame = frame(2.0, 110, 40);
        let by = |name: &str, admitted, refused| ByPriority { name: name.to_owned(), admitted, refused };
        frame.gauges[0].priorities = vec![by("critical", 90, 0), by("low\u{1b}", 20, 40)];
        frame.gauges[0].retries = 7;
        screen.add(frame);
        let text = screen.text();
        let told = "By priority since somebody looks: critical 90 admitted, 0 refused; low\u{fffd} 20 admitted, 40 refused";
        assert!(text.contains(told) && text.contains("Retries so far: 7"), "{text}");
    }

    #[test]
    fn what_is_unusual_about_a_gauge_stands_behind_its_name() {
        for (closed, on, pinned, marked) in [
            (false, false, false, ""),
            (false, false, true, " (pinned)"),
            (false, true, false, " (dry run)"),
            (false, true, true, " (dry run, pinned)"),
            (true, true, true, " (closed)"),
        ] {
            let mut gauge = frame(1.0, 0, 0).gauges.remove(0);
            assert!(!gauge.pinned, "another version does not say it");
            gauge.closed = closed;
            gauge.pinned = pinned;
            gauge.dry_run = on.then_some(DryRun { on, phantoms: 0 });
            assert_eq!(marks(&gauge), marked);
        }
        let mut gauge = frame(1.0, 0, 0).gauges.remove(0);
        gauge.limit = 0;
        gauge.paused = true;
        assert_eq!(marks(&gauge), " (limit 0 admits nothing, paused)");
    }

    #[test]
    fn counts_that_begin_anew_are_no_rate() {
        let mut screen = screen();
        screen.add(frame(0.25, 3, 0));
        screen.add(frame(0.5, 3, 1));
        assert_eq!(screen.rates("shop\u{fffd}[2J"), (0.0, 4.0));
    }

    #[test]
    fn it_is_drawn_on_any_terminal() {
        for (width, height) in [(110, 36), (40, 10), (1, 1)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            let mut screen = screen();
            screen.lose("connection lost".to_owned());
            terminal.draw(|area| screen.draw(area)).unwrap();
            let shown: String =
                terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect();
            assert!(!shown.contains(char::is_control), "{shown:?}");
            if width > 100 {
                for words in ["7 of 10", "connection lost", "GET /", "(3 times)", "in flight"] {
                    assert!(shown.contains(words), "{words}: {shown}");
                }
            }
        }
    }
}
