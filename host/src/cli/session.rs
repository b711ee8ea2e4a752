//! A run of the program. It trains groups of models one after the other, and saves and samples the best of all.

use std::io::{self, StdoutLock};
use std::process::ExitCode;

use super::args::Cli;
use super::console::{Console, Loss};
use super::interrupt;
use super::sweep::{SweepResult, table};
use crate::atomic_file::AtomicFile;
use crate::checkpoint::{self, RunInfo};
use crate::corpus::{Corpus, Dataset};
use crate::error::{Error, Result};
use crate::plot::Plot;
use crate::run::{Run, group_by_shape};
use crate::trainer::{Finished, StopHandle, Trainer};

/// Runs the program as the command line asks.
pub(super) fn run(cli: &Cli) -> Result<ExitCode> {
    let stop = StopHandle::from(interrupt::watch()?);
    if let Some(threads) = cli.run.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|error| Error::failed(format!("start `--threads {threads}`"), "ask for fewer", error))?;
    }
    cli.check_paths()?;
    let save = cli.run.save.as_deref().map(AtomicFile::new).transpose()?;
    let plot = cli.view.plot.as_deref().map(|path| Plot::new(path, cli.training.steps)).transpose()?;
    let corpus = Corpus::load(cli.run.input.as_deref())?;
    let documents: Vec<&str> = corpus.documents().collect();
    let dataset = Dataset::new(&documents, (!cli.run.no_shuffle).then_some(cli.run.seed), None)?;
    let vocab = dataset.tokenizer.vocab_size();
    // A sampling that is impossible is refused before the training.
    cli.sampling(vocab)?;
    for config in &cli.configs {
        config.model.shape(vocab)?;
        cli.check_prompt(&dataset.tokenizer, config.model.block_size)?;
    }
    let run_info = RunInfo {
        train: cli.configs[0].train,
        seed: cli.run.seed,
        shuffle: !cli.run.no_shuffle,
        corpus: checkpoint::fingerprint(&documents),
    };
    let console = Console::new(io::stdout().lock(), cli.log_every(), cli.is_jsonl());
    let mut session =
        Session { cli, documents, dataset, stop, console, save, plot, run_info, best: None, results: Vec::new() };
    let ended = group_by_shape(&cli.configs).iter().enumerate().try_for_each(|(i, group)| {
        let source = (i == 0).then_some(&*corpus.source);
        // The first group reads the flag itself.
        if i > 0 && session.stop.is_stopped() { Ok(()) } else { session.train_group(group, source) }
    });
    // The plot shows the steps that were trained, even if something has failed since.
    let drawn = session.draw(ended.is_ok());
    ended.and(drawn)?;
    session.finish()?;
    Ok(if session.stop.is_stopped() { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// The state of a run.
pub(super) struct Session<'a> {
    pub(super) cli: &'a Cli,
    pub(super) documents: Vec<&'a str>,
    pub(super) dataset: Dataset,
    pub(super) stop: StopHandle,
    pub(super) console: Console<StdoutLock<'static>>,
    pub(super) save: Option<AtomicFile>,
    pub(super) plot: Option<Plot>,
    pub(super) run_info: RunInfo,
    /// The best model so far, on its device with those that were trained beside it.
    pub(super) best: Option<Trained>,
    pub(super) results: Vec<SweepResult>,
}

/// The runs of a group that have ended.
pub(super) struct Trained {
    pub(super) trainer: Trainer,
    /// The run of the best model.
    pub(super) run: Run,
    pub(super) finished: Finished,
}

impl Trained {
    /// Returns the validation loss of the best model, or NaN if it has none.
    pub(super) fn loss(&self) -> f64 {
        self.finished.val_losses[self.finished.best]
    }
}

impl Session<'_> {
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

    /// Prints the results of all models, and samples from the best.
    fn finish(&mut self) -> Result<()> {
        let (cli, console) = (self.cli, &mut self.console);
        let Some(best) = &mut self.best else { return Ok(()) };
        if cli.compares() && best.loss().is_nan() {
            return Err(Error::AllDiverged);
        }
        // An interrupt after the last step is as good as one before it. A later one ends the samples.
        let interrupted = self.stop.is_stopped();
        if interrupted && !best.finished.is_validated {
            let losses = best.trainer.evaluate()?;
            console.validation(&losses)?;
        }
        if cli.configs.len() > 1 {
            console.lines(&format!("--- sweep ---\n{}\n", table(&self.results)))?;
        }
        if cli.compares() {
            console.lines(&format!("best: {} | val loss {}\n", best.run, Loss(best.loss())))?;
        }
        if console.is_closed { Ok(()) } else { self.sample(interrupted) }
    }
}
