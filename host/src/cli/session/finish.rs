//! The end of a run.

use super::{Session, save};
use crate::cli::console::Loss;
use crate::cli::samples::{Samples, seen};
use crate::cli::sweep::table;
use crate::error::{Error, Result};
use crate::sampler::Sampler;

impl Session<'_> {
    /// Prints the results of all models, and samples from the best.
    pub(super) fn finish(&mut self) -> Result<()> {
        let (cli, console) = (self.cli, &mut self.console);
        let Some(best) = &mut self.best else { return Ok(()) };
        if self.is_hurried {
            console.notice("neither validated nor sampled, to end at once");
            return Ok(());
        }
        if cli.compares() && best.loss().is_nan() {
            return Err(Error::AllDiverged);
        }
        // An interrupt after the last step is as good as one before it. A later one ends the samples.
        let interrupted = self.stop.is_stopped();
        best.trainer.outlast_stop();
        if interrupted && !best.last.is_validated {
            let losses = best.trainer.evaluate()?;
            console.validation(best.trainer.step(), &losses)?;
        }
        if cli.configs.len() > 1 {
            console.lines(&format!("--- sweep ---\n{}\n", table(&self.comparison.results)))?;
        }
        if cli.compares() {
            let error = self.comparison.standard_error();
            console.lines(&format!("best: {} | val loss {}{error}\n", best.last.run, Loss(best.loss())))?;
            console.lines(&self.comparison.doubt())?;
        }
        // A reader that has left and saves nothing has no use for the notice.
        if let Some(notice) = save::worse_notice(&best.last, self.save_best.as_ref(), self.least)
            && (self.save.is_some() || !console.is_closed)
        {
            console.notice(notice);
        }
        if console.is_closed { Ok(()) } else { self.sample(interrupted) }
    }

    /// Samples from the best model, a launch at a time, until the stop flag is no longer `interrupted`.
    fn sample(&mut self, interrupted: bool) -> Result<()> {
        let Self { cli, console, dataset, documents, stop, best: Some(best), .. } = self else { return Ok(()) };
        let tokenizer = &dataset.tokenizer;
        let sampling = cli.sampling.settings(tokenizer, cli.mode(), cli.run.seed)?;
        if sampling.samples == 0 {
            return Ok(());
        }
        let block_size = best.last.run.config.model.block_size;
        let skip = cli.unique.then(|| seen(documents, sampling.length.unwrap_or(0).max(block_size)));
        console.lines("--- inference ---\n")?;
        let sampler = Sampler::on(best.trainer.device(best.index), tokenizer, &sampling)?;
        Samples { sampler, sampling, tokenizer, skip }.print(console, || stop.is_stopped() == interrupted)
    }
}
