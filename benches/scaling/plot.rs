//! The curves as a picture, both axes logarithmic.

use std::path::Path;
use std::time::Duration;

use plotters::prelude::*;

use super::{Costs, Result};

const SIZE: (u32, u32) = (800, 500);
/// What stands at the axes.
const PROCESSES: [f64; 5] = [1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0];
const MILLISECONDS: [f64; 7] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0];

/// One curve: its name, its colour, and what of the costs it shows.
type Curve = (&'static str, RGBColor, fn(&Costs) -> Duration);

const CURVES: [Curve; 6] = [
    ("the original", RGBColor(0xb0, 0x30, 0x30), |costs| {
        costs.original
    }),
    ("ps", RGBColor(0xe0, 0x90, 0x20), |costs| costs.ps),
    (
        "team-agentd, full sweep",
        RGBColor(0x20, 0x60, 0xb0),
        |costs| costs.sweep,
    ),
    (
        "reading each cmdline",
        RGBColor(0x90, 0x90, 0x90),
        |costs| costs.cmdlines,
    ),
    ("team-agentd, rescan", RGBColor(0x20, 0x90, 0x50), |costs| {
        costs.rescan
    }),
    ("listing /proc", RGBColor(0xc0, 0xc0, 0xc0), |costs| {
        costs.listing
    }),
];

pub(crate) fn draw(file: &Path, all: &[Costs]) -> Result<()> {
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return Err("there is nothing to draw".into());
    };
    let ms = |cost: Duration| cost.as_secs_f64() * 1e3;
    let curves = || {
        CURVES
            .iter()
            .flat_map(|(_, _, of)| all.iter().map(of))
            .map(ms)
    };
    let least = curves().fold(f64::INFINITY, f64::min);
    let most = curves().fold(0.0, f64::max);
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .caption("CPU of one look, 35 coordinators", ("sans-serif", 18))
        .build_cartesian_2d(
            (first.processes as f64..last.processes as f64)
                .log_scale()
                .with_key_points(PROCESSES.to_vec()),
            (least * 0.8..most * 1.3)
                .log_scale()
                .with_key_points(MILLISECONDS.to_vec()),
        )?;
    chart
        .configure_mesh()
        .x_label_formatter(&ToString::to_string)
        .y_label_formatter(&ToString::to_string)
        .x_desc("processes")
        .y_desc("ms")
        .light_line_style(WHITE.mix(0.0))
        .draw()?;
    for (name, colour, of) in CURVES {
        let points = || {
            all.iter()
                .map(|costs| (costs.processes as f64, ms(of(costs))))
        };
        chart
            .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}
