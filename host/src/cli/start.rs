//! The settings and the vocabulary that a run takes from the checkpoint that it starts from.

use std::io;
use std::path::Path;

use clap::Command;
use serde_json::Value;

use super::args::Cli;
use super::command::{command, invalid_value};
use super::settings::{VAL_DOCS, is_own, is_setting, own_settings, to_args};
use crate::checkpoint::{self, DIMENSIONS, MODE, RunSettings, to_flag};
use crate::corpus::{Corpus, Dataset, STDIN};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Returns whether a resumed run takes a setting of the run that saved the checkpoint. The file states the settings of its
/// own model apart from these.
fn is_resumed(flag: &str) -> bool {
    !matches!(flag, "seeds" | "sweep" | "init-from") && !is_own(flag)
}

/// Returns whether the program has a setting of this name.
fn has_setting(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(name) && is_setting(arg))
}

impl Cli {
    /// Returns the checkpoint that the run starts from, if there is one.
    fn start(&self) -> Option<&Path> {
        self.run.resume.as_deref().or(self.run.init_from.as_deref())
    }

    /// Returns the description of the checkpoint that the run starts from, if there is one.
    ///
    /// A file that cannot be read has none, and the run refuses it later. Weights that do not state their dimensions have
    /// none either, and the run compares their tensors with the flags.
    pub(super) fn start_description(&self) -> Option<Value> {
        let states_all = |description: &Value| self.run.resume.is_some() || !description["n_head"].is_null();
        checkpoint::describe(self.start()?).ok().filter(states_all)
    }

    /// Returns the step of the checkpoint that the run goes on from, or 0 for a new run.
    pub(super) fn first_step(&self) -> u64 {
        let description = self.run.resume.as_deref().and_then(|path| checkpoint::describe(path).ok());
        description.and_then(|description| description["step"].as_u64()).unwrap_or(0)
    }

    /// Returns the settings of the checkpoint as arguments, without those that are given.
    ///
    /// # Errors
    /// If the checkpoint has a setting that its flag does not take, and that no given flag can replace.
    pub(super) fn stored_args(&self, description: &Value) -> Result<Vec<String>> {
        let (command, resumes) = (command(), self.run.resume.is_some());
        let mut stored = own_settings(description);
        if resumes {
            let whole = description["settings"].as_object().cloned().unwrap_or_default();
            stored.extend(whole.into_iter().filter(|(flag, _)| is_resumed(flag) && has_setting(&command, flag)));
        } else {
            stored.retain(|flag, _| DIMENSIONS.iter().chain(&[MODE]).any(|key| to_flag(key) == *flag));
        }
        let mut args = Vec::new();
        for (flag, setting) in stored {
            let (stored, is_given) = (to_args(&flag, &setting), self.given.contains(&flag));
            // A resumed run keeps the settings of its model, whatever flags are given.
            let is_fixed = resumes && is_own(&flag);
            if !is_given || is_fixed {
                stored.iter().try_for_each(|arg| self.validate_stored(&command, arg, (!is_fixed).then_some(&flag)))?;
            }
            if !is_given {
                args.extend(stored);
            }
        }
        Ok(args)
    }

    /// Rejects a setting of the checkpoint, given as an argument, that its flag does not take. An older version may have
    /// taken it. `replaceable` is the flag, if the run can have another value of it.
    fn validate_stored(&self, command: &Command, arg: &str, replaceable: Option<&String>) -> Result<()> {
        let error = command.clone().try_get_matches_from(["microgpt", arg]).err();
        let invalid = error.and_then(|error| invalid_value(command, &error, &[]));
        let (Some(path), Some(Error::Usage { message, .. })) = (self.start(), invalid) else { return Ok(()) };
        let name = path.display();
        let hint = replaceable.map_or_else(
            || format!("start a new run from its weights by `--init-from {name}`, or resume it with the version that wrote it"),
            |flag| format!("give another `--{flag}`"),
        );
        Err(Error::Mismatch { path: path.to_owned(), difference: format!("belongs to a run of {message}"), hint })
    }

