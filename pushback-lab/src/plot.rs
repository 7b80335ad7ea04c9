//! A run as a picture: each request a line in time, and how many were in flight.

use std::{error::Error, fmt, path::Path};

use plotters::prelude::*;

use crate::{
    load::{Call, End, Load, Run},
    words,
};

const SIZE: (u32, u32) = (900, 600);
/// Title and legend above, below them the requests, and the rest shows how many were in flight.
const TITLE_HEIGHT: u32 = 44;
const REQUESTS_HEIGHT: u32 = 350;
const FONT: &str = "sans-serif";
/// More lines than this cannot be told apart, and make a file that no viewer likes.
const LINES_MAX: usize = 2_000;

/// Blue and orange of the palette by Okabe and Ito, which people with any kind of colour vision can tell apart.
const ADMITTED: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const REFUSED: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const LOST: RGBColor = RGBColor(0x80, 0x80, 0x80);

/// The picture could not be drawn or written.
#[derive(Debug)]
pub struct PlotError(String);

impl fmt::Display for PlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for PlotError {}

/// Draws a run as SVG into a file.
///
/// # Errors
///
/// If the file cannot be written.
pub fn draw(run: &Run, file: &Path) -> Result<(), PlotError> {
    let mut svg = String::new();
    draw_svg(run, &mut svg).map_err(|error| PlotError(format!("cannot draw the plot: {error}")))?;
    std::fs::write(file, svg).map_err(|error| PlotError(format!("cannot write {}: {error}", file.display())))
}

fn draw_svg(run: &Run, svg: &mut String) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (title, charts) = root.split_vertically(TITLE_HEIGHT);
    let (requests, in_flight) = charts.split_vertically(REQUESTS_HEIGHT);
    draw_title(run, &title)?;
    let seconds = run.time.as_secs_f64().max(0.001) * 1.02;
    draw_requests(run, seconds, &requests)?;
    draw_in_flight(run, seconds, &in_flight)?;
    root.present()?;
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// What was run, and the legend with the counts.
fn draw_title(run: &Run, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let step = step(run);
    let thinned = if step == 1 { String::new() } else { format!(" (one of {step} is drawn)") };
    let how = match &run.load {
        Load::Closed(closed) => format!("{} at a time", closed.callers),
        Load::Open(open) => format!("{} a second", open.rate),
    };
    let title = format!("{}, {how}{thinned}", words::count(run.calls.len() as u64, "request"));
    area.draw(&Text::new(title, (72, 14), (FONT, 20)))?;
    let mut left = 460;
    for (label, colour, kind) in KINDS {
        let count = run.calls.iter().filter(|call| kind(call.end)).count();
        if count > 0 {
            area.draw(&Rectangle::new([(left, 18), (left + 14, 32)], colour.filled()))?;
            let text = format!("{count} {label}");
            let width = 8 * i32::try_from(text.len()).unwrap_or(0); // about what the letters take
            area.draw(&Text::new(text, (left + 20, 18), (FONT, 16)))?;
            left += width + 34;
        }
    }
    Ok(())
}

/// Every how many requests one is drawn.
fn step(run: &Run) -> usize {
    run.calls.len().div_ceil(LINES_MAX).max(1)
}

fn draw_requests(run: &Run, seconds: f64, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let shown: Vec<(usize, &Call)> = run.calls.iter().enumerate().step_by(step(run)).collect();
    let mut chart = ChartBuilder::on(area)
        .margin_left(8)
        .margin_right(24)
        .x_label_area_size(8)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..seconds, run.calls.len().max(1) as f64..0.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_y_mesh()
        .label_style((FONT, 14))
        .y_desc("request")
        .y_label_formatter(&|row| format!("{row:.0}"))
        .x_label_formatter(&|_| String::new())
        .draw()?;
    let width = (f64::from(REQUESTS_HEIGHT) / shown.len().max(1) as f64 * 0.7).clamp(1.0, 6.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "it is between 1 and 6")]
    let width = width as u32;
    // A refusal ends at once: without a least length it would not be seen.
    let least = seconds / 250.0;
    for (_, colour, kind) in KINDS {
        chart.draw_series(shown.iter().filter(|(_, call)| kind(call.end)).map(|(row, call)| {
            let start = call.start.as_secs_f64();
            let end = (start + call.time.as_secs_f64()).max(start + least);
            let row = *row as f64 + 0.5;
            PathElement::new(vec![(start, row), (end, row)], colour.stroke_width(width))
        }))?;
    }
    Ok(())
}

