//! The command line: every flag with its default and the values that it takes, checked before anything runs.

use std::env;
use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{Command, CommandFactory, FromArgMatches};

use crate::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

mod args;
mod sweep;
mod values;

use args::ModelArgs;
pub use args::{Cli, Format, RunArgs, SamplingArgs, TrainingArgs, ViewArgs};
use values::{usage_error, with_hint};

const AFTER_HELP: &str = "\
Results go to stdout, notices and errors to stderr.
Ctrl-C (or SIGTERM, SIGHUP) ends training after the launch under way, validates, saves and samples; a second one ends at once.
A file that cannot be written ends the run; a checkpoint is then still the one that was saved last.
A link stays a link: the file that it leads to is written, or made.
NO_COLOR=1 turns colours off.
Exit code: 0 the run is done, 1 it failed, 2 the command line is wrong, 130 it was interrupted.";

/// The default of `--top-k`.
const TOP_K: usize = 5;
/// The largest count: the whole numbers up to it are exact in an `f64`, which the learning rate's schedule needs.
const MAX_COUNT: u64 = 1 << 53;

impl Cli {
    /// Reads the command line, the program's name first.
    ///
    /// # Errors
    /// A message for [`clap::Error::print`]: what is wrong with the command line, or the help that it asks for.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        // Documents stand alone, whatever the environment says to a run.
        let alone = command().mut_args(|arg| arg.env(Resettable::Reset)).try_get_matches_from(&args);
        if let Some(cli) = alone.ok().and_then(|matches| Self::from_arg_matches(&matches).ok())
            && (cli.completions.is_some() || cli.man_page)
        {
            return Ok(cli);
        }
        let matches = command().try_get_matches_from(&args).map_err(|error| with_hint(error, &[]))?;
        let mut cli = Self::from_arg_matches(&matches)?;
        // The vocabulary is not known yet; a model that fails with one token fails with every corpus, so it fails now.
        cli.model().shape(1).map_err(|error| usage_error(&error))?;
        if cli.training.steps == 0 && cli.run.init_from.is_none() {
            let error =
                Error::new("`--steps 0` leaves nothing to do: it only samples, and untrained weights sample noise");
            return Err(usage_error(&error.hint("add `--init-from FILE.safetensors`, or train for at least 1 step")));
        }
        if let Some(stop) = cli.training.stop_after.filter(|&stop| stop > cli.training.steps) {
            let error = Error::new(format!("`--stop-after {stop}` is beyond `--steps {}`", cli.training.steps));
            return Err(usage_error(&error.hint("`--steps` is the length of the whole run, whenever it stops")));
        }
        cli.check_several().map_err(|error| usage_error(&error))?;
        cli.variants = sweep::variants(&args, &cli)?;
        cli.check_shapes().map_err(|error| usage_error(&error))?;
        Ok(cli)
    }

    /// Several models have to differ, and a checkpoint is one of them.
    fn check_several(&self) -> Result<()> {
        let (replicas, sweep) = (self.training.replicas, !self.training.sweep.is_empty());
        if self.run.resume.is_some() && (replicas > 1 || sweep) {
            return Err(Error::new("`--resume` goes on with one model, not with those of `--replicas` or `--sweep`")
                .hint("leave `--resume` out, or the others"));
        }
        if self.run.init_from.is_some() && replicas > 1 {
            return Err(Error::new(format!("`--replicas {replicas}` would be the same with `--init-from`"))
                .hint("replicas differ in their initial weights: leave one of the two out"));
        }
        Ok(())
    }

    /// A checkpoint has the weights of one shape.
    fn check_shapes(&self) -> Result<()> {
        let (Some(path), [one, others @ ..]) = (&self.run.init_from, &self.variants[..]) else { return Ok(()) };
        let Some(other) = others.iter().find(|other| other.model != one.model) else { return Ok(()) };
        let file = path.display();
        Err(Error::new(format!("`--init-from {file}` has weights of one shape, not those of `{one}` and `{other}`"))
            .hint("with `--init-from`, sweep the optimiser's values or the batch; or leave it out"))
    }

    /// The completion script or the manual page, if that is all that is asked for.
    pub fn document(&self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(shell) = self.completions {
            clap_complete::generate(shell, &mut command(), "microgpt", &mut text);
        } else if self.man_page {
            // To memory, which cannot fail.
            let _ = clap_mangen::Man::new(command()).render(&mut text);
        } else {
            return None;
        }
        Some(text)
    }

    /// The model's dimensions.
    pub fn model(&self) -> ModelConfig {
        let &ModelArgs { n_embd, n_head, n_layer, block_size } = &self.model;
        ModelConfig { n_embd, n_head, n_layer, block_size }
    }

    /// How to train.
    pub fn train(&self) -> TrainConfig {
        let &TrainingArgs { steps, batch, learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm, .. } =
            &self.training;
        let optimizer = OptimizerConfig { learning_rate, beta1, beta2, eps, weight_decay, max_grad_norm };
        TrainConfig { steps, batch, optimizer }
    }

    /// The step after which the run ends.
    pub fn stop_after(&self) -> u64 {
        self.training.stop_after.unwrap_or(self.training.steps)
    }

    /// Every how many steps one is printed; 0 for none.
    pub fn log_every(&self) -> u64 {
        self.view.log_every.unwrap_or_else(|| log_every(self.training.steps))
    }

    /// How to sample from a model with a vocabulary of `vocab` tokens, whose samples start with the tokens `prompt`.
    ///
    /// # Errors
    /// `--top-k` asks for more tokens than there are.
    pub fn sample<'a>(&self, vocab: usize, prompt: &'a [u32]) -> Result<SampleConfig<'a>> {
        let top_k = self.sampling.top_k.unwrap_or(TOP_K.min(vocab));
        if top_k > vocab {
            return Err(Error::new(format!("`--top-k {top_k}` is more than the vocabulary's {vocab} tokens"))
                .hint(format!("choose at most `--top-k {vocab}`, or leave it out")));
        }
        let logprobs = self.sampling.format == Format::Jsonl;
        Ok(SampleConfig { top_k, temperature: self.sampling.temperature, seed: self.run.seed, prompt, logprobs })
    }

    /// The tokens of `--prompt`, for a model of this block size.
    ///
    /// # Errors
    /// A character that the corpus does not have, or no room for a sample after the prompt.
    pub fn prompt(&self, tokenizer: &Tokenizer, block_size: usize) -> Result<Vec<u32>> {
        let prompt = &self.sampling.prompt;
        let tokens = tokenizer.encode(prompt).map_err(|error| {
            Error::new(format!("cannot sample from `--prompt {prompt}`"))
                .caused_by(error)
                .hint("use characters that the corpus has")
        })?;
        let tokens = &tokens[1..tokens.len() - 1];
        if tokens.len() >= block_size {
            let characters = tokens.len();
            let s = if characters == 1 { "" } else { "s" };
            return Err(Error::new(format!(
                "`--prompt {prompt}` has {characters} character{s}, a sample at most {block_size}"
            ))
            .hint("shorten it, or train with a larger `--block-size`"));
        }
        Ok(tokens.to_vec())
    }
}

