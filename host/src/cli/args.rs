//! The flags in the groups that `--help` shows.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::ValueParser;
use clap::{ArgAction, Args, Parser, ValueEnum};
use clap_complete::Shell;

use crate::config::{ModelConfig, OptimizerConfig as Optimizer, TrainConfig};
use crate::device::DeviceKind;
use crate::run::{RunConfig, Setting};
use crate::sampler::Sampling;
use crate::trainer::Config;

/// The largest count. The whole numbers up to it are exact in an `f64`, which the learning rate's schedule needs.
pub(super) const MAX_COUNT: u64 = 1 << 53;
const AFTER_HELP: &str = "\
Results go to stdout, notices and errors to stderr.
Ctrl-C, SIGTERM or SIGHUP ends training after the launch under way. The model is then validated, saved \
and sampled. A second signal ends the program at once.
If a file cannot be written, the run ends with an error. A checkpoint keeps its last complete content.
If a path is a link, the file that it points to is written.
NO_COLOR=1 turns colours off.
Exit code: 0 for success, 1 for an error, 2 for a wrong command line, 130 for an interrupted run.";

/// Trains a tiny GPT on a text, one document a line, and samples from it.
#[derive(Debug, Parser)]
#[command(name = "microgpt", version = env!("MICROGPT_BUILD"), disable_help_flag = true)]
#[command(max_term_width = 120, after_help = AFTER_HELP)]
pub struct Cli {
    /// Print this help
    #[arg(short, long, action = ArgAction::HelpShort)]
    help: Option<bool>,
    /// Print a completion script for this shell
    #[arg(long, value_name = "SHELL", value_enum, exclusive = true)]
    pub(super) completions: Option<Shell>,
    /// Print the manual page, for `man -l -`
    #[arg(long, exclusive = true)]
    pub(super) man_page: bool,
    #[command(flatten, next_help_heading = "Input and output")]
    pub(super) run: RunArgs,
    #[command(flatten, next_help_heading = "Seeing the run")]
    pub(super) view: ViewArgs,
    #[command(flatten, next_help_heading = "Model")]
    pub(super) model: ModelArgs,
    #[command(flatten, next_help_heading = "Training")]
    pub(super) training: TrainingArgs,
    #[command(flatten, next_help_heading = "Sampling")]
    pub(super) sampling: SamplingArgs,
    /// The configurations of `--sweep`, or one without it.
    #[arg(skip)]
    pub(super) configs: Vec<RunConfig>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The corpus, UTF-8 text with one document on each line, or - for standard input [default: input.txt, or a
    /// download]
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Keep the documents in the order of the file instead of shuffling them by the seed
    #[arg(long)]
    pub(super) no_shuffle: bool,
    /// Start from the weights of this safetensors checkpoint, with a new optimiser
    #[arg(long, value_name = "FILE")]
    pub(super) init_from: Option<PathBuf>,
    /// Continue the run that saved this checkpoint, with the same corpus, seed, model and training flags
    #[arg(long, value_name = "FILE", conflicts_with = "init_from")]
    pub(super) resume: Option<PathBuf>,
    /// Save the trained model as a safetensors checkpoint
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Save after every N steps too. 0 saves only at the end
    #[arg(long, value_name = "N", default_value_t = 0, requires = "save", value_parser = count(0))]
    pub(super) save_every: u64,
    /// The device to compute on
    #[arg(long, default_value = "auto", env = "MICROGPT_DEVICE", hide_env_values = true)]
    pub(super) device: DeviceKind,
    /// The number of CPU threads [default: one for each core]
    #[arg(long, value_name = "N", env = "MICROGPT_THREADS", hide_env_values = true)]
    #[arg(value_parser = whole::<usize>(1..=4096))]
    pub(super) threads: Option<usize>,
    /// The seed of the shuffle, the initial weights and the samples
    #[arg(long, value_name = "N", default_value_t = Config::default().seed, value_parser = whole::<u64>(0..=u64::MAX))]
    pub(super) seed: u64,
}

#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// Print every N-th step, the first and the last. 0 prints none [default: every step, or about 500 lines of a
    /// longer run]
    #[arg(long, value_name = "N", value_parser = count(0))]
    pub(super) log_every: Option<u64>,
    /// Write a JSON object for every step to this file, which is replaced, or extended with --resume
    #[arg(long, value_name = "FILE.jsonl")]
    pub(super) metrics: Option<PathBuf>,
    /// Draw the losses when training ends
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub(super) plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Channels of the residual stream
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_embd, value_parser = size())]
    n_embd: usize,
    /// Attention heads, a divisor of --n-embd
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_head, value_parser = size())]
    n_head: usize,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_layer, value_parser = size())]
    n_layer: usize,
    /// The most tokens that the model attends to, and that a sample has
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().block_size, value_parser = size())]
    block_size: usize,
}