    /// Refuses validations of a resumed run on other documents than those of its best validation.
    pub(super) fn refuse_other_validations(&self, description: &Value) -> Result<()> {
        let (stored, own) = (&description["settings"][VAL_DOCS], &self.settings[VAL_DOCS]);
        if self.run.resume.is_none() || description["best"].is_null() || stored.is_null() || stored == own {
            return Ok(());
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message = format!("`--val-docs {}` is not the run's `--val-docs {}`", text(own), text(stored));
        Err(Error::usage(message, "leave `--val-docs` out, since the run's best loss is that of the same documents"))
    }

    /// Adds the file of a resumed run's initial weights to the settings. The command line of a resumed run cannot give it.
    pub(super) fn keep_initial_weights(&mut self, description: &Value) {
        let path = &description["settings"]["init-from"];
        if self.run.resume.is_some() && path.is_string() {
            self.settings.insert("init-from".to_owned(), path.clone());
        }
    }

    /// Returns the settings of the run. A resumed run must have those of its checkpoint, which decide what its corpus has to
    /// be. So they are compared before the corpus is read.
    ///
    /// # Errors
    /// Those of [`checkpoint::validate_run`].
    pub(super) fn run_settings(&self) -> Result<RunSettings> {
        let (config, run) = (&self.configs[0], &self.run);
        let (seed, shuffle, documents) = (run.seed, !run.no_shuffle, run.documents.config());
        let settings = RunSettings { train: config.train, seed, shuffle, documents };
        if let Some(path) = &run.resume {
            // The vocabulary is not known yet, and is not compared.
            checkpoint::validate_run(path, config.model.shape(1)?, &settings)?;
        }
        Ok(settings)
    }

    /// Reads the corpus, which is by default that of the resumed run.
    pub(super) fn corpus(&self) -> Result<Corpus> {
        let (input, is_given) = (self.run.input.as_deref(), self.given.iter().any(|flag| flag == "input"));
        if let (Some(path), Some(STDIN), false) = (&self.run.resume, input.and_then(Path::to_str), is_given) {
            let message = format!("the run of `{}` read its corpus from standard input", path.display());
            let hint = "give the same corpus by `--input FILE`, or by `--input -` and standard input";
            return Err(Error::usage(message, hint));
        }
        Corpus::load_as(input, self.run.documents.config()).map_err(|error| match error {
            Error::ReadCorpus { name, source }
                if self.run.resume.is_some() && source.kind() == io::ErrorKind::NotFound =>
            {
                let (role, hint) = if is_given {
                    ("", "check the path, or leave `--input` out to take the run's corpus")
                } else {
                    (", the corpus of the resumed run", "give the corpus by `--input FILE`, if it has moved")
                };
                Error::failed(format!("read {name}{role}"), hint, source)
            }
            other => other,
        })
    }

    /// Returns the vocabulary of the checkpoint, if it has every character of the documents.
    pub(super) fn vocabulary(&self, documents: &[&str]) -> Option<Tokenizer> {
        let mut description = checkpoint::describe(self.start()?).ok()?;
        let characters = serde_json::from_value(description["vocabulary"].take()).ok()?;
        let tokenizer = Tokenizer::from_chars(characters).ok()?;
        documents.iter().all(|document| document.chars().all(|c| tokenizer.contains(c))).then_some(tokenizer)
    }

    /// Returns notices about what the checkpoint decides for a run at `step`.
    pub(super) fn start_notices(&self, documents: &[&str], dataset: &Dataset, step: u64) -> Vec<String> {
        let Some(path) = self.start() else { return Vec::new() };
        let (name, steps, resumes) = (path.display(), self.training.steps, self.run.resume.is_some());
        let mut notices = Vec::new();
        let (all, own) = (dataset.tokenizer.vocab_size(), Tokenizer::new(documents.iter().copied()).vocab_size());
        if own < all {
            notices.push(format!("vocabulary: {all} tokens of `{name}`, of which the corpus has {own}"));
        }
        let Some(description) = checkpoint::describe(path).ok().filter(|_| resumes) else { return notices };
        let (command, settings) = (command(), description["settings"].as_object());
        for flag in settings.iter().flat_map(|settings| settings.keys()).filter(|flag| !has_setting(&command, flag)) {
            notices.push(format!("settings: `{name}` has `--{flag}`, which is left out, since it is no setting here"));
        }
        if let Some(stored) = description["steps"].as_u64().filter(|&stored| stored < steps) {
            notices.push(format!(
                "steps: {steps} instead of {stored}; the learning rate continues as in a run of {steps} steps"
            ));
        }
        if step >= self.stop_after() {
            notices.push(format!("nothing to train: `{name}` is at step {step}"));
        }
        notices
    }
}
