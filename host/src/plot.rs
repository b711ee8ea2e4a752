//! A picture of the losses of a training over its steps.

use std::path::Path;

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::summary::Summary;
use crate::trainer::{Event, Steps, Validation};

mod draw;

pub use draw::is_plot;

/// The largest number of points of a curve. Steps are averaged in bins, so that a million cost no more than a thousand.
const BINS: u64 = 1000;
/// The fraction of the training that the moving mean covers.
const WINDOW: f64 = 0.05;

/// The curves of a training, and the file that they are drawn to.
pub struct Plot {
    file: AtomicFile,
    png: bool,
    series: Vec<Series>,
    steps_per_bin: u64,
    /// The index of the first series that is being recorded.
    first: usize,
}

/// The runs that share a label and differ in their seeds.
struct Series {
    label: String,
    runs: Vec<Curve>,
}

/// A step and its loss.
type Point = (f64, f64);

/// The losses of a run.
#[derive(Clone, Default)]
struct Curve {
    bins: Vec<Bin>,
    /// The validation losses.
    val: Vec<Point>,
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

    /// Begins a series of `runs` runs for each label. The events that are recorded next belong to these runs.
    pub fn begin(&mut self, labels: impl Iterator<Item = String>, runs: usize) {
        self.first = self.series.len();
        self.series.extend(labels.map(|label| Series { label, runs: vec![Curve::default(); runs] }));
    }

    /// Records the losses of an event, if it has any.
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
        let action = format!("draw `{}`", self.path().display());
        self.file.save(&self.draw().map_err(|error| Error::failed(action, "leave `--plot` out", error))?)
    }

    /// Returns the path as the user gave it.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The points that are drawn of a series.
struct Points {
    /// The losses of a run that is drawn alone.
    losses: Vec<Point>,
    /// The outline of the moving means of several runs.
    band: Vec<Point>,
    /// The moving mean over the runs.
    mean: Vec<Point>,
    /// The mean validation loss over the runs.
    val: Vec<Point>,
}

impl Series {
    fn points(&self, alone: bool) -> Points {
        let training = sum_up(&self.runs.iter().map(|curve| curve.means(WINDOW)).collect::<Vec<_>>());
        let val = sum_up(&self.runs.iter().map(|curve| curve.val.clone()).collect::<Vec<_>>());
        let least = training.iter().map(|(step, losses)| (*step, losses.min));
        let largest = training.iter().rev().map(|(step, losses)| (*step, losses.max));
        let mean = |points: &[(f64, Summary)]| points.iter().map(|(step, losses)| (*step, losses.mean)).collect();
        let (losses, band) = match &self.runs[..] {
            [curve] if alone => (curve.means(0.0), Vec::new()),
            [_] => (Vec::new(), Vec::new()),
            _ => (Vec::new(), least.chain(largest).collect()),
        };
        Points { losses, band, mean: mean(&training), val: mean(&val) }
    }
}

/// Sums up the losses of the curves at each step. A curve may end earlier than another, where a run has diverged.
fn sum_up(curves: &[Vec<Point>]) -> Vec<(f64, Summary)> {
    let longest = curves.iter().max_by_key(|curve| curve.len()).map_or(&[][..], Vec::as_slice);
    let losses = |i: usize| Summary::of(curves.iter().filter_map(move |curve| curve.get(i)).map(|point| point.1));
    longest.iter().enumerate().filter_map(|(i, &(step, _))| Some((step, losses(i)?))).collect()
}

impl Curve {
    /// Adds the loss of a step to the bin with this middle.
    fn push(&mut self, middle: f64, loss: f64) {
        match self.bins.last_mut().filter(|bin| bin.middle >= middle) {
            Some(bin) => (bin.sum, bin.count) = (bin.sum + loss, bin.count + 1.0),
            None => self.bins.push(Bin { middle, sum: loss, count: 1.0 }),
        }
    }

    /// Returns the mean training loss around each bin, in a window that covers this part of the training.
    fn means(&self, window: f64) -> Vec<Point> {
        let reach = (self.bins.len() as f64 * window / 2.0) as usize;
        let around = |i: usize| &self.bins[i.saturating_sub(reach)..self.bins.len().min(i + reach + 1)];
        let mean = |bins: &[Bin]| {
            let (sum, count) = bins.iter().fold((0.0, 0.0), |(sum, count), bin| (sum + bin.sum, count + bin.count));
            sum / count
        };
        self.bins.iter().enumerate().map(|(i, bin)| (bin.middle, mean(around(i)))).collect()
    }
}