#[derive(Debug, Args)]
pub(super) struct TrainingArgs {
    /// Training steps. 0 only samples and needs --init-from
    #[arg(long, value_name = "N", default_value_t = Config::default().steps, value_parser = count(0))]
    pub(super) steps: u64,
    /// End after step N of --steps. --resume can continue from there
    #[arg(long, value_name = "N", value_parser = count(1))]
    pub(super) stop_after: Option<u64>,
    /// Documents per step, whose gradients are averaged. If there are fewer documents, they repeat
    #[arg(long, value_name = "B", default_value_t = Config::default().batch)]
    #[arg(value_parser = whole::<usize>(1..=1 << 24))]
    batch: usize,
    /// Train N models side by side, with initial weights from --seed, --seed + 1 and so on. The best is sampled and
    /// saved
    #[arg(long, alias = "replicas", value_name = "N", default_value_t = 1, value_parser = whole::<usize>(1..=4096))]
    pub(super) seeds: usize,
    /// Train one model for each of these values of another flag, or for each combination of several --sweep. The best
    /// is sampled and saved
    #[arg(long, value_name = "FLAG=X,Y,..")]
    pub(super) sweep: Vec<Sweep>,
    /// Validate after every N steps. 0 never validates
    #[arg(long, value_name = "N", default_value_t = Config::default().val_every, value_parser = count(0))]
    pub(super) val_every: u64,
    /// Validate on the first N validation documents
    #[arg(long, value_name = "N", default_value_t = Config::default().val_docs)]
    #[arg(value_parser = whole::<usize>(1..=MAX_COUNT))]
    pub(super) val_docs: usize,
    /// The learning rate of the first step. It falls to zero along half a cosine
    #[arg(long, value_name = "X", value_parser = not_negative(), default_value_t = Optimizer::default().learning_rate)]
    learning_rate: f64,
    /// The decay of the optimiser's first moment
    #[arg(long, value_name = "X", value_parser = below_one(), default_value_t = Optimizer::default().beta1)]
    beta1: f64,
    /// The decay of the optimiser's second moment
    #[arg(long, value_name = "X", value_parser = below_one(), default_value_t = Optimizer::default().beta2)]
    beta2: f64,
    /// The addend to the root of the second moment
    #[arg(long, value_name = "X", value_parser = positive(), default_value_t = Optimizer::default().eps)]
    eps: f64,
    /// The decoupled weight decay
    #[arg(long, value_name = "X", value_parser = not_negative(), default_value_t = Optimizer::default().weight_decay)]
    weight_decay: f64,
    /// Clip the gradient's global norm to this
    #[arg(long, value_name = "X", value_parser = positive(), default_value_t = Optimizer::default().max_grad_norm)]
    max_grad_norm: f64,
}

