//! `--plot`: the losses over the steps, as a picture.

use std::path::Path;

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::experiment::Summary;
use crate::metrics::Launch;

mod draw;

/// Points of a curve at most: steps are averaged in bins, so that a million cost no more than a thousand.
const BINS: u64 = 1000;
/// The moving mean is that of this part of the run.
const WINDOW: f64 = 0.05;
/// The curves of a run, and where they are drawn.
pub struct Plot {
    target: AtomicFile,
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
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let png = match extension.as_deref() {
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
            target: AtomicFile::new(path)?,
            png,
            steps_per_bin: steps.div_ceil(BINS).max(1),
            series: Vec::new(),
            first: 0,
        })
    }

    /// Begins series, each with its label and how many models it has: the models of the launches that are recorded next.
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
            Error::new(format!("cannot draw `{}`", self.target.path().display()))
                .caused_by(error)
                .hint("leave `--plot` out")
        })?;
        self.target.save(&bytes)
    }

    /// The path as the user gave it.
    pub fn name(&self) -> std::path::Display<'_> {
        self.target.path().display()
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
