//! The curves of a run as an SVG or a PNG.

use plotters::prelude::*;

use super::Plot;
use crate::error::Result;

/// Width and height in pixels.
const SIZE: (u32, u32) = (1200, 720);
/// Colours that most eyes can tell apart (Okabe and Ito), the first for what there is one of.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];
/// The most series that the legend names: there is no room for more.
const MAX_LABELS: usize = 24;

/// The colour of a series: a darker shade of each when there are no more, and then a lighter one.
fn colour(series: usize) -> RGBColor {
    let RGBColor(r, g, b) = COLOURS[series % COLOURS.len()];
    let shade = |channel: u8| match series / COLOURS.len() % 3 {
        0 => channel,
        1 => channel / 2,
        _ => channel / 2 + 128,
    };
    RGBColor(shade(r), shade(g), shade(b))
}

impl Plot {
    pub(super) fn svg(&self) -> Result<Vec<u8>, String> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
        Ok(text.into_bytes())
    }

    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        let mut pixels = vec![0; 3 * SIZE.0 as usize * SIZE.1 as usize];
        self.draw(&BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area())?;
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
        writer.write_image_data(&pixels).and_then(|()| writer.finish()).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, plotters::coord::Shift>) -> Result<(), String> {
        register_font()?;
        let text = |error: DrawingAreaErrorKind<B::ErrorType>| error.to_string();
        let alone = self.series.len() == 1;
        let ((left, right), (bottom, top)) = self.bounds();
        area.fill(&WHITE).map_err(text)?;
        let mut chart = ChartBuilder::on(area)
            .margin(16)
            .margin_right(32)
            .set_label_area_size(LabelAreaPosition::Left, 64)
            .set_label_area_size(LabelAreaPosition::Bottom, 48)
            .build_cartesian_2d(left..right, bottom..top)
            .map_err(text)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.12))
            .label_style(("sans-serif", 16))
            .axis_desc_style(("sans-serif", 18))
            // Of a short run there are labels between two steps too.
            .x_label_formatter(&|step| {
                if (step - step.round()).abs() < 1e-6 { format!("{step:.0}") } else { String::new() }
            })
            .x_desc("step")
            .y_desc(if alone { "loss (nats a token)" } else { "loss (nats a token), lines: moving mean of training" })
            .draw()
            .map_err(text)?;
        for (i, series) in self.series.iter().enumerate() {
            let colour = colour(i);
            let mean_name = if alone { "training loss, moving mean".to_owned() } else { series.label.clone() };
            if let [curve] = &series.models[..] {
                let raw = curve.bins.iter().map(|&(step, mean)| (step, mean.value()));
                if alone {
                    let drawn = chart.draw_series(LineSeries::new(raw, colour.mix(0.3))).map_err(text)?;
                    drawn.label("training loss").legend(swatch(colour.mix(0.3).stroke_width(1)));
                }
            } else {
                let band = series.spread(|summary| summary.min).into_iter();
                let band = band.chain(series.spread(|summary| summary.max).into_iter().rev());
                let drawn =
                    chart.draw_series([Polygon::new(band.collect::<Vec<_>>(), colour.mix(0.2))]).map_err(text)?;
                if alone {
                    drawn.label("replicas, least to largest").legend(swatch(colour.mix(0.2).stroke_width(10)));
                }
            }
            let mean = series.spread(|summary| summary.mean);
            let style = colour.stroke_width(2);
            let drawn = chart.draw_series(LineSeries::new(mean, style)).map_err(text)?;
            if i < MAX_LABELS {
                drawn.label(mean_name).legend(swatch(style));
            } else if i == MAX_LABELS {
                drawn.label(format!("and {} more", self.series.len() - i)).legend(swatch(style));
            }
            let val_colour = if alone { COLOURS[1] } else { colour };
            let val = series.val();
            let dots = val.iter().map(|&at| Circle::new(at, 4, val_colour.filled()));
            let drawn = chart.draw_series(dots).map_err(text)?;
            if i + 1 == self.series.len() && !val.is_empty() {
                let colour = if alone { val_colour } else { BLACK };
                drawn.label("validation loss").legend(move |(x, y)| Circle::new((x + 12, y), 4, colour.filled()));
            }
            chart.draw_series(LineSeries::new(val, val_colour.mix(0.6))).map_err(text)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 16))
            .margin(12)
            .legend_area_size(32)
            .draw()
            .map_err(text)?;
        area.present().map_err(text)
    }
}

/// A stroke for the legend.
fn swatch(style: ShapeStyle) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style)
}

/// The font of the PNG's letters, and of the measures of those in the SVG.
fn register_font() -> Result<(), String> {
    plotters::style::register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the font is damaged".to_owned())
}
