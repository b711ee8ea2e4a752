//! The training of a group of models side by side.

use super::{Session, Trained, is_better};
use crate::cli::notices::Introduction;
use crate::cli::sweep;
use crate::config::num_params;
use crate::device::ModelSetup;
use crate::device::memory::Demand;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::run::{Run, RunConfig, group_by_shape, with_seeds};
use crate::trainer::{Checkpoint, Event, Finished, Trainer};

impl Session<'_> {
    /// Trains a group, and keeps its best model if no group before has a better one. The first group has an
    /// `introduction`.
    pub(super) fn train_group(
        &mut self,
        i: usize,
        group: &[RunConfig],
        introduction: Option<&Introduction>,
    ) -> Result<()> {
        let cli = self.cli;
        if self.divides_text() {
            self.dataset.divide(group[0].model.block_size);
        }
        let runs = with_seeds(group, cli.run.seed, cli.training.seeds);
        let trainer = self.start(i, &runs, introduction)?;
        // A resumed run adds to the file, and so does each group but the first.
        let append = cli.run.resume.is_some() || introduction.is_none();
        let metrics = cli.view.metrics.as_deref();
        // The settings stand once in the file, although each group opens it.
        let settings = introduction.map(|_| cli.settings.clone()).unwrap_or_default();
        let mut metrics = metrics.map(|path| Metrics::create(path, append, runs.clone(), settings)).transpose()?;
        self.watch()?;
        let mut trainer = trainer.stopped_by(self.stop.clone());
        self.introduce(&mut trainer, group, introduction)?;
        if let Some(plot) = &mut self.plot {
            plot.begin(group.iter().map(RunConfig::to_string), cli.training.seeds);
        }
        let finished = self.consume(&mut trainer, metrics.as_mut());
        let written = metrics.map_or(Ok(()), |mut metrics| metrics.finish());
        self.note(written);
        let finished = finished.map_err(|error| match error {
            Error::Diverged { step, reason, .. } => Error::Diverged { step, reason, saves: self.save.is_some() },
            other => other,
        })?;
        self.is_hurried = finished.is_hurried;
        let Finished { best: index, state, bests, val_losses, steps, is_validated, is_hurried } = finished;
        let (run, best, val_loss) = (runs[index].clone(), bests[index], val_losses[index]);
        let last = Checkpoint { run, best, val_loss, is_validated, state };
        let mut trained = Trained { trainer, index, last, steps, is_hurried };
        let is_best = is_better(trained.loss(), self.best_loss());
        if is_best {
            // The model is saved before the failure of another output ends the run.
            self.save_final(&trained)?;
            self.save_page(&trained)?;
        }
        if cli.compares() && !trained.is_hurried {
            self.comparison.record(&mut trained.trainer, &runs, &val_losses, cli)?;
        }
        if is_best {
            self.best = Some(trained);
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Starts the trainer of group `i`, from the states of its runs.
    fn start(&self, i: usize, runs: &[Run], introduction: Option<&Introduction>) -> Result<Trainer> {
        let (states, validated): (Vec<_>, Vec<_>) =
            runs.iter().map(|run| self.state(run)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let (cli, step) = (self.cli, states[0].step);
        let (schedule, device, console) = (self.schedule(), cli.run.device.device, &self.console);
        let mut source = introduction.map(|introduction| introduction.source);
        // A GPU that fails after this makes way for the CPU, whose memory is said then.
        let mut announce = |demand: &Demand| {
            if let Some(source) = source.take() {
                console.notice(format_args!("corpus: {source}"));
            }
            console.notice(format_args!("memory: {demand}"));
        };
        let trainer = if let Some(cluster) = self.cluster {
            let models = if cli.compares() {
                cluster.sweep(i, &mut announce)?
            } else {
                let setup = ModelSetup { train: runs[0].config.train, state: states[0].clone() };
                cluster.share(device, &self.dataset, &setup, &mut announce)?
            };
            Trainer::on_models(models, runs.to_vec(), &self.dataset, schedule, step)
        } else {
            Trainer::start(runs.to_vec(), states, &self.dataset, device, schedule, &mut announce)?
        };
        Ok(trainer.after(validated[0]))
    }

    /// Prints the lines before the steps of a group. Those of the first group, which has an `introduction`, introduce the
    /// run.
    fn introduce(
        &mut self,
        trainer: &mut Trainer,
        group: &[RunConfig],
        introduction: Option<&Introduction>,
    ) -> Result<()> {
        let Self { cli, console, documents, dataset, .. } = self;
        let groups = group_by_shape(&cli.configs).len();
        let label = if groups > 1 { format!(" ({})", sweep::common(group)) } else { String::new() };
        let params = format!("num params: {}{label}\n", num_params(trainer.device(0).shape()));
        let Some(introduction) = introduction else { return console.lines(&params) };
        console.notice(format_args!("device: {}", trainer.description()));
        for notice in introduction.notices.iter().chain(&cli.start_notices(documents, dataset, trainer.step())) {
            console.notice(notice);
        }
        console.lines(&format!("{}{params}", introduction.counts))
    }

    /// Passes the events of a training on to the console, the plot, the metrics and the checkpoint.
    fn consume(&mut self, trainer: &mut Trainer, mut metrics: Option<&mut Metrics>) -> Result<Finished> {
        let (first, end, total) = (trainer.step(), self.cli.stop_after(), self.cli.training.steps);
        self.console.start(first, end, total, trainer.best_loss());
        let writes_files = self.save.is_some() || self.plot.is_some() || metrics.is_some();
        loop {
            if self.console.is_closed && !writes_files {
                // The reader has gone, so further steps would be wasted.
                trainer.end_here();
            }
            let event = trainer.next().expect("`Finished` or an error is the last event")?;
            let shown = self.console.show(&event);
            self.note(shown);
            if let Some(plot) = &mut self.plot {
                plot.record(&event);
            }
            let recorded = metrics.as_mut().map_or(Ok(()), |metrics| metrics.record(&event));
            self.note(recorded);
            if self.failure.is_some() {
                trainer.end_here();
            }
            match event {
                Event::Checkpoint(checkpoint) => self.save_checkpoint(&checkpoint, metrics.as_deref_mut()),
                Event::Best(checkpoint) => self.save_least(&checkpoint, metrics.as_deref_mut()),
                Event::Finished(finished) => return Ok(finished),
                _ => {}
            }
        }
    }
}
