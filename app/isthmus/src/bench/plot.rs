//! What was measured, to look at: an SVG of a few charts.

use std::error::Error;

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::PathElement;
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, RGBColor, WHITE};
use plotters_svg::SVGBackend;

use super::report::Report;

/// A chart of lines.
struct Chart {
    title: String,
    x: &'static str,
    y: &'static str,
    lines: Vec<Line>,
}

struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

/// The charts of a report, one below the other.
///
/// # Errors
/// When a chart cannot be drawn, which no report makes happen.
pub fn svg(report: &Report) -> Result<String, String> {
    let charts = charts(report);
    let mut text = String::new();
    draw(&charts, &mut text).map_err(|error| format!("cannot draw the charts: {error}"))?;
    Ok(text)
}

fn draw(charts: &[Chart], text: &mut String) -> Result<(), Box<dyn Error>> {
    let rows = charts.len().max(1);
    let height = HEIGHT.saturating_mul(u32::try_from(rows)?);
    let root = SVGBackend::with_string(text, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    for (chart, area) in charts.iter().zip(root.split_evenly((rows, 1))) {
        draw_one(chart, &area)?;
    }
    root.present().map_err(|error| error.to_string())?;
    Ok(())
}

fn draw_one(
    chart: &Chart,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn Error>> {
    let (x_max, y_max) = chart.extent();
    let mut context = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..x_max, 0.0..y_max)
        .map_err(|error| error.to_string())?;
    context
        .configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .light_line_style(WHITE.mix(0.0))
        .draw()
        .map_err(|error| error.to_string())?;
    for (line, color) in chart.lines.iter().zip(COLORS.iter().cycle()) {
        let style = color.stroke_width(2);
        context
            .draw_series(LineSeries::new(line.points.iter().copied(), style))
            .map_err(|error| error.to_string())?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    context
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()
        .map_err(|error| error.to_string())?;
    Ok(())
}

impl Chart {
    /// Ends of the axes; never zero, so that there is something to draw on.
    fn extent(&self) -> (f64, f64) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let y = points().map(|(_, y)| *y).fold(0.0, f64::max);
        (if x > 0.0 { x } else { 1.0 }, if y > 0.0 { y * 1.05 } else { 1.0 })
    }
}

fn charts(report: &Report) -> Vec<Chart> {
    let over_time = |value: fn(&super::report::Point) -> f64| {
        report.timeline.iter().map(|point| (point.seconds, value(point))).collect()
    };
    let title = format!("isthmus bench {}: {} clients", report.scenario, report.clients);
    #[expect(clippy::cast_precision_loss, reason = "nobody counts 2^52 logins")]
    let mut charts = vec![
        Chart {
            title,
            x: "seconds",
            y: "clients",
            lines: vec![
                Line { name: "up", points: over_time(|point| f64::from(point.up)) },
                Line { name: "dialing", points: over_time(|point| f64::from(point.dialing)) },
                Line { name: "failed", points: over_time(|point| point.failed as f64) },
                Line { name: "lost", points: over_time(|point| point.lost as f64) },
            ],
        },
        Chart {
            title: String::from("how long logins took"),
            x: "percent of the logins",
            y: "at most, ms",
            lines: vec![Line { name: "login", points: report.login_curve.clone() }],
        },
    ];
    if let Some(traffic) = &report.traffic {
        let sent = traffic.timeline.iter().map(|rate| (rate.seconds, rate.sent_pps));
        let received = traffic.timeline.iter().map(|rate| (rate.seconds, rate.received_pps));
        charts.push(Chart {
            title: String::from("packets"),
            x: "seconds",
            y: "packets/s",
            lines: vec![
                Line { name: "sent", points: sent.collect() },
                Line { name: "received", points: received.collect() },
            ],
        });
        charts.push(Chart {
            title: String::from("how long packets were on their way"),
            x: "percent of the packets",
            y: "at most, ms",
            lines: vec![Line { name: "packet", points: traffic.curve.clone() }],
        });
    }
    charts
}

const WIDTH: u32 = 900;
const HEIGHT: u32 = 330;
/// Told apart by people who do not tell red from green, too.
const COLORS: [RGBColor; 4] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0x56, 0x56),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::logins::Logins;
    use crate::bench::logins::Percentiles;
    use crate::bench::report::{GeneratorReport, Point, Rate, TrafficReport};

    pub(super) fn report(with_traffic: bool) -> Report {
        let point = |second: u32| Point {
            seconds: f64::from(second),
            up: second * 10,
            dialing: 5,
            failed: 1,
            lost: 0,
            logins: u64::from(second) * 10,
        };
        let rate = |second: u32| Rate {
            seconds: f64::from(second),
            sent_pps: 1000.0,
            received_pps: 990.0,
        };
        let traffic = TrafficReport {
            towards: "reflector",
            sizes: vec![64],
            sessions: 50,
            seconds: 5.0,
            offered_pps: Some(1000.0),
            sent: 5000,
            received: 4950,
            lost: 50,
            lost_percent: 1.0,
            reordered: 0,
            duplicated: 0,
            unsent: 0,
            sent_pps: 1000.0,
            received_pps: 990.0,
            sent_mbit: 0.5,
            received_mbit: 0.5,
            latency_ms: Percentiles::default(),
            curve: vec![(0.0, 0.1), (100.0, 2.0)],
            timeline: (1..=5).map(rate).collect(),
        };
        Report {
            scenario: "traffic",
            version: "0",
            server: [10, 0, 0, 1].into(),
            clients: 50,
            interrupted: false,
            seconds: 9.0,
            logins: Logins::new().report(),
            lost: Vec::new(),
            hold: None,
            storm: None,
            traffic: with_traffic.then_some(traffic),
            carry: None,
            gateway: None,
            generator: GeneratorReport { threads: 1, busy_percent: 3.0, bytes_per_session: 9000 },
            timeline: (0..9).map(point).collect(),
            login_curve: vec![(0.0, 10.0), (100.0, 20.0)],
        }
    }

    #[test]
    fn the_picture_is_well_formed_and_has_every_line() {
        let text = svg(&report(true)).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        let lines = document.descendants().filter(|node| node.has_tag_name("polyline")).count();
        assert!(lines >= 8, "{lines}");
        let words: Vec<_> = document.descendants().filter_map(|node| node.text()).collect();
        for word in ["isthmus bench traffic: 50 clients", "packets/s", "at most, ms", "lost"] {
            assert!(words.iter().any(|text| text.trim() == word), "{word}: {words:?}");
        }
    }

    #[test]
    fn nothing_measured_is_still_a_picture() {
        let mut empty = report(false);
        empty.timeline.clear();
        empty.login_curve.clear();
        let text = svg(&empty).unwrap();
        assert!(roxmltree::Document::parse(&text).is_ok());
    }
}
