//! The flags in the groups that `--help` shows.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::{Map, Value};

use super::document_args::DocumentArgs;
use super::eval::EvalArgs;
use super::info::InfoArgs;
use super::sample::SampleArgs;
use super::settings::SAMPLING;
use super::shared_args::{DeviceArgs, SamplingArgs};
use super::values::{Sweep, below_one, count, documents, not_negative, size, whole, within};
use crate::config::{ModelConfig, OptimizerConfig as Optimizer, TrainConfig};
use crate::corpus::CorpusMode;
use crate::run::{RunConfig, Setting};
use crate::trainer::Config;

/// The outputs, for the help and the manual page.
pub(super) const FILES: &str = "\
Results go to stdout, notices and errors to stderr.
If a file cannot be written, the run ends with an error. A checkpoint keeps its last complete content.
If a path is a link, the file that it points to is written.";

/// The signals, for the help and the manual page.
pub(super) const SIGNALS: &str = "\
Ctrl-C, SIGTERM or SIGHUP ends training in good order. The model is saved, and validated and sampled if that is quick. \
A signal before training starts and a second signal end the program at once.";

/// The exit codes, for the help and the manual page.
pub(super) const EXIT_CODES: &str = "\
Exit code: 0 for success, 1 for an error, 2 for a wrong command line, and for a run that a signal \
ended 130 (Ctrl-C), 143 (SIGTERM) or 129 (SIGHUP).";

/// Trains a tiny GPT on a text, one document a line, and samples from it.
#[derive(Debug, Parser)]
#[command(name = "microgpt", version = env!("MICROGPT_BUILD"), disable_help_flag = true)]
#[command(after_help = format!("{FILES}\n{SIGNALS}\nNO_COLOR=1 turns colours off.\n{EXIT_CODES}"), max_term_width = 120)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true, subcommand_value_name = "COMMAND")]
pub struct Cli {
    /// A command for a saved model. Without one, the program trains.
    #[command(subcommand)]
    pub(super) task: Option<Task>,
    /// Print no notices and no progress on stderr
    #[arg(short, long, global = true, display_order = 900)]
    pub(super) quiet: bool,
    /// Print this help
    #[arg(short, long, global = true, display_order = 901, action = ArgAction::HelpShort)]
    pub(super) help: Option<bool>,
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
    #[command(flatten, next_help_heading = SAMPLING)]
    pub(super) sampling: SamplingArgs,
    /// Skip samples that are documents of the corpus, and print their number
    #[arg(long, help_heading = SAMPLING)]
    pub(super) unique: bool,
    /// The configurations of `--sweep`, or one without it.
    #[arg(skip)]
    pub(super) configs: Vec<RunConfig>,
    /// The settings, by their flags without dashes.
    #[arg(skip)]
    pub(super) settings: Map<String, Value>,
    /// The flags on the command line, without their dashes.
    #[arg(skip)]
    pub(super) given: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Sample from a saved model
    Sample(SampleArgs),
    /// Evaluate a saved model on a text
    Eval(EvalArgs),
    /// Describe a saved model
    Info(InfoArgs),
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Take flags from this TOML file, whose keys are flags without dashes. Flags on the command line override it
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,
    /// The corpus, UTF-8 text with one document on each line, or - for standard input. White space at the ends of lines
    /// is removed. --corpus text reads it as a whole [default: input.txt, or a download]
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Keep the documents in the order of the file instead of shuffling them by the seed
    #[arg(long)]
    pub(super) no_shuffle: bool,
    #[command(flatten)]
    pub(super) documents: DocumentArgs,
    /// Start from the weights of this safetensors checkpoint, with a new optimiser. The model's flags are by default
    /// those of the file. Its vocabulary may have more characters than the corpus
    #[arg(long, value_name = "FILE")]
    pub(super) init_from: Option<PathBuf>,
    /// Continue the run that saved this checkpoint, on the same corpus. The flags of model and training are by default
    /// those of the file, and only --steps may be larger
    #[arg(long, value_name = "FILE", conflicts_with = "init_from")]
    pub(super) resume: Option<PathBuf>,
    /// Save the trained model as a safetensors checkpoint. {step} in the name stands for the number of steps
    #[arg(long, value_name = "FILE")]
    pub(super) save: Option<PathBuf>,
    /// Save after every N steps too. 0 saves only at the end
    #[arg(long, value_name = "N", default_value_t = 0, requires = "save", value_parser = count(0))]
    pub(super) save_every: u64,
    /// Save the model of the least validation loss so far, whenever a validation is better than all before
    #[arg(long, value_name = "FILE")]
    pub(super) save_best: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
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
    /// Write a JSON object, or a line of CSV, for every step to this file, which is replaced, or extended with --resume
    #[arg(long, value_name = "FILE.jsonl|FILE.csv")]
    pub(super) metrics: Option<PathBuf>,
    /// Draw the losses when training ends
    #[arg(long, value_name = "FILE.svg|FILE.png")]
    pub(super) plot: Option<PathBuf>,
    /// Write a page for a browser with the trained model and its corpus, of up to 50 MB each
    #[arg(long, value_name = "FILE.html")]
    pub(super) page: Option<PathBuf>,
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
    /// The most tokens that the model attends to
    #[arg(long, value_name = "N", default_value_t = ModelConfig::default().block_size, value_parser = size())]
    block_size: usize,
}