/// A name for the legend, a colour, and which ends are meant.
type Kind = (&'static str, RGBColor, fn(End) -> bool);

const KINDS: [Kind; 3] = [
    ("admitted", ADMITTED, End::is_admitted),
    ("refused", REFUSED, End::is_refused),
    ("lost", LOST, End::is_lost),
];

fn draw_in_flight(run: &Run, seconds: f64, area: &Area<'_>) -> Result<(), Box<dyn Error>> {
    let admitted = steps(run, End::is_admitted);
    // Short runs need more digits, or two marks would carry the same label.
    let digits = if seconds > 1.0 { 1 } else { 3 };
    let highest = admitted.iter().map(|(_, count)| *count).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin_left(8)
        .margin_right(24)
        .margin_top(8)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..seconds, 0.0..highest * 1.15)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(5)
        .label_style((FONT, 14))
        .x_desc("seconds")
        .y_desc("in flight, as callers see")
        .y_label_formatter(&|count| format!("{count:.0}"))
        .x_label_formatter(&|time| format!("{time:.digits$}"))
        .draw()?;
    chart.draw_series(
        AreaSeries::new(admitted, 0.0, ADMITTED.mix(0.25)).border_style(ADMITTED.stroke_width(2)),
    )?;
    Ok(())
}

/// How many requests of a kind were in flight, as the corners of a staircase.
fn steps(run: &Run, kind: fn(End) -> bool) -> Vec<(f64, f64)> {
    let mut changes: Vec<(f64, f64)> = (run.calls.iter())
        .filter(|call| kind(call.end))
        .flat_map(|call| [(call.start, 1.0), (call.start + call.time, -1.0)])
        .map(|(at, change)| (at.as_secs_f64(), change))
        .collect();
    // At one moment, who ends goes first: a place that changes hands is not taken twice.
    changes.sort_by(|(at, change), (other_at, other)| at.total_cmp(other_at).then(change.total_cmp(other)));
    let mut corners = vec![(0.0, 0.0)];
    let mut count = 0.0;
    for (at, change) in changes {
        corners.push((at, count));
        count += change;
        corners.push((at, count));
    }
    corners.push((run.time.as_secs_f64(), count));
    thinned(&corners, run.time.as_secs_f64() / f64::from(SIZE.0))
}

/// At most a few corners for each `width` of time: more than the eye can see. The highest and the lowest stay.
fn thinned(corners: &[(f64, f64)], width: f64) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for column in corners.chunk_by(|one, other| (one.0 / width).floor() == (other.0 / width).floor()) {
        let by_count = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let ends =
            [column.first(), column.iter().max_by(by_count), column.iter().min_by(by_count), column.last()];
        for corner in ends.into_iter().flatten() {
            // The column is narrower than a line, so its corners may stand at its first moment.
            kept.push((column[0].0, corner.1));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{Closed, Target};

    fn run(calls: Vec<Call>) -> Run {
        let target = Target::parse("http://localhost/").unwrap();
        let load = Load::Closed(Closed { target, requests: 9, callers: 2, timeout: Duration::from_secs(1) });
        Run { load, calls, time: Duration::from_secs(2), causes: [].into(), unfinished: None }
    }

    #[test]
    fn the_staircase_counts_who_is_in_flight() {
        let call = |start, time, status| Call {
            start: Duration::from_secs(start),
            lag: None,
            time: Duration::from_secs(time),
            end: End::Status(status),
        };
        let run = run(vec![call(0, 1, 200), call(0, 2, 200), call(1, 1, 200), call(1, 1, 429)]);
        let counts: Vec<f64> = steps(&run, End::is_admitted).iter().map(|(_, count)| *count).collect();
        assert_eq!(counts.iter().copied().fold(0.0, f64::max), 2.0, "{counts:?}");
        assert_eq!(*counts.last().unwrap(), 0.0);
    }

    #[test]
    fn a_run_of_any_size_is_drawn() {
        let call = |index| Call {
            start: Duration::from_micros(index),
            lag: None,
            time: Duration::from_millis(1),
            end: if index % 2 == 0 { End::Status(200) } else { End::Status(429) },
        };
        for size in [0, 1, 10_000, 300_000] {
            let mut svg = String::new();
            draw_svg(&run((0..size).map(call).collect()), &mut svg).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(svg.len() < 1_000_000, "{} bytes for {size} requests", svg.len());
        }
    }
}
