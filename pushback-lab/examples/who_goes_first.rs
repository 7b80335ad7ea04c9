//! The tables and pictures of docs/line.md and docs/priorities.md: what each line does under overload and nearly full, and who is
//! served where there is not enough for all.
//!
//! `cargo run --release --package pushback-lab --example who_goes_first`. The cases are those of the tests, and the seeds, too.

#[path = "../tests/disciplines/case.rs"]
mod case;
#[path = "../tests/priorities/case.rs"]
mod priorities;
#[path = "../tests/disciplines/textbook.rs"]
mod textbook;

use std::{error::Error, path::Path};

use case::{HEALTHY, OVERLOADED, SEEDS, median};
use plotters::prelude::*;
use priorities::{LINE, Outcome, auto, checkouts, prefetches};
use textbook::Textbook;

const FONT: &str = "sans-serif";
/// Of the palette by Okabe and Ito.
const OURS: RGBColor = RGBColor(0x00, 0x72, 0xB2);
const RFC: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
const FOLLY: RGBColor = RGBColor(0x00, 0x9E, 0x73);
/// The targets of others that are tried, in milliseconds, each with an interval of twenty targets.
const TARGETS_MS: [f64; 6] = [5.0, 10.0, 15.0, 20.0, 30.0, 50.0];

/// What a line does: the percentage that it refuses at 93 % load, and its p99 at twice the load, in milliseconds.
type Point = (f64, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let lines = lines();
    draw_lines(&lines, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits/lines.svg"))?;
    who_is_served();
    Ok(())
}

fn lines() -> Vec<(&'static str, Point)> {
    println!("line | twice the load: p50, p99, served | 93 % of it: refused, p99");
    let names = ["fifo", "codel", "adaptive-lifo", "lifo"];
    let lines = names.map(|name| {
        let (much, nearly) = (OVERLOADED.with(name), HEALTHY.with(name));
        println!(
            "| `{name}` | {:.1} ms | {:.0} ms | {:.0} | {:.1} % | {:.0} ms |",
            much.p50_ms, much.p99_ms, much.good, nearly.refused_percent, nearly.p99_ms
        );
        (name, (nearly.refused_percent, much.p99_ms))
    });
    lines.to_vec()
}

fn codel(name: &str, sloughs: bool, target_ms: f64) -> Point {
    let codel = Textbook {
        target: target_ms / 1e3,
        interval: 20.0 * target_ms / 1e3,
        sloughs,
        ..Textbook::default()
    };
    let refused = median((1..=SEEDS).map(|seed| {
        let run = codel.run(&HEALTHY, seed);
        100.0 * run.dropped as f64 / (run.dropped + run.times.len()) as f64
    }));
    let runs: Vec<_> = (1..=SEEDS).map(|seed| codel.run(&OVERLOADED, seed)).collect();
    let p99 = median(runs.iter().map(|run| 1e3 * run.times[run.times.len() * 99 / 100]));
    let waiting = median(runs.iter().map(|run| run.waiting as f64));
    let served = median(runs.iter().map(|run| run.times.len() as f64));
    println!(
        "| {name}, {target_ms} ms and {} ms | | {p99:.0} ms | {served:.0}, and {waiting:.0} wait | {refused:.1} % | |",
        20.0 * target_ms
    );
    (refused, p99)
}

/// Each line as a point: the lower and the further left the better.
fn draw_lines(lines: &[(&'static str, Point)], file: &Path) -> Result<(), Box<dyn Error>> {
    let curve = |name, sloughs| TARGETS_MS.map(|target| (target, codel(name, sloughs, target)));
    let others = [(RFC, curve("RFC 8289", false)), (FOLLY, curve("folly", true))];
    let root = SVGBackend::new(file, (900, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What a line costs a service that is nearly full, and what it is worth", (FONT, 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(-0.3..10.0, (10.0..10_000.0).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 14))
        .x_desc("refused at 93 % load, %")
        .y_desc("p99 at twice the load, ms")
        .draw()?;
    for (colour, curve) in others {
        chart.draw_series(LineSeries::new(curve.map(|(_, point)| point), colour.stroke_width(2)))?;
        for (target, point) in curve {
            // Where they lie on each other, one name is enough.
            let name = if colour == RFC && target > 10.0 { String::new() } else { format!("{target} ms") };
            let name = Text::new(name, (8, -14), (FONT, 13).into_font().color(&colour));
            chart.draw_series([EmptyElement::at(point) + Circle::new((0, 0), 4, colour.filled()) + name])?;
        }
    }
    for (name, point) in lines {
        let name = Text::new((*name).to_owned(), (10, 4), (FONT, 15).into_font().color(&OURS));
        chart.draw_series([EmptyElement::at(*point) + Circle::new((0, 0), 6, OURS.filled()) + name])?;
    }
    for (row, (colour, what)) in [
        (OURS, "the lines of this library, without a setting"),
        (RFC, "CoDel of RFC 8289, by its target"),
        (FOLLY, "CoDel of folly, by its target"),
    ]
    .into_iter()
    .enumerate()
    {
        let top = 60 + 20 * i32::try_from(row)?;
        root.draw(&Circle::new((560, top + 7), 5, colour.filled()))?;
        root.draw(&Text::new(what, (574, top), (FONT, 14)))?;
    }
    root.present()?;
    Ok(())
}

fn who_is_served() {
    println!("\nworkers, times | limit | checkouts, reports served | in time, a second");
    for workers in [1, 8, 40] {
        for times in ["constant", "exponential"] {
            println!("| {workers}, {times} | `auto` | {} |", Outcome::of(&checkouts(workers, times), auto));
            let twice = Outcome::of(&checkouts(workers, times), || Box::new(2 * workers));
            println!("| {workers}, {times} | {} | {twice} |", 2 * workers);
        }
    }
    println!("\nline | limit | critical, high, normal, low served | in time, a second");
    let codel = LINE.replace('}', ", discipline = \"codel\" }");
    for (line, name) in [("", "no"), (LINE, "20"), (&codel, "20, `codel`")] {
        println!("| {name} | `auto` | {} |", Outcome::of(&prefetches(line), auto));
        println!("| {name} | 16 | {} |", Outcome::of(&prefetches(line), || Box::new(16)));
    }
}
