//! The command line: every flag with its default and the values that it takes, checked before anything runs.

use std::error::Error as _;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};

use crate::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use crate::error::{Error, Result};

/// Trains a tiny GPT on a text, one document a line, and samples from it.
#[derive(Debug, Parser)]
#[command(name = "microgpt", version = env!("MICROGPT_BUILD"), disable_help_flag = true, max_term_width = 120, after_help = AFTER_HELP)]
pub struct Cli {
    /// Print this help
    #[arg(short, long, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// What is read, written and computed on.
    #[command(flatten)]
    pub run: RunArgs,
    /// The model's dimensions.
    #[command(flatten)]
    model: ModelArgs,
    /// How it is trained.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// How it is sampled.
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// What is read, written and computed on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub struct RunArgs {
    /// The corpus, UTF-8 text with a document on each line [default: input.txt, or a download]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Keep the documents in the file's order instead of shuffling them by the seed
    #[arg(long)]
    pub no_shuffle: bool,
    /// Start from the weights of this safetensors checkpoint; the optimiser starts anew
    #[arg(long, value_name = "FILE")]
    pub init_from: Option<PathBuf>,
    /// Save the trained model as a safetensors checkpoint
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// What to compute on
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// The seed of the shuffle, the initial weights and the samples
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,
}

/// What to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// The fastest device of this machine
    Auto,
    /// The kernels on the CPU
    Cpu,
    /// The scalar reference in double precision: slow, made to be read
    Reference,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
struct ModelArgs {
    /// Channels of the residual stream
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_embd, value_parser = size())]
    n_embd: usize,
    /// Attention heads; they divide the channels
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_head, value_parser = size())]
    n_head: usize,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_layer, value_parser = size())]
    n_layer: usize,
    /// Most tokens that the model looks back on, and that a sample has
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().block_size, value_parser = size())]
    block_size: usize,
}

/// How the model is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Training steps, a document each; 0 only samples and needs --init-from
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = whole::<u64>(0..=MAX_COUNT))]
    steps: u64,
    /// Validate after every N steps; 0 never
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole::<u64>(0..=MAX_COUNT))]
    pub val_every: u64,
    /// Validate on the first N validation documents
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole::<usize>(1..=MAX_COUNT))]
    pub val_docs: usize,
    /// Learning rate of the first step; it falls to zero along half a cosine
    #[arg(long, value_name = "X", value_parser = not_negative())]
    #[arg(default_value_t = OptimizerConfig::default().learning_rate)]
    learning_rate: f64,
    /// Decay of the optimiser's first moment
    #[arg(long, value_name = "X", value_parser = below_one())]
    #[arg(default_value_t = OptimizerConfig::default().beta1)]
    beta1: f64,
    /// Decay of the optimiser's second moment
    #[arg(long, value_name = "X", value_parser = below_one())]
    #[arg(default_value_t = OptimizerConfig::default().beta2)]
    beta2: f64,
    /// Added to the root of the second moment
    #[arg(long, value_name = "X", value_parser = positive())]
    #[arg(default_value_t = OptimizerConfig::default().eps)]
    eps: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", value_parser = not_negative())]
    #[arg(default_value_t = OptimizerConfig::default().weight_decay)]
    weight_decay: f64,
    /// Clip the gradient's global norm to this
    #[arg(long, value_name = "X", value_parser = positive())]
    #[arg(default_value_t = OptimizerConfig::default().max_grad_norm)]
    max_grad_norm: f64,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
struct SamplingArgs {
    /// Samples to generate
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole::<u64>(1..=MAX_COUNT))]
    samples: u64,
    /// Draw from the N most likely tokens only [default: 5, or all of a smaller vocabulary]
    #[arg(long, value_name = "N", value_parser = size())]
    top_k: Option<usize>,
    /// Divide the logits by this; 0 always takes the most likely token
    #[arg(long, value_name = "X", default_value_t = 0.6, value_parser = not_negative())]
    temperature: f64,
}

const AFTER_HELP: &str = "\
Results go to stdout, notices and errors to stderr.
Exit code: 0 the run is done, 1 it failed, 2 the command line is wrong.";

/// The default of `--top-k`.
const TOP_K: usize = 5;
/// The largest count: the whole numbers up to it are exact in an `f64`, which the learning rate's schedule needs.
const MAX_COUNT: u64 = 1 << 53;
/// The largest size of a model: indices fit 32 bits on every device.
const MAX_SIZE: u64 = 1 << 30;
/// Reads a whole number within `range`.
fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    })
}

/// Reads a size of the model.
fn size() -> ValueParser {
    whole::<usize>(1..=MAX_SIZE)
}

/// Reads a number from `min` to `max`, which `expected` describes. NaN is in no range.
fn real(min: f64, max: f64, expected: &'static str) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| format!("expected a number {expected}"))
    })
}

// The kernels compute in `f32`: what overflows there, or becomes zero or one, is refused here.

fn not_negative() -> ValueParser {
    real(0.0, f32::MAX.into(), "from 0 to 3.4e38")
}

fn positive() -> ValueParser {
    real(f32::MIN_POSITIVE.into(), f32::MAX.into(), "above 0, from 1.2e-38 to 3.4e38")
}

