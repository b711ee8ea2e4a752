//! `--plot`: the losses over the steps, as a picture.

use std::path::Path;

use plotters::prelude::*;

use crate::error::{Error, Result};
use crate::experiment::Summary;
use crate::metrics::Launch;
use crate::target::Target;

/// Width and height in pixels.
const SIZE: (u32, u32) = (1200, 720);
/// Points of a curve at most: steps are averaged in bins, so that a million cost no more than a thousand.
const BINS: u64 = 1000;
/// The moving mean is that of this part of the run.
const WINDOW: f64 = 0.05;
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

/// The curves of a run, and where they are drawn.
pub struct Plot {
    target: Target,
    png: bool,
    steps_per_bin: u64,
    series: Vec<Series>,
    /// The first of the series that are being recorded.
    first: usize,
}

/// Models that share a label: replicas.
struct Series {
    label: String,
    models: Vec<Curve>,
}

/// The losses of a model.
#[derive(Clone, Default)]
struct Curve {
    /// The bin's middle as a step from 1, and the mean of the training losses in it.
    bins: Vec<(f64, Mean)>,
    /// Step and validation loss.
    val: Vec<(u64, f64)>,
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn value(self) -> f64 {
        self.sum / self.count
    }
}

impl Plot {
    /// A plot to be drawn at `path`, an SVG or a PNG by its name, of a run of `steps` steps.
    ///
    /// # Errors
    /// Another kind of file, or a place that cannot be written to.
    pub fn new(path: &Path, steps: u64) -> Result<Self> {
        let png = match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => false,
            Some("png") => true,
            _ => {
                return Err(Error::new(format!(
                    "cannot plot to `{}`: its name ends in neither .svg nor .png",
                    path.display()
                ))
                .hint("choose one, as in `--plot losses.svg`"));
            }
        };
        Ok(Self {
            target: Target::new(path)?,
            png,
            steps_per_bin: steps.div_ceil(BINS).max(1),
            series: Vec::new(),
            first: 0,
        })
    }

    /// Begins series of so many models each, with their labels: the models of the launches that are recorded next.
    pub fn begin(&mut self, series: impl IntoIterator<Item = (String, usize)>) {
        self.first = self.series.len();
        let series = series.into_iter();
        self.series.extend(series.map(|(label, models)| Series { label, models: vec![Curve::default(); models] }));
    }

    /// Takes the losses of a launch.
    pub fn record(&mut self, launch: &Launch) {
        let curves = self.series[self.first..].iter_mut().flat_map(|series| &mut series.models);
        for (model, (curve, logs)) in curves.zip(&launch.logs).enumerate() {
            for (step, log) in (launch.first..).zip(logs).filter(|(_, log)| log.loss.is_finite()) {
                let bin = step / self.steps_per_bin;
                let middle = (bin * self.steps_per_bin) as f64 + (self.steps_per_bin + 1) as f64 / 2.0;
                if curve.bins.last().is_none_or(|&(last, _)| last < middle) {
                    curve.bins.push((middle, Mean::default()));
                }
                if let Some((_, mean)) = curve.bins.last_mut() {
                    *mean = Mean { sum: mean.sum + log.loss, count: mean.count + 1.0 };
                }
            }
            let loss = launch.val_losses.as_ref().map(|losses| losses[model]).filter(|loss| loss.is_finite());
            curve.val.extend(loss.map(|loss| (launch.first + logs.len() as u64, loss)));
        }
    }

    /// Whether no step was recorded.
    pub fn is_empty(&self) -> bool {
        self.series.iter().flat_map(|series| &series.models).all(|curve| curve.bins.is_empty())
    }

    /// Draws everything that was recorded, and writes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> Result<()> {
        let drawn = if self.png { self.png() } else { self.svg() };
        let bytes = drawn.map_err(|error| {
            Error::new(format!("cannot draw `{}`", self.target.name())).caused_by(error).hint("leave `--plot` out")
        })?;
        self.target.save(&bytes)
    }

    /// The path as the user gave it.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    fn svg(&self) -> Result<Vec<u8>, String> {
        let mut text = String::new();
        self.draw(&SVGBackend::with_string(&mut text, SIZE).into_drawing_area())?;
        Ok(text.into_bytes())
    }

    fn png(&self) -> Result<Vec<u8>, String> {
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
            .x_label_formatter(&|step| format!("{step:.0}"))
            .x_desc("step")
            .y_desc(if alone { "loss (nats a token)" } else { "loss (nats a token), lines: moving mean of training" })
            .draw()
            .map_err(text)?;
        for (i, series) in self.series.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
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
            chart.draw_series(LineSeries::new(mean, style)).map_err(text)?.label(mean_name).legend(swatch(style));
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

    /// The ranges of steps and losses, with room around them.
    fn bounds(&self) -> ((f64, f64), (f64, f64)) {
        let alone = self.series.len() == 1;
        let mut points: Vec<(f64, f64)> = Vec::new();
        for series in &self.series {
            match &series.models[..] {
                [curve] if alone => points.extend(curve.bins.iter().map(|&(step, mean)| (step, mean.value()))),
                _ => points.extend(series.spread(|summary| summary.min).into_iter().chain(series.spread(|s| s.max))),
            }
            points.extend(series.val());
        }
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), x| (min.min(x), max.max(x)))
        };
        let (left, right) = range(&mut points.iter().map(|point| point.0));
        let (bottom, top) = range(&mut points.iter().map(|point| point.1));
        // Without a step there is nothing to show but the axes.
        if points.is_empty() {
            return ((0.0, 1.0), (0.0, 1.0));
        }
        let margin = ((top - bottom) * 0.05).max(1e-3);
        ((left.min(right - 1.0), right), (bottom - margin, top + margin))
    }
}

