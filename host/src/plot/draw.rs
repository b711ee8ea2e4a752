//! The drawing of a plot as an SVG or a PNG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{Plot, Series};
use crate::error::Cause;

/// The chart, with the axes of steps and losses.
type Chart<'a, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The width and the height in pixels.
const SIZE: (u32, u32) = (1200, 720);
/// The colours, which most eyes can tell apart (Okabe and Ito). A lone series has the first.
const COLOURS: [(u8, u8, u8); 7] =
    [(0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (90, 90, 90)];
/// The largest number of series that the legend has room for.
const MAX_LABELS: usize = 24;

/// Returns the colour of a series. After the last colour, darker shades of them follow, and then lighter ones.
fn colour(series: usize) -> RGBColor {
    let (r, g, b) = COLOURS[series % COLOURS.len()];
    let shade = |channel: u8| match series / COLOURS.len() % 3 {
        0 => channel,
        1 => channel / 2,
        _ => channel / 2 + 128,
    };
    RGBColor(shade(r), shade(g), shade(b))
}

impl Plot {
    pub(super) fn svg(&self) -> Result<Vec<u8>, Cause> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
        Ok(text.into_bytes())
    }

    pub(super) fn png(&self) -> Result<Vec<u8>, Cause> {
        let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area())?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn draw<B: DrawingBackend<ErrorType: 'static>>(&self, area: &DrawingArea<B, Shift>) -> Result<(), Cause> {
        // The PNG's letters are drawn with this font, and those of the SVG are measured with it.
        plotters::style::register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| "the font is damaged")?;
        let alone = self.series.len() == 1;
        area.fill(&WHITE)?;
        let mut chart = axes(area, self.ranges(), alone)?;
        for (i, series) in self.series.iter().enumerate() {
            let label = match i {
                _ if alone => Some("training loss, moving mean".to_owned()),
                _ if i < MAX_LABELS => Some(series.label.clone()),
                MAX_LABELS => Some(format!("and {} more", self.series.len() - i)),
                _ => None,
            };
            draw_training(&mut chart, series, colour(i), alone, label)?;
            let dots = colour(if alone { 1 } else { i });
            let legend = (i + 1 == self.series.len()).then_some(if alone { dots } else { BLACK });
            draw_validation(&mut chart, series, dots, legend)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 16))
            .margin(12)
            .legend_area_size(32)
            .draw()?;
        Ok(area.present()?)
    }
}

/// Draws the axes.
fn axes<'a, B: DrawingBackend<ErrorType: 'static>>(
    area: &DrawingArea<B, Shift>,
    [steps, losses]: [Range<f64>; 2],
    alone: bool,
) -> Result<Chart<'a, B>, Cause> {
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .margin_right(32)
        .set_label_area_size(LabelAreaPosition::Left, 64)
        .set_label_area_size(LabelAreaPosition::Bottom, 48)
        .build_cartesian_2d(steps, losses)?;
    // The ticks of a short run lie between the steps too.
    let step_label = |step: &f64| if (step - step.round()).abs() < 1e-6 { format!("{step:.0}") } else { String::new() };
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style(("sans-serif", 16))
        .axis_desc_style(("sans-serif", 18))
        .x_label_formatter(&step_label)
        .x_desc("step")
        .y_desc(if alone { "loss (nats a token)" } else { "loss (nats a token), lines: moving mean of training" })
        .draw()?;
    Ok(chart)
}

/// Draws the moving mean of the training losses of a series. Behind it is every loss of a lone run, or the band that
/// the runs of several seeds keep to.
fn draw_training<B: DrawingBackend<ErrorType: 'static>>(
    chart: &mut Chart<B>,
    series: &Series,
    colour: RGBColor,
    alone: bool,
    label: Option<String>,
) -> Result<(), Cause> {
    match &series.runs[..] {
        [curve] if alone => {
            let drawn = chart.draw_series(LineSeries::new(curve.means(), colour.mix(0.3)))?;
            drawn.label("training loss").legend(swatch(colour.mix(0.3).stroke_width(1)));
        }
        [_] => {}
        _ => {
            let below = series.spread(|summary| summary.min).into_iter();
            let band: Vec<_> = below.chain(series.spread(|summary| summary.max).into_iter().rev()).collect();
            let drawn = chart.draw_series([Polygon::new(band, colour.mix(0.2))])?;
            if alone {
                drawn.label("seeds, least to largest").legend(swatch(colour.mix(0.2).stroke_width(10)));
            }
        }
    }
    let style = colour.stroke_width(2);
    let drawn = chart.draw_series(LineSeries::new(series.spread(|summary| summary.mean), style))?;
    if let Some(label) = label {
        drawn.label(label).legend(swatch(style));
    }
    Ok(())
}

/// Draws the validation losses of a series, and their entry in the legend in the colour `legend`.
fn draw_validation<B: DrawingBackend<ErrorType: 'static>>(
    chart: &mut Chart<B>,
    series: &Series,
    colour: RGBColor,
    legend: Option<RGBColor>,
) -> Result<(), Cause> {
    let val = series.val();
    let drawn = chart.draw_series(val.iter().map(|&at| Circle::new(at, 4, colour.filled())))?;
    if let Some(legend) = legend.filter(|_| !val.is_empty()) {
        drawn.label("validation loss").legend(move |(x, y)| Circle::new((x + 12, y), 4, legend.filled()));
    }
    chart.draw_series(LineSeries::new(val, colour.mix(0.6)))?;
    Ok(())
}

/// Returns the drawing of a stroke for the legend.
fn swatch(style: ShapeStyle) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style)
}