fn below_one() -> ValueParser {
    real(0.0, 1.0f32.next_down().into(), "from 0 to below 1")
}

impl Cli {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// A message for [`clap::Error::print`]: what is wrong with the command line, or the help that it asks for.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(args).map_err(with_hint)?;
        let cli = Self::from_arg_matches(&matches)?;
        // The vocabulary is not known yet; a model that fails with one token fails with every corpus, so it fails now.
        cli.model().shape(1).map_err(|error| usage_error(&error))?;
        if cli.training.steps == 0 && cli.run.init_from.is_none() {
            let error =
                Error::new("`--steps 0` leaves nothing to do: it only samples, and untrained weights sample noise");
            return Err(usage_error(&error.hint("add `--init-from FILE.safetensors`, or train for at least 1 step")));
        }
        Ok(cli)
    }

    /// The model's dimensions.
    pub fn model(&self) -> ModelConfig {
        let &ModelArgs { n_embd, n_head, n_layer, block_size } = &self.model;
        ModelConfig { n_embd, n_head, n_layer, block_size }
    }

    /// How to train.
    pub fn train(&self) -> TrainConfig {
        let &TrainingArgs { steps, learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm, .. } = &self.training;
        let optimizer = OptimizerConfig { learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm };
        TrainConfig { steps, optimizer }
    }

    /// How many samples to generate.
    pub fn samples(&self) -> u64 {
        self.sampling.samples
    }

    /// How to sample from a model with a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// `--top-k` asks for more tokens than there are.
    pub fn sample(&self, vocab: usize) -> Result<SampleConfig> {
        let top_k = self.sampling.top_k.unwrap_or(TOP_K.min(vocab));
        if top_k > vocab {
            return Err(Error::new(format!("`--top-k {top_k}` is more than the vocabulary's {vocab} tokens"))
                .hint(format!("choose at most `--top-k {vocab}`, or leave it out")));
        }
        Ok(SampleConfig { top_k, temperature: self.sampling.temperature, seed: self.run.seed })
    }
}

/// The definition of the command line. A negative number is a value like any other, so that its flag can refuse it.
fn command() -> Command {
    Cli::command().mut_args(|arg| {
        let takes_values = arg.get_action().takes_values();
        arg.allow_negative_numbers(takes_values)
    })
}

/// Gives clap's error about a value the form of [`Error`], with the flag's default as a hint; others stay as they are.
fn with_hint(error: clap::Error) -> clap::Error {
    let (Some(arg), Some(value), Some(expected)) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue), error.source())
    else {
        return error;
    };
    let mut command = command();
    command.build();
    let flag = command.get_arguments().find(|flag| flag.to_string() == arg.to_string());
    let name = flag.and_then(clap::Arg::get_long).unwrap_or_default();
    let default = flag.and_then(|flag| flag.get_default_values().first()).map(|value| value.display());
    let hint = match default {
        Some(default) => format!("the default is `--{name} {default}`; `--help` describes every flag"),
        None => "`--help` describes every flag".to_owned(),
    };
    usage_error(&Error::new(format!("`--{name} {value}`: {expected}")).hint(hint))
}

/// `error` as clap prints it, with clap's exit code.
fn usage_error(error: &Error) -> clap::Error {
    let report = error.report();
    clap::Error::raw(ErrorKind::ValueValidation, report.strip_prefix("error: ").unwrap_or(&report).to_owned() + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Result<Cli, clap::Error> {
        Cli::read(["microgpt"].into_iter().chain(args.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn clap_accepts_the_definition() {
        command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let cli = read("").unwrap();
        assert_eq!(cli.model(), ModelConfig::default());
        assert_eq!(cli.train(), TrainConfig { steps: 500, optimizer: OptimizerConfig::default() });
        assert_eq!((cli.training.val_every, cli.training.val_docs, cli.samples()), (100, 20, 20));
        assert_eq!(cli.sample(27).unwrap(), SampleConfig { top_k: 5, temperature: 0.6, seed: 42 });
        assert_eq!(cli.run.device, DeviceChoice::Auto);
    }

    #[test]
    fn top_k_follows_a_small_vocabulary_unless_it_is_given() {
        assert_eq!(read("").unwrap().sample(3).unwrap().top_k, 3);
        assert_eq!(read("--top-k 3").unwrap().sample(3).unwrap().top_k, 3);
        let error = read("--top-k 4").unwrap().sample(3).unwrap_err();
        assert_eq!(error.to_string(), "`--top-k 4` is more than the vocabulary's 3 tokens");
    }

    #[test]
    fn the_edges_of_every_range_are_taken() {
        for args in [
            "--learning-rate 0 --beta1 0 --beta2 0.9999999 --eps 1e-37 --weight-decay 0 --max-grad-norm 1e-37",
            "--temperature 0 --samples 1 --top-k 1 --val-every 0 --val-docs 1 --seed 18446744073709551615",
            "--steps 9007199254740992",
            "--steps 0 --init-from x.safetensors",
        ] {
            assert!(read(args).is_ok(), "{args}");
        }
    }
}
