//! A picture of the losses of a training over its steps.

use std::ops::Range;
use std::path::Path;

use plotters::data::fitting_range;

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::summary::Summary;
use crate::trainer::{Event, Steps, Validation};

mod draw;

/// The largest number of points of a curve. Steps are averaged in bins, so that a million cost no more than a thousand.
const BINS: u64 = 1000;
/// The part of the training that the moving mean covers.
const WINDOW: f64 = 0.05;

/// The curves of a training, and the file that they are drawn to.
pub struct Plot {
    file: AtomicFile,
    png: bool,
    series: Vec<Series>,
    steps_per_bin: u64,
    /// The first of the series that are being recorded.
    first: usize,
}

/// The runs that share a label, which are those of several seeds.
struct Series {
    label: String,
    runs: Vec<Curve>,
}

/// The losses of a run.
#[derive(Clone, Default)]
struct Curve {
    bins: Vec<Bin>,
    /// The validation losses, each with its step.
    val: Vec<(f64, f64)>,
}

/// The training losses of neighbouring steps.
#[derive(Clone, Copy)]
struct Bin {
    /// The middle of the bin as a step from 1.
    middle: f64,
    sum: f64,
    count: f64,
}

impl Plot {
    /// Returns a plot of a training of `steps` steps. The extension of `path` decides between SVG and PNG.
    ///
    /// # Errors
    /// [`Error::Usage`] if `path` has another extension, [`Error::Save`] if it cannot be written to.
    pub fn new(path: &Path, steps: u64) -> Result<Self> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        let png = match extension.as_deref() {
            Some("svg") => false,
            Some("png") => true,
            _ => {
                let message = format!("cannot plot to `{}`: its name ends in neither .svg nor .png", path.display());
                return Err(Error::usage(message, "choose one of them, as in `--plot losses.svg`"));
            }
        };
        let file = AtomicFile::new(path)?;
        Ok(Self { file, png, series: Vec::new(), steps_per_bin: steps.div_ceil(BINS).max(1), first: 0 })
    }

    /// Begins a series of `runs` runs for each label. The events that are recorded next are those of these runs.
    pub fn begin(&mut self, labels: impl Iterator<Item = String>, runs: usize) {
        self.first = self.series.len();
        self.series.extend(labels.map(|label| Series { label, runs: vec![Curve::default(); runs] }));
    }

    /// Takes the losses of an event, if it has any.
    pub fn record(&mut self, event: &Event) {
        let curves = self.series[self.first..].iter_mut().flat_map(|series| &mut series.runs);
        match event {
            Event::Steps(Steps { first, logs, .. }) => {
                for (curve, logs) in curves.zip(logs) {
                    for (step, log) in (*first..).zip(logs).filter(|(_, log)| log.loss.is_finite()) {
                        let start = step - step % self.steps_per_bin;
                        curve.push(start as f64 + (self.steps_per_bin + 1) as f64 / 2.0, log.loss);
                    }
                }
            }
            Event::Validation(Validation { step, losses }) => {
                for (curve, &loss) in curves.zip(losses).filter(|(_, loss)| loss.is_finite()) {
                    curve.val.push((*step as f64, loss));
                }
            }
            _ => {}
        }
    }

    /// Returns whether no step was recorded.
    pub fn is_empty(&self) -> bool {
        self.series.iter().flat_map(|series| &series.runs).all(|curve| curve.bins.is_empty())
    }

    /// Draws everything that was recorded, and writes the file.
    ///
    /// # Errors
    /// [`Error::Failed`] if the plot cannot be drawn, [`Error::Save`] if the file cannot be written.
    pub fn save(&self) -> Result<()> {
        let drawn = if self.png { self.png() } else { self.svg() };
        let action = format!("draw `{}`", self.path().display());
        self.file.save(&drawn.map_err(|error| Error::failed(action, "leave `--plot` out", error))?)
    }

    /// Returns the path as the user gave it.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the ranges of the steps and of the losses, with room around the curves.
    fn ranges(&self) -> [Range<f64>; 2] {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for series in &self.series {
            match &series.runs[..] {
                [curve] if self.series.len() == 1 => points.extend(curve.means()),
                _ => points.extend(series.spread(|summary| summary.min).into_iter().chain(series.spread(|s| s.max))),
            }
            points.extend(series.val());
        }
        let steps = fitting_range(points.iter().map(|point| &point.0));
        let losses = fitting_range(points.iter().map(|point| &point.1));
        let margin = ((losses.end - losses.start) * 0.05).max(1e-3);
        [steps.start.min(steps.end - 1.0)..steps.end, losses.start - margin..losses.end + margin]
    }
}

impl Series {
    /// Returns at each step a value that sums up the moving means of all runs.
    fn spread(&self, value: impl Fn(Summary) -> f64) -> Vec<(f64, f64)> {
        sum_up(&self.runs.iter().map(Curve::moving_mean).collect::<Vec<_>>(), value)
    }

    /// Returns the mean of the runs' validation losses at each step.
    fn val(&self) -> Vec<(f64, f64)> {
        sum_up(&self.runs.iter().map(|curve| &curve.val).collect::<Vec<_>>(), |summary| summary.mean)
    }
}

/// Returns at each step a value that sums up the points of the curves. A curve may end earlier than another, where a run has
/// diverged.
fn sum_up(curves: &[impl AsRef<[(f64, f64)]>], value: impl Fn(Summary) -> f64) -> Vec<(f64, f64)> {
    let longest = curves.iter().map(AsRef::as_ref).max_by_key(|curve| curve.len()).unwrap_or_default();
    let values = |i: usize| curves.iter().filter_map(move |curve| curve.as_ref().get(i)).map(|point| point.1);
    let points = longest.iter().enumerate();
    points.filter_map(|(i, point)| Summary::of(values(i)).map(|summary| (point.0, value(summary)))).collect()
}

impl Curve {
    /// Adds the loss of a step to the bin with this middle.
    fn push(&mut self, middle: f64, loss: f64) {
        match self.bins.last_mut().filter(|bin| bin.middle >= middle) {
            Some(bin) => (bin.sum, bin.count) = (bin.sum + loss, bin.count + 1.0),
            None => self.bins.push(Bin { middle, sum: loss, count: 1.0 }),
        }
    }

    /// Returns the mean training loss of each bin.
    fn means(&self) -> impl Iterator<Item = (f64, f64)> {
        self.bins.iter().map(|bin| (bin.middle, bin.sum / bin.count))
    }

    /// Returns the mean of the training losses around each bin.
    fn moving_mean(&self) -> Vec<(f64, f64)> {
        let reach = (self.bins.len() as f64 * WINDOW / 2.0) as usize;
        let around = |i: usize| &self.bins[i.saturating_sub(reach)..self.bins.len().min(i + reach + 1)];
        let mean = |bins: &[Bin]| {
            let (sum, count) = bins.iter().fold((0.0, 0.0), |(sum, count), bin| (sum + bin.sum, count + bin.count));
            sum / count
        };
        self.bins.iter().enumerate().map(|(i, bin)| (bin.middle, mean(around(i)))).collect()
    }
}