#[derive(Debug, Args)]
pub(super) struct TrainingArgs {
    /// Training steps, the length of the learning rate's schedule. 0 only samples and needs --init-from. If --resume
    /// makes a run longer, the learning rate continues as in a run of N steps
    #[arg(long, value_name = "N", default_value_t = Config::default().steps, value_parser = count(0))]
    pub(super) steps: u64,
    /// End after step N of --steps. --resume can continue from there
    #[arg(long, value_name = "N", value_parser = count(1))]
    pub(super) stop_after: Option<u64>,
    /// Documents per step, or windows of a text, whose gradients are averaged. If there are fewer documents, they repeat
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
    /// Validate after every N steps. 0 only validates several models, when they end
    #[arg(long, value_name = "N", default_value_t = Config::default().val_every, value_parser = count(0))]
    pub(super) val_every: u64,
    /// End after N validations in a row that were not better than the best before. 0 never ends early
    #[arg(long, value_name = "N", default_value_t = Config::default().stop_early, value_parser = count(0))]
    pub(super) stop_early: u64,
    /// Validate on the first N validation documents or windows of a text, or on all [default: 20, or all of a text or
    /// where several models are compared]
    #[arg(long, value_name = "N|all", value_parser = documents())]
    pub(super) val_docs: Option<usize>,
    /// The learning rate after the warm-up. It falls to --min-lr along half a cosine
    #[arg(long, value_name = "X", value_parser = not_negative(), default_value_t = Optimizer::default().learning_rate)]
    learning_rate: f64,
    /// Steps over which the learning rate first rises, in a line from nearly zero
    #[arg(long, value_name = "N", value_parser = count(0), default_value_t = Optimizer::default().warmup)]
    warmup: u64,
    /// The learning rate at the end of --steps, at most --learning-rate
    #[arg(long, value_name = "X", value_parser = not_negative(), default_value_t = Optimizer::default().min_lr)]
    min_lr: f64,
    /// The decay of the optimiser's first moment
    #[arg(long, value_name = "X", value_parser = below_one(), default_value_t = Optimizer::default().beta1)]
    beta1: f64,
    /// The decay of the optimiser's second moment
    #[arg(long, value_name = "X", value_parser = below_one(), default_value_t = Optimizer::default().beta2)]
    beta2: f64,
    /// The addend to the root of the second moment
    #[arg(long, value_name = "X", value_parser = within(Optimizer::EPS), default_value_t = Optimizer::default().eps)]
    eps: f64,
    /// The decoupled weight decay
    #[arg(long, value_name = "X", value_parser = not_negative(), default_value_t = Optimizer::default().weight_decay)]
    weight_decay: f64,
    /// Clip the gradient's global norm to this
    #[arg(long, value_name = "X", value_parser = within(Optimizer::MAX_GRAD_NORM))]
    #[arg(default_value_t = Optimizer::default().max_grad_norm)]
    max_grad_norm: f64,
}

impl Cli {
    /// Returns the configuration of a run, whose flags have these swept values.
    pub(super) fn config(&self, swept: Vec<Setting>) -> RunConfig {
        let &ModelArgs { n_embd, n_head, n_layer, block_size } = &self.model;
        let &TrainingArgs { steps, batch, learning_rate, warmup, min_lr, .. } = &self.training;
        let &TrainingArgs { beta1, beta2, eps, weight_decay, max_grad_norm, .. } = &self.training;
        let optimizer = Optimizer { learning_rate, warmup, min_lr, beta1, beta2, eps, weight_decay, max_grad_norm };
        let model = ModelConfig { n_embd, n_head, n_layer, block_size };
        RunConfig { swept, model, train: TrainConfig { steps, batch, optimizer } }
    }

    /// Returns the step after which the run ends.
    pub(super) fn stop_after(&self) -> u64 {
        self.training.stop_after.unwrap_or(self.training.steps)
    }

    /// Returns the meaning of the corpus.
    pub(super) fn mode(&self) -> CorpusMode {
        self.run.documents.config().mode
    }

    /// Returns the number of documents to validate on. The best of several models is chosen by all of them, and a text
    /// validates on all windows.
    pub(super) fn val_docs(&self) -> usize {
        let takes_all = self.compares() || self.mode() == CorpusMode::Text;
        let default = if takes_all { usize::MAX } else { Config::default().val_docs };
        self.training.val_docs.unwrap_or(default)
    }

    /// Returns the block sizes of the models, without copies.
    pub(super) fn block_sizes(&self) -> BTreeSet<usize> {
        self.configs.iter().map(|config| config.model.block_size).collect()
    }

    /// Returns the number of tokens of each document that all models predict, which is the least of their block sizes.
    pub(super) fn least_block_size(&self) -> usize {
        self.block_sizes().first().copied().unwrap_or(1)
    }

    /// Returns whether models are judged on the first tokens of each document alone, because their block sizes differ. Of
    /// a continuous text, every model predicts every token.
    pub(super) fn cuts_documents(&self) -> bool {
        self.block_sizes().len() > 1 && self.mode() == CorpusMode::Lines
    }

    /// Returns whether the run trains several models, of which the best is kept.
    pub(super) fn compares(&self) -> bool {
        self.configs.len() * self.training.seeds > 1
    }
}
