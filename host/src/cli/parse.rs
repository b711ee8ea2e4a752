//! The reading of the command line, with the checks that need more than one flag.

use std::ffi::OsString;

use clap::builder::Resettable;

use super::args::{Cli, RunArgs, TrainingArgs};
use super::command::command;
use super::config_file;
use super::paths::{NamedFile, SAVE, refuse_same};
use super::progress::round_interval;
use super::settings::VAL_DOCS;
use super::sweep;
use crate::config::OptimizerConfig;
use crate::corpus::CorpusMode;
use crate::error::{Error, Result};

/// The approximate number of steps that are printed by default.
const MAX_LINES: u64 = 500;

impl Cli {
    /// Reads the command line, which starts with the program's name.
    pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().collect();
        // The environment variables of a run do not conflict with a request for a document.
        let alone = Self::parse(command().mut_args(|arg| arg.env(Resettable::Reset)), &args, &[]);
        if let Some(cli) = alone.ok().filter(|cli| cli.completions.is_some() || cli.man_page) {
            return Ok(cli);
        }
        let mut cli = Self::parse(command(), &args, &[])?;
        if cli.task.is_some() {
            return Ok(cli);
        }
        let given = cli.given.clone();
        if let Some(path) = &cli.run.config {
            args = with_flags(&args, config_file::args(path, &cli.given)?);
            cli = Self::parse(command(), &args, &[])?;
        }
        sweep::refuse_given(&cli.training.sweep, &given)?;
        let description = cli.start_description();
        if let Some(description) = &description {
            args = with_flags(&args, cli.stored_args(description)?);
            cli = Self { given: cli.given, ..Self::parse(command(), &args, &[])? };
            cli.keep_initial_weights(description);
        }
        cli.configs = sweep::configs(&args, &cli)?;
        let val_docs = if cli.val_docs() == usize::MAX { "all".into() } else { cli.val_docs().into() };
        cli.settings.insert(VAL_DOCS.to_owned(), val_docs);
        if let Some(description) = &description {
            cli.refuse_other_validations(description)?;
        }
        if cli.run.documents.config().nfc {
            cli.sampling = cli.sampling.composed();
        }
        cli.check()?;
        Ok(cli)
    }

    /// Checks that the flags fit each other.
    fn check(&self) -> Result<()> {
        let (RunArgs { init_from, resume, .. }, TrainingArgs { steps, seeds, sweep, .. }) = (&self.run, &self.training);
        let TrainingArgs { val_every, stop_early, .. } = self.training;
        let (one, stop_after) = (&self.configs[0], self.stop_after());
        let steep = self.configs.iter().map(|config| config.train.optimizer).find(|o| o.min_lr > o.learning_rate);
        let long = self.configs.iter().map(|config| config.train.optimizer.warmup).find(|warmup| warmup > steps);
        let other_shape = self.configs.iter().find(|other| other.model != one.model);
        let documents = self.run.documents.config();
        let of_documents = [
            ("dedup", documents.dedup),
            ("keep-spaces", documents.keep_spaces),
            ("no-shuffle", self.run.no_shuffle),
            ("unique", self.unique),
        ];
        let of_documents = of_documents.into_iter().find(|&(_, is_given)| is_given && self.mode() == CorpusMode::Text);
        let of_validations = [
            ("--save-best".to_owned(), self.run.save_best.is_some()),
            (format!("--stop-early {stop_early}"), stop_early > 0),
        ];
        let of_validations = of_validations.into_iter().find(|&(_, is_given)| is_given);
        let is_unvalidated = val_every == 0 || val_every > *steps && !self.compares();
        let (message, hint) = if let Some((flag, _)) = of_documents {
            let message = format!("`--{flag}` is for documents, and `--corpus text` reads the text as a whole");
            (message, "leave one of the two flags out")
        } else if *steps == 0 && init_from.is_none() {
            let message = "`--steps 0` only samples, which needs trained weights";
            (message.to_owned(), "add `--init-from FILE.safetensors`, or train for at least 1 step")
        } else if stop_after > *steps {
            let message = format!("`--stop-after {stop_after}` is beyond `--steps {steps}`");
            (message, "lower `--stop-after`, or raise `--steps`, the length of the whole run")
        } else if let Some(warmup) = long {
            let message = format!("`--warmup {warmup}` is beyond `--steps {steps}`");
            (message, "lower `--warmup`, or raise `--steps`, the length of the whole run")
        } else if let Some(OptimizerConfig { learning_rate, min_lr, .. }) = steep {
            let message = format!("`--min-lr {min_lr}` is above `--learning-rate {learning_rate}`");
            (message, "lower `--min-lr`, which the learning rate falls to, or raise `--learning-rate`")
        } else if let Some((flag, _)) = of_validations.filter(|_| is_unvalidated) {
            let message = format!("`{flag}` has no validations in {steps} steps with `--val-every {val_every}`");
            (message, "give `--val-every N` with fewer steps")
        } else if stop_early > 0 && self.compares() {
            let message = format!("`--stop-early {stop_early}` would compare models after unequal numbers of steps");
            (message, "leave out `--stop-early`, or `--seeds` and `--sweep`; `--save-best` keeps the best model of all")
        } else if resume.is_some() && (*seeds > 1 || !sweep.is_empty()) {
            let message = "`--resume` goes on with one model, not with those of `--seeds` or `--sweep`";
            (message.to_owned(), "leave out `--resume`, or `--seeds` and `--sweep`")
        } else if init_from.is_some() && *seeds > 1 {
            let message = format!("`--seeds {seeds}` would train equal models with `--init-from`");
            (message, "leave one of the two out, since seeds differ only in their initial weights")
        } else if let (Some(path), Some(other)) = (init_from, other_shape) {
            let path = path.display();
            let message = format!("`--init-from {path}` has weights of one shape, not those of `{one}` and `{other}`");
            (message, "sweep only the optimiser's values or the batch, or leave `--init-from` out")
        } else {
            return Ok(());
        };
        Err(Error::usage(message, hint))
    }

    /// Refuses to write over a file that the run also reads or writes. A checkpoint may be both resumed and saved.
    pub(super) fn check_paths(&self) -> Result<()> {
        let corpus = self.run.input.as_deref().unwrap_or("input.txt".as_ref());
        let read = |path, role| NamedFile { path, written: None, role };
        let written = |path, verb, role| NamedFile { path, written: Some(verb), role };
        let files = [
            read(Some(corpus), "the corpus"),
            read(self.run.config.as_deref(), "what `--config` reads"),
            written(self.run.save.as_deref(), SAVE, "what `--save` writes"),
            written(self.run.save_best.as_deref(), SAVE, "what `--save-best` writes"),
            read(self.run.resume.as_deref(), "what `--resume` reads"),
            read(self.run.init_from.as_deref(), "what `--init-from` reads"),
            written(self.view.metrics.as_deref(), "write metrics", "what `--metrics` writes"),
            written(self.view.plot.as_deref(), "plot", "what `--plot` writes"),
            written(self.view.page.as_deref(), "write a page", "what `--page` writes"),
        ];
        refuse_same(&files)
    }

    /// Returns the number of steps between two that are printed, or 0 to print none. Without `--log-every` it is the
    /// smallest round number that keeps the lines below [`MAX_LINES`].
    pub(super) fn log_every(&self) -> u64 {
        self.view.log_every.unwrap_or_else(|| round_interval(self.training.steps, MAX_LINES))
    }
}

