//! The `microgpt` program: the command line, and a run on the device that it chooses.

use std::env;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use microgpt::checkpoint::{self, Target};
use microgpt::cli::{Cli, DeviceChoice};
use microgpt::config::num_params;
use microgpt::corpus::{Corpus, Dataset};
use microgpt::device::cpu::Cpu;
use microgpt::device::{Device, State};
use microgpt::error::{Error, Result};
use microgpt::reference::Reference;
use microgpt::report::{self, Report};
use microgpt::trainer::Run;
use microgpt::weights::Weights;

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads is no error.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let save = cli.run.save.as_deref().map(Target::new).transpose()?;
    let input = cli.run.input.as_deref();
    if let Some(target) = save.as_ref().filter(|target| target.is(input.unwrap_or(Path::new("input.txt")))) {
        return Err(Error::new(format!("cannot save to `{}`: it is the corpus", target.name()))
            .hint("give `--save` a file of its own"));
    }
    let corpus = Corpus::load(input)?;
    let documents: Vec<&str> = corpus.documents().collect();
    let dataset = Dataset::new(&documents, (!cli.run.no_shuffle).then_some(cli.run.seed), None)?;
    let vocab = dataset.tokenizer.vocab_size();
    let shape = cli.model().shape(vocab)?;
    let sample = cli.sample(vocab)?;
    let weights = match &cli.run.init_from {
        Some(path) => checkpoint::load(path, shape, dataset.tokenizer.chars())?.weights,
        None => Weights::init(shape, cli.run.seed),
    };
    let mut device = open(cli, &dataset, &State::new(weights))?;

    let mut report = Report::new(io::stdout().lock());
    report.notice(format_args!("corpus: {}", corpus.source));
    report.notice(format_args!("device: {}", device.description()));
    report.header(dataset.train.len(), dataset.val.len(), vocab, num_params(shape))?;
    let run = Run {
        steps: cli.train().steps,
        val_every: cli.training.val_every,
        val_docs: cli.training.val_docs,
        samples: cli.samples(),
        sample,
        dataset: &dataset,
        save: save.as_ref(),
    };
    run.execute(&mut *device, &mut report)
}

/// The device that the user chose, with the corpus and the model on it.
fn open(cli: &Cli, dataset: &Dataset, state: &State) -> Result<Box<dyn Device>> {
    let config = cli.train();
    Ok(match cli.run.device {
        DeviceChoice::Auto | DeviceChoice::Cpu => Box::new(Cpu::new(config, dataset, state)?),
        DeviceChoice::Reference => Box::new(Reference::new(config, dataset, state)),
    })
}
