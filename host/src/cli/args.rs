//! The flags, group by group as `--help` shows them.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{ArgAction, Args, Parser, ValueEnum};
use clap_complete::Shell;

use super::values::{below_one, not_negative, positive, size, whole};
use super::{AFTER_HELP, MAX_COUNT};
use crate::config::{ModelConfig, OptimizerConfig};
use crate::device::DeviceKind;
use crate::experiment::Variant;

/// Trains a tiny GPT on a text, one document a line, and samples from it.
#[derive(Debug, Parser)]
#[command(name = "microgpt", version = env!("MICROGPT_BUILD"), disable_help_flag = true, max_term_width = 120, after_help = AFTER_HELP)]
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
    /// What is read, written and computed on.
    #[command(flatten)]
    pub run: RunArgs,
    /// What shows how the run goes.
    #[command(flatten)]
    pub view: ViewArgs,
    /// The model's dimensions.
    #[command(flatten)]
    pub(super) model: ModelArgs,
    /// How it is trained.
    #[command(flatten)]
    pub training: TrainingArgs,
    /// How it is sampled.
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// The variants of `--sweep`; one without it.
    #[arg(skip)]
    pub variants: Vec<Variant>,
}

/// What is read, written and computed on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub struct RunArgs {
    /// The corpus, UTF-8 text with a document on each line; - reads standard input [default: input.txt, or a download]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Keep the documents in the file's order instead of shuffling them by the seed
    #[arg(long)]
    pub no_shuffle: bool,
    /// Start from the weights of this safetensors checkpoint; the optimiser starts anew
    #[arg(long, value_name = "FILE")]
    pub init_from: Option<PathBuf>,
    /// Go on where this checkpoint of the same run stopped; the other flags are those of that run
    #[arg(long, value_name = "FILE", conflicts_with = "init_from")]
    pub resume: Option<PathBuf>,
    /// Save the trained model as a safetensors checkpoint
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Save after every N steps too; 0 only at the end
    #[arg(long, value_name = "N", default_value_t = 0, requires = "save", value_parser = whole::<u64>(0..=MAX_COUNT))]
    pub save_every: u64,
    /// What to compute on
    #[arg(long, default_value = "auto", env = "MICROGPT_DEVICE", hide_env_values = true)]
    pub device: DeviceKind,
    /// Threads of the CPU [default: one for each of its cores]
    #[arg(long, value_name = "N", env = "MICROGPT_THREADS", hide_env_values = true, value_parser = whole::<usize>(1..=MAX_THREADS))]
    pub threads: Option<usize>,
    /// The seed of the shuffle, the initial weights and the samples
    #[arg(long, value_name = "N", default_value_t = 42, value_parser = whole::<u64>(0..=u64::MAX))]
    pub seed: u64,
}

/// The most threads that can be asked for.
const MAX_THREADS: u64 = 4096;

/// The values of `--device`.
impl ValueEnum for DeviceKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Auto => "The GPU if there is one that can be used, else the CPU",
            Self::Cuda => "The kernels on an NVIDIA GPU",
            Self::Cpu => "The kernels on the CPU",
            Self::Reference => "The scalar reference in double precision: slow, made to be read",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// What shows how the run goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Seeing the run")]
pub struct ViewArgs {
    /// Print every N-th step, and the first and the last; 0 prints none [default: every step, or about 500 lines of
    /// a longer run]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=MAX_COUNT))]
    pub log_every: Option<u64>,
    /// Write a JSON object for every step; added to the file with --resume, else the file is replaced
    #[arg(long, value_name = "FILE.jsonl")]
    pub metrics: Option<PathBuf>,
    /// Draw the losses when training is over
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub plot: Option<PathBuf>,
}

/// The model's dimensions.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(super) struct ModelArgs {
    /// Channels of the residual stream
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_embd, value_parser = size())]
    pub n_embd: usize,
    /// Attention heads; they divide the channels
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_head, value_parser = size())]
    pub n_head: usize,
    /// Layers
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().n_layer, value_parser = size())]
    pub n_layer: usize,
    /// Most tokens that the model looks back on, and that a sample has
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().block_size, value_parser = size())]
    pub block_size: usize,
}

/// The most documents of a step.
const MAX_BATCH: u64 = 1 << 24;

/// The most replicas.
const MAX_REPLICAS: u64 = 4096;

/// How the model is trained.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Training steps; 0 only samples and needs --init-from
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = whole::<u64>(0..=MAX_COUNT))]
    pub(super) steps: u64,
    /// End after step N of --steps, to go on later with --resume
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1..=MAX_COUNT))]
    pub(super) stop_after: Option<u64>,
    /// Documents of a step, whose gradients are averaged; more than the corpus has come again
    #[arg(long, value_name = "B", default_value_t = 1, value_parser = whole::<usize>(1..=MAX_BATCH))]
    pub(super) batch: usize,
    /// Train N models side by side, from the initial weights of --seed, --seed + 1, ..; the best is sampled and saved
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<usize>(1..=MAX_REPLICAS))]
    pub replicas: usize,
    /// Train with each of these values of another flag, several --sweep in all combinations; the best is sampled and saved
    #[arg(long, value_name = "FLAG=X,Y,..")]
    pub(super) sweep: Vec<String>,
    /// Validate after every N steps; 0 never
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole::<u64>(0..=MAX_COUNT))]
    pub val_every: u64,
    /// Validate on the first N validation documents
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole::<usize>(1..=MAX_COUNT))]
    pub val_docs: usize,
    /// Learning rate of the first step; it falls to zero along half a cosine
    #[arg(long, value_name = "X", value_parser = not_negative())]
    #[arg(default_value_t = OptimizerConfig::default().learning_rate)]
    pub(super) learning_rate: f64,
    /// Decay of the optimiser's first moment
    #[arg(long, value_name = "X", value_parser = below_one())]
    #[arg(default_value_t = OptimizerConfig::default().beta1)]
    pub(super) beta1: f64,
    /// Decay of the optimiser's second moment
    #[arg(long, value_name = "X", value_parser = below_one())]
    #[arg(default_value_t = OptimizerConfig::default().beta2)]
    pub(super) beta2: f64,
    /// Added to the root of the second moment
    #[arg(long, value_name = "X", value_parser = positive())]
    #[arg(default_value_t = OptimizerConfig::default().eps)]
    pub(super) eps: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", value_parser = not_negative())]
    #[arg(default_value_t = OptimizerConfig::default().weight_decay)]
    pub(super) weight_decay: f64,
    /// Clip the gradient's global norm to this
    #[arg(long, value_name = "X", value_parser = positive())]
    #[arg(default_value_t = OptimizerConfig::default().max_grad_norm)]
    pub(super) max_grad_norm: f64,
}

/// How text is sampled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArgs {
    /// Samples to generate
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole::<u64>(1..=MAX_COUNT))]
    pub samples: u64,
    /// What each sample starts with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub prompt: String,
    /// Skip samples that stand in the corpus, and say how many they were
    #[arg(long)]
    pub unique: bool,
    /// Draw from the N most likely tokens only [default: 5, or all of a smaller vocabulary]
    #[arg(long, value_name = "N", value_parser = size())]
    pub(super) top_k: Option<usize>,
    /// Divide the logits by this; 0 always takes the most likely token
    #[arg(long, value_name = "X", default_value_t = 0.6, value_parser = not_negative())]
    pub(super) temperature: f64,
    /// How samples are printed
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// How samples are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line each
    Text,
    /// A JSON object each, with the log-probability of every token; all other lines go to stderr
    Jsonl,
}