/// Returns a command line with more flags, which come before its own.
fn with_flags(args: &[OsString], flags: Vec<String>) -> Vec<OsString> {
    let (program, own) = args.split_at(1.min(args.len()));
    program.iter().cloned().chain(flags.into_iter().map(OsString::from)).chain(own.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::values::MAX_COUNT;
    use super::*;
    use crate::config::{ModelConfig, TrainConfig};
    use crate::device::DeviceKind;
    use crate::sampler::Sampling;
    use crate::tokenizer::Tokenizer;

    fn read(args: &str) -> Result<Cli, clap::Error> {
        Cli::read(["microgpt"].into_iter().chain(args.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let cli = read("").unwrap();
        assert_eq!(cli.configs[0].model, ModelConfig::default());
        assert_eq!(cli.configs[0].train, TrainConfig { steps: 500, batch: 1, optimizer: OptimizerConfig::default() });
        assert_eq!((cli.training.val_every, cli.val_docs()), (100, 20));
        let prompt = String::new();
        let (top_k, temperature, min_p, top_p) = (5, 0.6, 0.0, 1.0);
        let (samples, seed, length, start, logprobs) = (20, 42, None, None, false);
        let sampling = Sampling { samples, top_k, temperature, min_p, top_p, seed, prompt, length, start, logprobs };
        let letters = Tokenizer::new(["abcdefghijklmnopqrstuvwxyz"]);
        assert_eq!(cli.sampling.settings(&letters, cli.mode(), cli.run.seed).unwrap(), sampling);
        assert_eq!(sampling, Sampling::default());
        assert_eq!(cli.run.device.device, DeviceKind::Auto);
    }

    #[test]
    fn top_k_follows_a_small_vocabulary_unless_it_is_given() {
        let settings =
            |args: &str| read(args).unwrap().sampling.settings(&Tokenizer::new(["ab"]), CorpusMode::Lines, 42);
        assert_eq!(settings("").unwrap().top_k, 3);
        assert_eq!(settings("--top-k 3").unwrap().top_k, 3);
        let error = settings("--top-k 4").unwrap_err();
        assert_eq!(error.to_string(), "`--top-k 4` is more than the vocabulary's 3 tokens");
    }

    #[test]
    fn the_edges_of_every_range_are_taken() {
        for args in [
            "--learning-rate 0 --beta1 0 --beta2 0.9999999 --eps 1e-37 --weight-decay 0 --max-grad-norm 1e-6",
            "--eps 1 --max-grad-norm 1e38 --min-lr 0",
            "--temperature 0 --samples 0 --top-k 1 --val-every 0 --val-docs 1 --seed 18446744073709551615",
            "--steps 9007199254740992 --val-docs all",
            "--steps 0 --init-from x.safetensors",
        ] {
            assert!(read(args).is_ok(), "{args}");
        }
    }

    #[test]
    fn a_sweep_is_every_combination() {
        let cli = read("--sweep learning-rate=0.003,0.01 --beta1 0.5 --sweep n-embd=8,16,32 --n-head 2").unwrap();
        let configs: Vec<String> = cli.configs.iter().map(ToString::to_string).collect();
        assert_eq!(configs.len(), 6);
        assert_eq!(configs[1], "learning-rate 0.003, n-embd 16");
        let last = &cli.configs[5];
        assert_eq!((last.train.optimizer.learning_rate, last.train.optimizer.beta1), (0.01, 0.5));
        assert_eq!((last.model.n_embd, last.model.n_head), (32, 2));
        assert_eq!(read("").unwrap().configs.len(), 1);
    }

    #[test]
    fn several_models_are_compared_on_all_validation_documents() {
        for (args, documents) in [
            ("", 20),
            ("--seeds 2", usize::MAX),
            ("--sweep batch=1,2", usize::MAX),
            ("--sweep batch=2", 20),
            ("--seeds 2 --val-docs 7", 7),
        ] {
            assert_eq!(read(args).unwrap().val_docs(), documents, "{args}");
        }
    }

    #[test]
    fn a_few_hundred_steps_are_printed_however_many_there_are() {
        let log_every = |steps: u64| read(&format!("--init-from x --steps {steps}")).unwrap().log_every();
        for (steps, every) in [(0, 1), (7, 1), (500, 1), (501, 2), (1000, 2), (2000, 5), (1_000_000, 2000)] {
            assert_eq!(log_every(steps), every, "{steps}");
        }
        assert!(MAX_COUNT / log_every(MAX_COUNT) <= MAX_LINES);
        assert_eq!(read("--steps 1000000 --log-every 7").unwrap().log_every(), 7);
    }

    #[test]
    fn a_prompt_has_characters_of_the_corpus_and_leaves_room_for_a_sample() {
        let tokenizer = Tokenizer::new(["abc"]);
        let check = |args: &str, block_size| {
            let cli = read(args).unwrap();
            cli.sampling.check_prompt(&tokenizer, cli.mode(), block_size).map_err(|error| error.report())
        };
        for args in ["", "--prompt cab", "--prompt abcabca", "--prompt abcabcabc --sample-length 10"] {
            assert_eq!(check(args, 8), Ok(()), "{args}");
        }
        assert_eq!(check("--prompt abcabcabcabc --corpus text", 2), Ok(()));
        for (args, block_size, expected) in [
            ("--prompt abcabcab", 8, "`--prompt abcabcab` has 8 characters, expected at most 7"),
            ("--prompt a", 1, "has 1 character, expected at most 0"),
            ("--prompt abc --sample-length 3", 8, "`--prompt abc` has 3 characters, expected at most 2"),
            ("--prompt abc --corpus text --format jsonl", 3, "leave out `--format jsonl`"),
            ("--prompt aX", 8, "'X' (U+0058)"),
        ] {
            let report = check(args, block_size).unwrap_err();
            assert!(report.contains(expected), "{args}: {report}");
        }
    }

    #[test]
    fn a_continuous_text_validates_on_all_windows_and_has_no_documents() {
        for (args, documents) in
            [("--corpus text", usize::MAX), ("--corpus text --val-docs 7", 7), ("--corpus lines", 20)]
        {
            assert_eq!(read(args).unwrap().val_docs(), documents, "{args}");
        }
        for flag in ["--dedup", "--keep-spaces", "--no-shuffle", "--unique"] {
            let error = read(&format!("--corpus text {flag}")).unwrap_err().to_string();
            assert!(error.contains(&format!("`{flag}` is for documents")), "{error}");
        }
    }
}
