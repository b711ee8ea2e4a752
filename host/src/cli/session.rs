//! A run of the program. It trains groups of models one after the other, and saves and samples the best of all. The
//! models of a group have one shape and train side by side.

use std::io::{self, StdoutLock};
use std::iter;
use std::process::ExitCode;

use super::args::Cli;
use super::console::Console;
use super::notices::Introduction;
use super::page::Page;
use super::ranking::Comparison;
use super::save_path::SavePath;
use super::{interrupt, memory};
use crate::checkpoint::{self, RunInfo};
use crate::cluster::{Cluster, SweepGroup};
use crate::corpus::{CorpusMode, Dataset};
use crate::device::cpu::useful_threads;
use crate::device::memory::Demand;
use crate::device::{self, State};
use crate::error::{Error, Result};
use crate::plot::Plot;
use crate::run::{Best, Run, RunConfig, Validated, group_by_shape, with_seeds};
use crate::run_lock::RunLock;
use crate::stop::StopHandle;
use crate::trainer::{Checkpoint, Schedule, Trainer};
use crate::weights::Weights;

mod finish;
mod group;
mod outputs;
mod save;

use outputs::Outputs;

/// Runs the program as the command line asks.
pub(super) fn run(cli: &Cli, cluster: Option<&Cluster>) -> Result<ExitCode> {
    cli.check_paths()?;
    let Outputs { save, save_best, plot } = Outputs::new(cli)?;
    let settings = cli.run_settings()?;
    let corpus = memory::reading_corpus(|| cli.corpus())?;
    let (documents, mut dataset) = memory::reading_corpus(|| {
        let documents: Vec<&str> = corpus.documents().collect();
        let (largest, vocabulary) = (cli.block_sizes().last().copied().unwrap_or(1), cli.vocabulary(&documents));
        let dataset = corpus.dataset(&documents, cli.run.seed, !cli.run.no_shuffle, vocabulary, largest)?;
        Ok((documents, dataset))
    })?;
    let vocab = dataset.tokenizer.vocab_size();
    // A sampling that is impossible is refused before the training.
    cli.sampling.settings(&dataset.tokenizer, cli.mode(), cli.run.seed)?;
    for config in &cli.configs {
        config.model.shape(vocab)?;
        cli.sampling.check_prompt(&dataset.tokenizer, cli.mode(), config.model.block_size)?;
    }
    let outputs = [&cli.run.save, &cli.run.save_best, &cli.view.metrics].into_iter().flatten();
    let _locks: Vec<_> = outputs.map(|path| RunLock::new(path)).collect::<Result<_>>()?;
    let page = cli.view.page.as_deref().map(|path| Page::new(path, cli, &documents, vocab)).transpose()?;
    let introduction = Introduction::new(&corpus, &documents, &dataset, &cli.block_sizes());
    if cli.cuts_documents() {
        // Models of several block sizes are judged on the tokens that all of them predict.
        dataset.val = dataset.val.cut(cli.least_block_size());
    }
    let run_info = RunInfo { settings, corpus: checkpoint::fingerprint(&documents) };
    let console = Console::new(io::stdout().lock(), cli.log_every(), cli.sampling.is_jsonl()).quiet(cli.quiet);
    let mut session = Session {
        cli,
        cluster,
        watches: false,
        documents,
        dataset,
        stop: StopHandle::default(),
        console,
        save,
        save_best,
        plot,
        page,
        run_info,
        failure: None,
        is_hurried: false,
        least: Best::default(),
        best: None,
        comparison: Comparison::default(),
    };
    session.start_threads()?;
    session.validate_memory()?;
    session.begin_sweep()?;
    let ended = group_by_shape(&cli.configs).iter().enumerate().try_for_each(|(i, group)| {
        let introduction = (i == 0).then_some(&introduction);
        // The first group reads the flag itself.
        if i > 0 && session.stop.is_stopped() { Ok(()) } else { session.train_group(i, group, introduction) }
    });
    // The plot shows the steps that were trained, even if something has failed since.
    let drawn = session.draw(ended.is_ok());
    ended.and(drawn)?;
    session.finish()?;
    Ok(interrupt::exit_code(&session.stop))
}

/// The state of a run.
struct Session<'a> {
    cli: &'a Cli,
    /// The ranks that train with this process.
    cluster: Option<&'a Cluster>,
    /// Whether signals set the stop flag.
    watches: bool,
    documents: Vec<&'a str>,
    dataset: Dataset,
    stop: StopHandle,
    console: Console<StdoutLock<'static>>,
    save: Option<SavePath>,
    save_best: Option<SavePath>,
    plot: Option<Plot>,
    page: Option<Page>,
    run_info: RunInfo,
    /// The first failure of an output. It ends the run once the model is saved.
    failure: Option<Error>,
    /// Whether a signal leaves no time for validation and samples.
    is_hurried: bool,
    /// The validation of the model in `save_best`.
    least: Best,
    /// The best model so far, on its device with those that were trained beside it.
    best: Option<Trained>,
    comparison: Comparison,
}

/// The best run of a group that has ended.
struct Trained {
    trainer: Trainer,
    /// The index of the run in the trainer.
    index: usize,
    /// The run, and its last state.
    last: Checkpoint,
    /// The number of steps that the trainer has taken.
    steps: u64,
    /// Whether a stop left no time for the last validation and samples.
    is_hurried: bool,
}

