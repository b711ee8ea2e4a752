//! The `microgpt` program: the command line, and a run on the device that it chooses.
#![feature(alloc_error_hook)]

use std::alloc::set_alloc_error_hook;
use std::collections::{BTreeSet, HashSet};
use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::atomic::Ordering;

use microgpt::atomic_file::{AtomicFile, is_same};
use microgpt::checkpoint::{self, RunInfo};
use microgpt::cli::{Cli, Format};
use microgpt::config::num_params;
use microgpt::corpus::{Corpus, Dataset, STDIN, Source};
use microgpt::device::{Evaluation, ModelSetup, Models, Selected, State, select};
use microgpt::error::{Error, OutOfMemory, Result};
use microgpt::experiment::{self, Member, Variant};
use microgpt::interrupt;
use microgpt::metrics::Metrics;
use microgpt::plot::Plot;
use microgpt::report::{self, Loss, Report};
use microgpt::sampler::Sampling;
use microgpt::trainer::{Outcome, Outputs, Save, Training};
use microgpt::weights::Weights;

fn main() -> ExitCode {
    set_alloc_error_hook(|layout| {
        // An `Error` would need memory.
        let _ = writeln!(io::stderr(), "error: {}\nhint: {}", OutOfMemory(layout.size()), OutOfMemory::HINT);
        process::exit(1);
    });
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Without stderr there is nobody to tell; the help goes to stdout.
            let printed = if error.use_stderr() { error.print().or(Ok(())) } else { report::printed(error.print()) };
            return match printed {
                Ok(()) => ExitCode::from(error.exit_code() as u8),
                Err(error) => fail(&error),
            };
        }
    };
    let ended = match cli.document() {
        Some(text) => {
            let mut out = io::stdout().lock();
            report::printed(out.write_all(&text).and_then(|()| out.flush())).map(|()| ExitCode::SUCCESS)
        }
        None => run(&cli),
    };
    ended.unwrap_or_else(|error| fail(&error))
}

fn fail(error: &Error) -> ExitCode {
    report::print_error(error);
    ExitCode::FAILURE
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let interrupt = &*interrupt::watch()?;
    if let Some(threads) = cli.run.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|error| {
            Error::new(format!("cannot start `--threads {threads}`")).caused_by(error).hint("ask for fewer")
        })?;
    }
    check_paths(cli)?;
    let target = cli.run.save.as_deref().map(AtomicFile::new).transpose()?;
    let mut plot = cli.view.plot.as_deref().map(|path| Plot::new(path, cli.train().steps)).transpose()?;
    let corpus = Corpus::load(cli.run.input.as_deref())?;
    let documents: Vec<&str> = corpus.documents().collect();
    let dataset = Dataset::new(&documents, (!cli.run.no_shuffle).then_some(cli.run.seed), None)?;
    let vocab = dataset.tokenizer.vocab_size();
    // Refused now rather than when all is trained.
    cli.sample(vocab, &[])?;
    for variant in &cli.variants {
        variant.model.shape(vocab)?;
        cli.prompt(&dataset.tokenizer, variant.model.block_size)?;
    }
    let run = RunInfo {
        train: cli.train(),
        seed: cli.run.seed,
        shuffle: !cli.run.no_shuffle,
        corpus: checkpoint::fingerprint(&documents),
    };
    let session = Session { cli, documents: &documents, dataset: &dataset, run };
    let mut training = Training {
        steps: cli.train().steps,
        stop_after: cli.stop_after(),
        val_every: cli.training.val_every,
        val_docs: cli.training.val_docs,
        save: target.as_ref().map(|target| {
            let vocabulary = dataset.tokenizer.chars();
            Save { target, every: cli.run.save_every, vocabulary, run }
        }),
        best_before: None,
        alone: cli.variants.len() * cli.training.replicas == 1,
        interrupt,
    };
    let jsonl = cli.sampling.format == Format::Jsonl;
    let stdout = io::stdout().lock();
    let terminal = stdout.is_terminal();
    let mut report = Report::new(stdout).log_every(cli.log_every()).jsonl(jsonl).terminal(terminal);
    let mut best: Option<Trained> = None;
    let mut results: Vec<(Variant, Vec<f64>)> = Vec::new();
    let (mut ended, mut saved) = (Ok(()), Ok(()));
    for (i, group) in experiment::groups(&cli.variants).iter().enumerate() {
        let first = (i == 0).then_some(&corpus.source);
        ended = session.train_group(group, first, &training, &mut report, plot.as_mut()).and_then(
            |(trained, losses, written)| {
                results.extend(group.iter().cloned().zip(losses.chunks(cli.training.replicas).map(<[f64]>::to_vec)));
                if best.as_ref().is_none_or(|best| trained.loss < best.loss || best.loss.is_nan()) {
                    // Before anything else can fail: nothing can lose it then.
                    saved = save(&trained, &training, &report);
                    training.best_before = Some(trained.loss).filter(|loss| loss.is_finite());
                    best = Some(trained);
                }
                written
            },
        );
        if ended.is_err() || saved.is_err() || interrupt.load(Ordering::Relaxed) {
            break;
        }
    }
    // What is trained is drawn, whatever has failed since.
    let drawn = match plot {
        Some(plot) if !plot.is_empty() => {
            plot.save().map(|()| report.notice(format_args!("plotted: `{}`", plot.name())))
        }
        Some(plot) if ended.is_ok() => {
            report.notice(format_args!("no plot: `{}`, since no step was trained", plot.name()));
            Ok(())
        }
        _ => Ok(()),
    };
    ended.and(saved).and(drawn)?;
    if let Some(best) = best {
        if !training.alone && best.loss.is_nan() {
            let hint = "lower `--learning-rate`, or start from other weights";
            return Err(Error::new("every model diverged").hint(hint));
        }
        session.finish(best, &results, &training, &mut report)?;
    }
    Ok(if interrupt.load(Ordering::Relaxed) { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// What the parts of a run have in common.
struct Session<'a> {
    cli: &'a Cli,
    documents: &'a [&'a str],
    dataset: &'a Dataset,
    run: RunInfo,
}

