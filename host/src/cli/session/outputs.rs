//! The checkpoints and the plot of a run, checked before its corpus is read. The page and the metrics are checked later.

use std::path::PathBuf;

use crate::cli::args::Cli;
use crate::cli::overwrite::refuse_other_than_plot;
use crate::cli::save_path::SavePath;
use crate::error::Result;
use crate::plot::Plot;

/// The checkpoints and the plot of a run.
pub(super) struct Outputs {
    pub(super) save: Option<SavePath>,
    pub(super) save_best: Option<SavePath>,
    pub(super) plot: Option<Plot>,
}

impl Outputs {
    /// Checks that the run can write its files, and changes nothing.
    ///
    /// # Errors
    /// If a file cannot be written, or is of another kind than what would replace it.
    pub(super) fn new(cli: &Cli) -> Result<Self> {
        let first = cli.first_step();
        // A run that has nothing to train saves the model that it starts from. An interrupted run may save after any step.
        let last = cli.stop_after().max(first);
        let steps = (first + 1).min(last)..=last;
        let save_path = |path: &Option<PathBuf>| path.as_deref().map(|path| SavePath::new(path, &steps)).transpose();
        let plot = cli.view.plot.as_deref().map(|path| Plot::new(path, cli.training.steps)).transpose()?;
        plot.as_ref().map_or(Ok(()), |plot| refuse_other_than_plot(plot.path()))?;
        Ok(Self { save: save_path(&cli.run.save)?, save_best: save_path(&cli.run.save_best)?, plot })
    }
}