impl Series {
    /// At each step a number that sums up the moving means of all models.
    fn spread(&self, number: impl Fn(Summary) -> f64) -> Vec<(f64, f64)> {
        let curves: Vec<_> = self.models.iter().map(Curve::moving_mean).collect();
        let longest = curves.iter().max_by_key(|curve| curve.len());
        let steps = longest.into_iter().flatten().map(|point| point.0);
        steps
            .enumerate()
            .filter_map(|(i, step)| {
                let values = curves.iter().filter_map(|curve| curve.get(i)).map(|point| point.1);
                Summary::of(values).map(|summary| (step, number(summary)))
            })
            .collect()
    }

    /// The mean of the models' validation losses.
    fn val(&self) -> Vec<(f64, f64)> {
        let longest = self.models.iter().map(|curve| &curve.val).max_by_key(|val| val.len());
        let steps = longest.into_iter().flatten().map(|point| point.0);
        steps
            .filter_map(|step| {
                let at_step = |curve: &Curve| curve.val.iter().find(|point| point.0 == step).map(|point| point.1);
                let values: Vec<f64> = self.models.iter().filter_map(at_step).collect();
                Summary::of(values.into_iter()).map(|summary| (step as f64, summary.mean))
            })
            .collect()
    }
}

impl Curve {
    /// The mean of the training losses around each bin.
    fn moving_mean(&self) -> Vec<(f64, f64)> {
        let reach = (self.bins.len() as f64 * WINDOW / 2.0) as usize;
        let around = |i: usize| &self.bins[i.saturating_sub(reach)..self.bins.len().min(i + reach + 1)];
        let mean = |bins: &[(f64, Mean)]| {
            let (sum, count) = bins.iter().fold((0.0, 0.0), |(sum, count), (_, m)| (sum + m.sum, count + m.count));
            Mean { sum, count }.value()
        };
        self.bins.iter().enumerate().map(|(i, &(step, _))| (step, mean(around(i)))).collect()
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