/// The best model so far, on its device with those that were trained beside it.
struct Trained {
    models: Box<dyn Models>,
    index: usize,
    state: State,
    member: Member,
    /// Its validation loss; NaN if it has none.
    loss: f64,
    /// The steps that this run has trained it.
    steps: u64,
    /// Whether `loss` is that after the last of them.
    is_validated: bool,
}

impl Session<'_> {
    /// Trains the models of a group side by side: the best of them, the validation losses of all, and whether the metrics
    /// are written. With `first`, where the corpus came from, it introduces the run.
    fn train_group(
        &self,
        group: &[Variant],
        first: Option<&Source>,
        training: &Training,
        report: &mut Report<impl Write>,
        mut plot: Option<&mut Plot>,
    ) -> Result<(Trained, Vec<f64>, Result<()>)> {
        let Self { cli, dataset, .. } = self;
        let members = experiment::members(group, cli.training.replicas, cli.run.seed);
        let setups = members.iter().map(|member| self.start(member)).collect::<Result<Vec<_>>>()?;
        let State { step, weights: Weights { shape, .. }, .. } = setups[0].state;
        let Selected { mut models, description } = select(cli.run.device, dataset, &setups)?;
        drop(setups);
        // A resumed run adds to the file, and so does each group but the first.
        let append = cli.run.resume.is_some() || first.is_none();
        let metrics = cli.view.metrics.as_deref();
        let metrics = metrics.map(|path| Metrics::create(path, append, members.clone())).transpose()?;
        if let Some(source) = first {
            report.notice(format_args!("corpus: {source}"));
            report.notice(format_args!("device: {description}"));
            let block_sizes: BTreeSet<_> = cli.variants.iter().map(|variant| variant.model.block_size).collect();
            for block_size in block_sizes {
                tell_cut(report, self.documents, block_size);
            }
            if let Some(path) = cli.run.resume.as_deref().filter(|_| step >= training.stop_after) {
                report.notice(format_args!("nothing to train: `{}` is at step {step}", path.display()));
            }
            report.header(dataset.train.len(), dataset.val.len(), shape.vocab as usize, num_params(shape))?;
        } else {
            report.line(&format!("num params: {}", num_params(shape)))?;
        }
        if let Some(plot) = &mut plot {
            plot.begin(group.iter().map(|variant| (variant.to_string(), cli.training.replicas)));
        }
        let mut outputs = Outputs { report, metrics, plot };
        let outcome = training.execute(&mut *models, &members, &mut outputs);
        let written = outputs.metrics.map_or(Ok(()), |mut metrics| metrics.finish());
        let Outcome { val_losses, best: index, state, steps, is_validated } = outcome?;
        let (member, loss) = (members[index].clone(), val_losses[index]);
        Ok((Trained { models, index, state, member, loss, steps, is_validated }, val_losses, written))
    }

    /// How a model is trained, and the state that it starts from.
    fn start(&self, Member { seed, variant }: &Member) -> Result<ModelSetup> {
        let shape = variant.model.shape(self.dataset.tokenizer.vocab_size())?;
        let vocabulary = self.dataset.tokenizer.chars();
        let state = match (&self.cli.run.resume, &self.cli.run.init_from) {
            (Some(path), _) => checkpoint::resume(path, shape, vocabulary, &self.run)?,
            (None, Some(path)) => State::new(checkpoint::load(path, shape, vocabulary)?.weights),
            (None, None) => State::new(Weights::init(shape, *seed)),
        };
        Ok(ModelSetup { train: variant.train, state })
    }

    /// Shows what all models have become, and samples from the best.
    fn finish(
        &self,
        mut best: Trained,
        results: &[(Variant, Vec<f64>)],
        training: &Training,
        report: &mut Report<impl Write>,
    ) -> Result<()> {
        let cli = self.cli;
        // Ctrl-C may come when nothing is left to train: what it asks for is done all the same. Later it ends the samples.
        let interrupted = training.interrupt.load(Ordering::Relaxed);
        if interrupted && !best.is_validated {
            let losses = best.models.evaluate(training.val_docs)?;
            report.validation(&losses.into_iter().map(Evaluation::loss).collect::<Vec<_>>())?;
        }
        if cli.variants.len() > 1 {
            report.line(&format!("--- sweep ---\n{}", experiment::table(results)))?;
        }
        if !training.alone {
            report.line(&format!("best: {} | val loss {}", best.member, Loss(best.loss)))?;
        }
        let (tokenizer, block_size) = (&self.dataset.tokenizer, best.member.variant.model.block_size);
        let prompt = cli.prompt(tokenizer, block_size)?;
        let sampling = Sampling {
            samples: cli.sampling.samples,
            config: cli.sample(tokenizer.vocab_size(), &prompt)?,
            tokenizer,
            skip: cli.sampling.unique.then(|| self.documents.iter().copied().collect::<HashSet<_>>()),
            jsonl: cli.sampling.format == Format::Jsonl,
            interrupt: training.interrupt,
            interrupted,
        };
        if report.is_closed() {
            return Ok(());
        }
        sampling.execute(best.models.model(best.index), report)
    }
}