#[derive(Debug, Args)]
pub(super) struct SamplingArgs {
    /// Samples to generate
    #[arg(long, value_name = "N", default_value_t = Sampling::default().samples, value_parser = count(1))]
    pub(super) samples: u64,
    /// The text that each sample starts with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub(super) prompt: String,
    /// Skip samples that are documents of the corpus, and print their number
    #[arg(long)]
    pub(super) unique: bool,
    /// Draw from the N most likely tokens [default: 5, or all of a smaller vocabulary]
    #[arg(long, value_name = "N", value_parser = size())]
    pub(super) top_k: Option<usize>,
    /// Divide the logits by this. 0 always takes the most likely token
    #[arg(long, value_name = "X", default_value_t = Sampling::default().temperature, value_parser = not_negative())]
    pub(super) temperature: f64,
    /// The format of the samples
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each sample
    Text,
    /// One JSON object for each sample, with the log-probability of every token. All other lines go to stderr
    Jsonl,
}

impl Cli {
    /// Returns the configuration of a run, whose flags have these swept values.
    pub(super) fn config(&self, swept: Vec<Setting>) -> RunConfig {
        let &ModelArgs { n_embd, n_head, n_layer, block_size } = &self.model;
        let &TrainingArgs { steps, batch, learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm, .. } =
            &self.training;
        let optimizer = Optimizer { learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm };
        let model = ModelConfig { n_embd, n_head, n_layer, block_size };
        RunConfig { swept, model, train: TrainConfig { steps, batch, optimizer } }
    }

    /// Returns the step after which the run ends.
    pub(super) fn stop_after(&self) -> u64 {
        self.training.stop_after.unwrap_or(self.training.steps)
    }

    /// Returns whether the run trains several models, of which the best is kept.
    pub(super) fn compares(&self) -> bool {
        self.configs.len() * self.training.seeds > 1
    }

    /// Returns whether samples are JSON objects.
    pub(super) fn is_jsonl(&self) -> bool {
        self.sampling.format == Format::Jsonl
    }
}

/// Parses a whole number within `range`.
fn whole<T: TryFrom<u64> + Clone + Send + Sync + 'static>(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number =
            text.parse().ok().filter(|number| range.contains(number)).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected a whole number from {} to {}", range.start(), range.end()))
    })
}

/// Parses a count from `min`.
fn count(min: u64) -> ValueParser {
    whole::<u64>(min..=MAX_COUNT)
}

/// Parses a dimension of the model. Indices fit 32 bits on every device.
fn size() -> ValueParser {
    whole::<usize>(1..=1 << 30)
}

/// Parses a value from `min` to `max`, which `expected` describes. NaN is in no range.
///
/// The kernels compute in `f32`. A value that overflows there, or is rounded to zero or one, is out of range.
fn real(min: f64, max: f64, expected: &'static str) -> ValueParser {
    ValueParser::new(move |text: &str| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| format!("expected a number {expected}"))
    })
}

fn not_negative() -> ValueParser {
    real(0.0, f32::MAX.into(), "from 0 to 3.4e38")
}

fn positive() -> ValueParser {
    real(f32::MIN_POSITIVE.into(), f32::MAX.into(), "above 0, from 1.2e-38 to 3.4e38")
}

fn below_one() -> ValueParser {
    real(0.0, 1.0f32.next_down().into(), "from 0 to below 1")
}

/// The values of a flag that is swept, as `--sweep` takes them.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    pub(super) text: String,
    /// A flag that can be swept, without its dashes.
    pub(super) flag: String,
    pub(super) values: Vec<String>,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let flags =
            "learning-rate, beta1, beta2, eps, weight-decay, max-grad-norm, batch, n-embd, n-head, n-layer, block-size";
        let (flag, values) =
            text.split_once('=').ok_or("expected a flag and its values, as in learning-rate=0.003,0.01")?;
        let flag = flag.trim().trim_start_matches("--").to_owned();
        if !flags.split(", ").any(|other| other == flag) {
            return Err(format!("`{flag}` cannot be swept, expected one of {flags}"));
        }
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        Ok(Self { text: text.to_owned(), flag, values })
    }
}
