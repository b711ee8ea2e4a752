//! The settings and the vocabulary that a run takes from the checkpoint that it starts from.

use std::ffi::OsString;
use std::path::Path;

use super::args::Cli;
use crate::checkpoint::{self, DIMENSIONS};
use crate::corpus::Dataset;
use crate::tokenizer::Tokenizer;

/// The settings in a checkpoint, beside the model's dimensions, of which each has a flag of its name.
const SETTINGS: [&str; 9] =
    ["seed", "steps", "batch", "learning_rate", "beta1", "beta2", "eps", "weight_decay", "max_grad_norm"];

impl Cli {
    /// Returns the checkpoint that the run starts from, if there is one.
    fn start(&self) -> Option<&Path> {
        self.run.resume.as_deref().or(self.run.init_from.as_deref())
    }

    /// Returns the command line `args` with the settings of the checkpoint as flags before its own, which override them.
    ///
    /// A file that cannot be read, or does not state its dimensions, gives no settings. The run refuses it later, or
    /// compares its tensors with the flags.
    pub(super) fn with_settings(&self, args: &[OsString]) -> Option<Vec<OsString>> {
        let description = checkpoint::describe(self.start()?).ok()?;
        if description["n_head"].is_null() {
            return None;
        }
        let others = if self.run.resume.is_some() { &SETTINGS[..] } else { &[] };
        let stated = DIMENSIONS.iter().chain(others).filter(|&&key| !description[key].is_null());
        let flags = stated.map(|&key| format!("--{}={}", key.replace('_', "-"), description[key]));
        let order = (self.run.resume.is_some() && description["shuffle"] == false).then(|| "--no-shuffle".to_owned());
        let (program, own) = args.split_at(1.min(args.len()));
        Some([program, &flags.chain(order).map(OsString::from).collect::<Vec<_>>(), own].concat())
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
        let stored = checkpoint::describe(path).ok().and_then(|description| description["steps"].as_u64());
        if let Some(stored) = stored.filter(|&stored| resumes && stored < steps) {
            notices.push(format!(
                "steps: {steps} instead of {stored}; the learning rate continues as in a run of {steps} steps"
            ));
        }
        if resumes && step >= self.stop_after() {
            notices.push(format!("nothing to train: `{name}` is at step {step}"));
        }
        notices
    }
}