/// The default of `--log-every`: as seldom as keeps the lines below [`MAX_LINES`], in round numbers.
fn log_every(steps: u64) -> u64 {
    let round = (0..16).flat_map(|power| [1, 2, 5].map(|digit| digit * 10u64.pow(power)));
    round.into_iter().find(|every| steps / every <= MAX_LINES).unwrap_or(steps)
}

/// About how many steps are printed by default, at most.
const MAX_LINES: u64 = 500;

/// The definition of the command line. An empty variable is none.
fn command() -> Command {
    Cli::command().mut_args(|arg| {
        let is_empty = arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        let arg = if is_empty { arg.env(Resettable::Reset) } else { arg };
        // A negative number, however it is spelt, is a value like any other, so that its flag can refuse it.
        let is_number = arg.get_value_names().is_some_and(|names| matches!(names[0].as_str(), "N" | "X" | "B"));
        let takes_values = arg.get_action().takes_values();
        if is_number { arg.allow_hyphen_values(true) } else { arg.allow_negative_numbers(takes_values) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceKind;

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
        assert_eq!(cli.train(), TrainConfig { steps: 500, batch: 1, optimizer: OptimizerConfig::default() });
        assert_eq!((cli.training.val_every, cli.training.val_docs, cli.sampling.samples), (100, 20, 20));
        let sample = SampleConfig { top_k: 5, temperature: 0.6, seed: 42, prompt: &[], logprobs: false };
        assert_eq!(cli.sample(27, &[]).unwrap(), sample);
        assert_eq!(cli.run.device, DeviceKind::Auto);
    }

    #[test]
    fn top_k_follows_a_small_vocabulary_unless_it_is_given() {
        assert_eq!(read("").unwrap().sample(3, &[]).unwrap().top_k, 3);
        assert_eq!(read("--top-k 3").unwrap().sample(3, &[]).unwrap().top_k, 3);
        let error = read("--top-k 4").unwrap().sample(3, &[]).unwrap_err();
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

    #[test]
    fn a_sweep_is_every_combination() {
        let cli = read("--sweep learning-rate=0.003,0.01 --beta1 0.5 --sweep n-embd=8,16,32 --n-head 2").unwrap();
        let variants: Vec<String> = cli.variants.iter().map(ToString::to_string).collect();
        assert_eq!(variants.len(), 6);
        assert_eq!(variants[1], "learning-rate 0.003, n-embd 16");
        let last = &cli.variants[5];
        assert_eq!((last.train.optimizer.learning_rate, last.train.optimizer.beta1), (0.01, 0.5));
        assert_eq!((last.model.n_embd, last.model.n_head), (32, 2));
        // A value on the command line gives way.
        assert_eq!(read("--n-embd 64 --sweep n-embd=8").unwrap().variants[0].model.n_embd, 8);
        assert_eq!(read("").unwrap().variants.len(), 1);
    }

    #[test]
    fn a_few_hundred_steps_are_printed_however_many_there_are() {
        for (steps, every) in [(0, 1), (7, 1), (500, 1), (501, 2), (1000, 2), (2000, 5), (1_000_000, 2000)] {
            assert_eq!(log_every(steps), every, "{steps}");
        }
        assert!(MAX_COUNT / log_every(MAX_COUNT) <= MAX_LINES);
        assert_eq!(read("--steps 1000000 --log-every 7").unwrap().log_every(), 7);
    }

    #[test]
    fn a_prompt_is_tokens_of_the_corpus_with_room_behind_it() {
        let tokenizer = Tokenizer::new(["abc"]);
        let prompt = |args: &str| read(args).unwrap().prompt(&tokenizer, 8).map_err(|error| error.report());
        assert!(prompt("").unwrap().is_empty());
        assert_eq!(prompt("--prompt cab").unwrap(), [3, 1, 2]);
        assert_eq!(prompt("--prompt abcabca").unwrap().len(), 7);
        let report = prompt("--prompt abcabcab").unwrap_err();
        assert!(report.contains("`--prompt abcabcab` has 8 characters, a sample at most 8"), "{report}");
        let report = read("--prompt a").unwrap().prompt(&tokenizer, 1).unwrap_err().report();
        assert!(report.contains("has 1 character, a sample at most 1"), "{report}");
        let report = prompt("--prompt aX").unwrap_err();
        assert!(report.contains("`--prompt aX`") && report.contains("'X' (U+0058)"), "{report}");
    }
}