impl Trained {
    /// Returns the validation loss of the model, or NaN if it has none.
    fn loss(&self) -> f64 {
        self.last.val_loss
    }
}

impl Session<'_> {
    /// Starts the CPU threads that are asked for.
    fn start_threads(&self) -> Result<()> {
        let (cli, console) = (self.cli, &self.console);
        let largest = |group: &Vec<RunConfig>| useful_threads(group.len() * cli.training.seeds, group[0].train.batch);
        let useful = group_by_shape(&cli.configs).iter().map(largest).max().unwrap_or(1);
        cli.run.device.start_threads(useful, self.cluster, console)
    }

    /// Lets all ranks train the members of all groups, if there are several of both.
    fn begin_sweep(&mut self) -> Result<()> {
        let (cli, Some(cluster)) = (self.cli, self.cluster.filter(|_| self.cli.compares())) else { return Ok(()) };
        self.watch()?;
        let group = |group: &Vec<RunConfig>| {
            let (runs, mut dataset) = (with_seeds(group, cli.run.seed, cli.training.seeds), self.dataset.clone());
            if self.divides_text() {
                dataset.divide(group[0].model.block_size);
            }
            let starts_from_file = cli.run.resume.is_some() || cli.run.init_from.is_some();
            let start = starts_from_file.then(|| self.state(&runs[0])).transpose()?.map(|(state, _)| state);
            Ok(SweepGroup { runs, start, dataset, schedule: self.schedule() })
        };
        let groups = group_by_shape(&cli.configs).iter().map(group).collect::<Result<_>>()?;
        cluster.begin_sweep(cli.run.device.device, groups, &self.stop);
        Ok(())
    }

    /// Lets signals set the stop flag. Until then they end the program at once, because there is nothing to save.
    fn watch(&mut self) -> Result<()> {
        if !self.watches {
            self.stop = StopHandle::from(interrupt::watch(self.cli.quiet)?);
            self.watches = true;
        }
        Ok(())
    }

    /// Returns whether each group divides the validation part of a text anew.
    fn divides_text(&self) -> bool {
        self.cli.mode() == CorpusMode::Text && self.cli.block_sizes().len() > 1
    }

    /// Returns the steps at which the models are validated, saved and ended.
    fn schedule(&self) -> Schedule {
        let cli = self.cli;
        Schedule {
            stop_after: cli.stop_after(),
            val_every: cli.training.val_every,
            val_docs: cli.val_docs(),
            checkpoint_every: cli.run.save_every,
            keep_best: cli.run.save_best.is_some(),
            stop_early: cli.training.stop_early,
            compares: cli.compares(),
        }
    }

    /// Rejects groups that need more memory than there is, before anything is trained.
    fn validate_memory(&self) -> Result<()> {
        let (cli, vocab) = (self.cli, self.dataset.tokenizer.vocab_size());
        for group in group_by_shape(&cli.configs) {
            let RunConfig { model, train, .. } = &group[0];
            let demand = device::demand(cli.run.device.device, model.shape(vocab)?, train.batch, &self.dataset)?;
            iter::repeat_n(demand, group.len() * cli.training.seeds).sum::<Demand>().validate()?;
        }
        Ok(())
    }

    /// Returns the state that a run starts from, and its validations until then.
    fn state(&self, run: &Run) -> Result<(State, Validated)> {
        let tokenizer = &self.dataset.tokenizer;
        let shape = run.config.model.shape(tokenizer.vocab_size())?;
        match (&self.cli.run.resume, &self.cli.run.init_from) {
            (Some(path), _) => checkpoint::resume(path, shape, tokenizer.chars(), &self.run_info),
            (None, Some(path)) => {
                Ok((State::new(checkpoint::load(path, shape, tokenizer.chars())?.weights), Validated::default()))
            }
            (None, None) => Ok((State::new(Weights::init(shape, run.seed)), Validated::default())),
        }
    }

    /// Keeps the failure of an output for the end of the run. If there is one already, this one is told now.
    fn note(&mut self, output: Result<()>) {
        let Err(error) = output else { return };
        if self.failure.is_some() {
            self.console.notice(error.one_line());
        } else {
            self.failure = Some(error);
        }
    }

    /// Returns the validation loss of the best model so far, or NaN if it has none.
    fn best_loss(&self) -> f64 {
        self.best.as_ref().map_or(f64::NAN, Trained::loss)
    }

    /// Draws the plot. `is_complete` tells whether the training ended without an error.
    fn draw(&self, is_complete: bool) -> Result<()> {
        let Some(plot) = &self.plot else { return Ok(()) };
        let name = plot.path().display();
        if !plot.is_empty() {
            plot.save()?;
            self.console.notice(format_args!("plotted: `{name}`"));
        } else if is_complete {
            self.console.notice(format_args!("no plot: `{name}`, since no step was trained"));
        }
        Ok(())
    }
}

/// Returns whether a model of this loss takes the place of the best before it, whose loss is NaN if there is none.
fn is_better(loss: f64, before: f64) -> bool {
    loss < before || before.is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_does_not_replace_a_better_model_of_another_group() {
        for (before, better) in [(f64::NAN, true), (0.25, false), (0.5, false), (0.75, true)] {
            assert_eq!(is_better(0.5, before), better, "{before}");
            assert_eq!(is_better(f64::NAN, before), before.is_nan(), "{before}");
        }
    }
}
