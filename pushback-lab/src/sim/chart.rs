//! One plot of the report.

use std::error::Error;

use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 230);
const FONT: &str = "sans-serif";

#[derive(Clone, Copy)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

pub(super) struct Line {
    /// What it is, in the plot itself; where there is no name, the page around it says it.
    pub(super) name: Option<String>,
    pub(super) colour: (u8, u8, u8),
    pub(super) width: u32,
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot over time as SVG, with a mark where each phase begins.
pub(super) fn chart(
    title: &str,
    scale: Scale,
    begins: &[f64],
    lines: &[Line],
) -> Result<String, Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let highest = points().map(|(_, y)| *y).fold(1.0, f64::max) * 1.1;
    let lowest = points().map(|(_, y)| *y).filter(|y| *y > 0.0).fold(highest, f64::min);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    // Or its words would be black on black where pages are dark.
    root.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&root);
    builder.margin(6).x_label_area_size(30).y_label_area_size(56).caption(title, (FONT, 15));
    // The two coordinates are two types.
    macro_rules! draw {
        ($bottom:expr, $range:expr) => {{
            let mut chart = builder.build_cartesian_2d(0.0..end, $range)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(BLACK.mix(0.08))
                .y_labels(5)
                .label_style((FONT, 13))
                .x_label_formatter(&|x| format!("{x:.0} s"))
                .y_label_formatter(&|y| if *y < 10.0 { format!("{y:.1}") } else { format!("{y:.0}") })
                .draw()?;
            for begin in begins.iter().skip(1) {
                let mark = PathElement::new(vec![(*begin, $bottom), (*begin, highest)], BLACK.mix(0.25));
                chart.draw_series([mark])?;
            }
            for line in lines {
                let (r, g, b) = line.colour;
                let style = RGBColor(r, g, b).stroke_width(line.width);
                let series = chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
                if let Some(name) = &line.name {
                    let key = move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], style);
                    series.label(name.as_str()).legend(key);
                }
            }
            if lines.iter().any(|line| line.name.is_some()) {
                let mut labels = chart.configure_series_labels();
                labels.position(SeriesLabelPosition::UpperLeft).label_font((FONT, 13));
                labels.background_style(WHITE.mix(0.8)).draw()?;
            }
        }};
    }
    match scale {
        Scale::Linear => draw!(0.0, 0.0..highest),
        Scale::Logarithmic => {
            let bottom = (lowest * 0.8).max(0.1);
            draw!(bottom, (bottom..highest).log_scale());
        }
    }
    root.present()?;
    drop(builder);
    drop(root);
    Ok(svg)
}
