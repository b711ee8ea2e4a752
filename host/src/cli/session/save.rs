//! The checkpoints of a run.

use std::path::Path;

use super::{Session, Trained, is_better};
use crate::checkpoint::{self, Description, RunInfo, RunSettings};
use crate::cli::console::Loss;
use crate::cli::save_path::SavePath;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::run::Best;
use crate::trainer::Checkpoint;

impl Session<'_> {
    /// Saves a checkpoint, unless an earlier group has a better model. The run goes on if that fails, because a later
    /// save may find space.
    pub(super) fn save_checkpoint(&mut self, checkpoint: &Checkpoint, metrics: Option<&mut Metrics>) {
        let Some(file) = self.save.as_ref().filter(|_| is_better(checkpoint.val_loss, self.best_loss())) else {
            return;
        };
        // A run that is resumed from here finds the steps before it in the metrics, even if this one is killed.
        let flushed = metrics.map_or(Ok(()), Metrics::flush);
        if let Err(error) = self.write(file, checkpoint) {
            let step = checkpoint.state.step;
            self.console.notice(format_args!("not saved after step {step}: {}", error.one_line()));
        }
        self.note(flushed);
    }

    /// Saves the model of the least validation loss so far, unless an earlier group has had a better one.
    pub(super) fn save_least(&mut self, checkpoint: &Checkpoint, metrics: Option<&mut Metrics>) {
        let Some(file) = self.save_best.as_ref().filter(|_| checkpoint.val_loss < self.least.loss) else { return };
        let flushed = metrics.map_or(Ok(()), Metrics::flush);
        let saved = self.write(file, checkpoint);
        self.least = checkpoint.best;
        self.note(saved.and(flushed));
    }

    /// Saves the model that a group ends with, unless it has diverged.
    pub(super) fn save_final(&self, best: &Trained) -> Result<()> {
        let has_diverged = self.cli.compares() && best.loss().is_nan() && !best.is_hurried;
        let Some(file) = self.save.as_ref().filter(|_| !has_diverged) else { return Ok(()) };
        let name = file.at(best.last.state.step).display().to_string();
        if best.steps == 0 && self.stop.is_stopped() {
            // The file may have a trained model.
            self.console.notice(format_args!("not saved: `{name}`, interrupted before the first step"));
            return Ok(());
        }
        self.write(file, &best.last)?;
        self.console.notice(format_args!("saved: `{name}`"));
        // A run that has stopped early would end again.
        let is_ended = self.stop.is_stopped() || self.failure.is_some();
        let is_cut_short = is_ended && best.last.state.step < self.cli.stop_after();
        if is_cut_short && !self.cli.compares() {
            let instead = match &self.cli.run {
                run if run.init_from.is_some() => " instead of `--init-from`",
                run if run.resume.as_deref().is_some_and(|path| path != Path::new(&name)) => " instead of the old one",
                _ => "",
            };
            self.console.notice(format_args!("go on with the same flags and `--resume {name}`{instead}"));
        }
        Ok(())
    }

    /// Writes the page of the model that a group ends with, unless it has diverged.
    pub(super) fn save_page(&self, best: &Trained) -> Result<()> {
        let has_diverged = self.cli.compares() && best.loss().is_nan() && !best.is_hurried;
        let Some(page) = self.page.as_ref().filter(|_| !has_diverged) else { return Ok(()) };
        let name = page.path().display();
        if best.last.state.step == 0 {
            self.console.notice(format_args!("no page: `{name}`, since no step was trained"));
            return Ok(());
        }
        page.save(self.cli, &best.last, &self.dataset, &self.documents)?;
        self.console.notice(format_args!("page: `{name}`"));
        Ok(())
    }

    fn write(&self, path: &SavePath, checkpoint: &Checkpoint) -> Result<()> {
        let &Checkpoint { ref run, best, val_loss, is_validated, ref state } = checkpoint;
        // The loss of a comparison is not that of a model which predicts more of each document.
        let is_whole = !self.cli.cuts_documents() || run.config.model.block_size == self.cli.least_block_size();
        let settings = RunSettings { train: run.config.train, ..self.run_info.settings };
        let description = Description {
            run: Some(RunInfo { settings, ..self.run_info }),
            val_loss: (is_validated && is_whole).then_some(val_loss),
            best: if is_whole { best } else { Best::default() },
            settings: self.cli.settings.clone(),
        };
        path.file(state.step)?.save(&checkpoint::to_bytes(state, self.dataset.tokenizer.chars(), &description)?)
    }
}

/// Returns the notice that the last validation loss of a run is above its best, or above that of the model in
/// `save_best`, which is `least`.
pub(super) fn worse_notice(last: &Checkpoint, save_best: Option<&SavePath>, least: Best) -> Option<String> {
    let Best { loss, step, .. } = if least.loss < last.best.loss { least } else { last.best };
    // The part of a resumed run before this one may not have saved the best model.
    let saved = save_best.map(|path| path.at(step)).filter(|path| path.exists());
    let way_out = saved.map_or("`--save-best FILE` keeps the best model".to_owned(), |path| {
        format!("`{}` has the best model", path.display())
    });
    let (val_loss, best) = (Loss(last.val_loss), Loss(loss));
    (last.val_loss > loss)
        .then(|| format!("worse: the last val loss is {val_loss}, the best was {best} at step {step}; {way_out}"))
}
