//! The files that a run writes, checked before its corpus is read.

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
        // A run that has nothing to train saves the model that it starts from.
        let last = cli.stop_after().max(first);
        let is_due = |step: u64, every: u64| every > 0 && step.is_multiple_of(every);
        let is_validated = |step| is_due(step, cli.training.val_every);
        let is_trained = |step| first < step && step <= last;
        let may_end = |step| cli.training.stop_early > 0 && is_validated(step);
        let saves = |step| step == last || (is_trained(step) && (is_due(step, cli.run.save_every) || may_end(step)));
        let saves_best = |step| is_trained(step) && (is_validated(step) || (cli.compares() && step == last));
        let plot = cli.view.plot.as_deref().map(|path| Plot::new(path, cli.training.steps)).transpose()?;
        plot.as_ref().map_or(Ok(()), |plot| refuse_other_than_plot(plot.path()))?;
        Ok(Self {
            save: cli.run.save.as_deref().map(|path| SavePath::new(path, last, saves)).transpose()?,
            save_best: cli.run.save_best.as_deref().map(|path| SavePath::new(path, last, saves_best)).transpose()?,
            plot,
        })
    }
}
