//! The flags that training and the commands for a saved model have in common.

use std::io::Write;
use std::num::NonZero;
use std::thread::available_parallelism;

use clap::builder::ValueParser;
use clap::{Args, ValueEnum};

use super::console::Console;
use super::values::{count, not_negative, probability, size, whole};
use crate::cluster::Cluster;
use crate::corpus::{CorpusMode, compose, form_in};
use crate::device::{self, DeviceKind, threads};
use crate::error::{Error, Result};
use crate::sampler::Sampling;
use crate::tokenizer::Tokenizer;

#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// The device to compute on
    #[arg(long, default_value = "auto", ignore_case = true, env = "MICROGPT_DEVICE", hide_env_values = true)]
    pub(super) device: DeviceKind,
    /// The number of CPU threads, of which those beyond the cores start only if there is work for them [default: one for
    /// each core]
    #[arg(long, value_name = "N", env = "MICROGPT_THREADS", hide_env_values = true)]
    #[arg(value_parser = whole::<usize>(1..=4096))]
    threads: Option<usize>,
    /// The number of the GPU, from 0. auto is GPU 0, and the ranks of an MPI program on one computer take its GPUs in turn
    #[arg(long, value_name = "auto|N", default_value = "auto", value_parser = gpu())]
    gpu: Gpu,
}

/// The number of a GPU, or none for `auto`.
#[derive(Clone, Copy, Debug)]
struct Gpu(Option<usize>);

/// Parses the number of a GPU.
fn gpu() -> ValueParser {
    ValueParser::new(|text: &str| {
        let number = if text == "auto" { Some(None) } else { text.parse().ok().filter(|n| *n < 1 << 16).map(Some) };
        number.map(Gpu).ok_or("expected auto or the number of a GPU, from 0")
    })
}

impl DeviceArgs {
    /// Starts the number of CPU threads that is asked for, on every rank, and chooses the GPU. Of the threads beyond the
    /// cores, no more than `useful` start.
    pub(super) fn start_threads<W: Write>(
        &self,
        useful: usize,
        cluster: Option<&Cluster>,
        console: &Console<W>,
    ) -> Result<()> {
        if let Some(cluster) = cluster {
            return cluster.start(self.threads, self.gpu.0);
        }
        device::gpu::choose(self.gpu.0, 0);
        let Some(asked) = self.threads else { return Ok(()) };
        let cores = available_parallelism().map_or(asked, NonZero::get);
        let started = asked.min(useful.max(cores));
        if asked > cores {
            console.notice(format_args!("threads: {started} of `--threads {asked}`, on {cores} cores"));
        }
        threads::start(Some(started))
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct SamplingArgs {
    /// Samples to generate. 0 generates none
    #[arg(long, value_name = "N", default_value_t = Sampling::default().samples, value_parser = count(0))]
    samples: u64,
    /// The text that each sample starts with
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    prompt: String,
    /// The most characters of a sample with its prompt. Beyond --block-size, the model sees the last --block-size
    /// characters [default: --block-size, or 500 for a model of --corpus text]
    #[arg(long, value_name = "N", value_parser = size())]
    sample_length: Option<usize>,
    /// Draw from the N most likely tokens [default: 5, or all of a smaller vocabulary]
    #[arg(long, value_name = "N", value_parser = size())]
    top_k: Option<usize>,
    /// Divide the logits by this. 0 always takes the most likely token
    #[arg(long, value_name = "X", default_value_t = Sampling::default().temperature, value_parser = not_negative())]
    temperature: f64,
    /// After the temperature, leave out tokens whose probability is below X times that of the likeliest. 0 keeps all
    #[arg(long, value_name = "X", default_value_t = Sampling::default().min_p, value_parser = probability())]
    min_p: f64,
    /// After --min-p, draw from the likeliest tokens that together have the probability X. 1 keeps all
    #[arg(long, value_name = "X", default_value_t = Sampling::default().top_p, value_parser = probability())]
    top_p: f64,
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

impl SamplingArgs {
    /// Returns the flags with a prompt in composed form, for a model of a composed corpus.
    pub(super) fn composed(&self) -> Self {
        Self { prompt: compose(&self.prompt), ..self.clone() }
    }

    /// Returns whether samples are JSON objects.
    pub(super) fn is_jsonl(&self) -> bool {
        self.format == Format::Jsonl
    }

    /// Returns the sampling from a model of this vocabulary, which was trained on a corpus of this mode.
    pub(super) fn settings(&self, tokenizer: &Tokenizer, mode: CorpusMode, seed: u64) -> Result<Sampling> {
        let Self { samples, ref prompt, sample_length: length, top_k, temperature, min_p, top_p, .. } = *self;
        let vocab = tokenizer.vocab_size();
        let top_k = top_k.unwrap_or(Sampling::default().top_k.min(vocab));
        if top_k > vocab {
            let message = format!("`--top-k {top_k}` is more than the vocabulary's {vocab} tokens");
            return Err(Error::usage(message, format!("choose at most `--top-k {vocab}`, or leave it out")));
        }
        let (prompt, logprobs) = (prompt.clone(), self.is_jsonl());
        let sampling =
            Sampling { samples, top_k, temperature, min_p, top_p, seed, prompt, length, start: None, logprobs };
        Ok(if mode == CorpusMode::Text { sampling.continuous(tokenizer) } else { sampling })
    }

    /// Checks that every character of `--prompt` is in the corpus, and that the prompt leaves room for a sample of a model
    /// of this block size.
    pub(super) fn check_prompt(&self, tokenizer: &Tokenizer, mode: CorpusMode, block_size: usize) -> Result<()> {
        let prompt = &self.prompt;
        if let (Err(_), Some(form)) = (tokenizer.encode(prompt), form_in(tokenizer, prompt)) {
            let message = format!("`--prompt {prompt}` has characters that the model knows in {form} alone");
            let hint = "write the prompt in that form, or train with `--normalize nfc`";
            return Err(Error::usage(message, hint));
        }
        let action = format!("sample from `--prompt {prompt}`");
        tokenizer.encode(prompt).map_err(|error| Error::failed(action, "use characters that the corpus has", error))?;
        let characters = prompt.chars().count();
        let default = if mode == CorpusMode::Text { Sampling::TEXT_LENGTH } else { block_size };
        let length = self.sample_length.unwrap_or(default);
        let most = length.min(if self.is_jsonl() { block_size } else { length }) - 1;
        if characters > most {
            let s = if characters == 1 { "" } else { "s" };
            let text = format!("`--prompt {prompt}` has {characters} character{s}, expected at most {most}");
            let hint = if most + 1 < length {
                "shorten it, or leave out `--format jsonl`, since only a block has log-probabilities"
            } else {
                "shorten it, or give a larger `--sample-length`"
            };
            return Err(Error::usage(text, hint));
        }
        Ok(())
    }
}