/// Says once how many documents are longer than what the model looks at.
fn tell_cut(report: &Report<impl Write>, documents: &[&str], block_size: usize) {
    let cut = documents.iter().filter(|document| document.chars().count() + 1 > block_size).count();
    if cut > 0 {
        let all = documents.len();
        report.notice(format_args!("cut: {cut} of {all} documents to their first `--block-size {block_size}` tokens"));
    }
}

/// Refuses a file that would be written over another that the run reads or writes; a checkpoint may be resumed and saved.
fn check_paths(cli: &Cli) -> Result<()> {
    let run = &cli.run;
    let corpus = run.input.clone().unwrap_or_else(|| PathBuf::from("input.txt"));
    let corpus = Some(corpus).filter(|path| *path != *STDIN);
    let files = [
        (&corpus, "", "the corpus"),
        (&run.save, "save", "what `--save` writes"),
        (&run.resume, "", "what `--resume` reads"),
        (&run.init_from, "", "what `--init-from` reads"),
        (&cli.view.metrics, "write metrics", "what `--metrics` writes"),
        (&cli.view.plot, "plot", "what `--plot` writes"),
    ];
    for (i, (path, verb, _)) in files.iter().enumerate().filter(|(_, (_, verb, _))| !verb.is_empty()) {
        let Some(path) = path else { continue };
        let same =
            |(other, ..): &&(&Option<PathBuf>, &str, &str)| other.as_ref().is_some_and(|other| is_same(other, path));
        if let Some((_, _, what)) = files[..i].iter().find(same) {
            return Err(Error::new(format!("cannot {verb} to `{}`: it is {what}", path.display()))
                .hint("give every file a name of its own"));
        }
    }
    Ok(())
}

/// Saves the best model, unless it has diverged.
fn save(best: &Trained, training: &Training, report: &Report<impl Write>) -> Result<()> {
    let Some(save) = training.save.as_ref().filter(|_| training.alone || !best.loss.is_nan()) else { return Ok(()) };
    // What the file has is worth more than initial weights.
    if best.steps == 0 && training.interrupt.load(Ordering::Relaxed) {
        report.notice(format_args!("not saved: `{}`, interrupted before the first step", save.target.path().display()));
        return Ok(());
    }
    save.save(&best.state, &best.member)?;
    report.notice(format_args!("saved: `{}`", save.target.path().display()));
    Ok(())
}
