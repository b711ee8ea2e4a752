//! The command `sample`, which samples from a saved model.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::console::Console;
use super::interrupt;
use super::samples::Samples;
use super::saved;
use super::shared_args::{DeviceArgs, SamplingArgs};
use super::values::whole;
use crate::checkpoint::{self, document_config};
use crate::corpus::{Dataset, DocumentConfig};
use crate::error::Result;
use crate::model::Model;
use crate::sampler::{Sampler, Sampling};
use crate::stop::StopHandle;

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// The checkpoint that `--save` wrote
    model: PathBuf,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// The seed of the samples [default: the seed of the run that saved the model]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    seed: Option<u64>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Samples from the model that `args` names. Returns the exit code.
pub(super) fn run(args: &SampleArgs, quiet: bool) -> Result<ExitCode> {
    let console = &mut Console::new(io::stdout().lock(), 0, args.sampling.is_jsonl()).quiet(quiet);
    let Model { state, tokenizer } = Model::load(&args.model)?;
    let stored = checkpoint::describe(&args.model)?;
    let seed = args.seed.or(stored["seed"].as_u64()).unwrap_or(Sampling::default().seed);
    let DocumentConfig { mode, nfc, .. } = document_config(&stored);
    let flags = if nfc { args.sampling.composed() } else { args.sampling.clone() };
    let sampling = flags.settings(&tokenizer, mode, seed)?;
    flags.check_prompt(&tokenizer, mode, state.weights.shape.block_size as usize)?;
    // A device holds documents, but a sampling reads none.
    let text: String = tokenizer.chars().iter().collect();
    let dataset = Dataset::unsplit(&[&text], tokenizer)?;
    let mut models = saved::open(&args.model, state, &dataset, &args.device, console)?;
    let stop = StopHandle::from(interrupt::watch(quiet)?);
    models.stopped_by(&stop);
    let sampler = Sampler::on(models.model(0), &dataset.tokenizer, &sampling)?;
    let samples = Samples { sampler, sampling, tokenizer: &dataset.tokenizer, skip: None };
    samples.print(console, || !stop.is_stopped())?;
    Ok(interrupt::exit_code(&stop))
}
