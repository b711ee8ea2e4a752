//! Sampling from a trained model, a launch at a time, so that any number of samples needs little memory.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_kernels::shape::Shape;
use serde::Serialize;

use crate::config::{SampleConfig, num_params};
use crate::device::{Device, Sample};
use crate::error::{Error, Result};
use crate::report::Report;
use crate::tokenizer::Tokenizer;
use crate::trainer::{LAUNCH_WORK, MAX_LAUNCH};

/// What to sample, and how it is printed.
pub struct Sampling<'a> {
    /// How many.
    pub samples: u64,
    /// How.
    pub config: SampleConfig<'a>,
    /// The model's vocabulary.
    pub tokenizer: &'a Tokenizer,
    /// Samples to skip, but count: the documents of the corpus.
    pub skip: Option<HashSet<&'a str>>,
    /// Whether a sample is a JSON object.
    pub jsonl: bool,
    /// Set by Ctrl-C.
    pub interrupt: &'a AtomicBool,
    /// Whether it was set before: after an interrupted training there are samples all the same.
    pub interrupted: bool,
}

/// A sample with `--format jsonl`.
#[derive(Serialize)]
struct Record<'a> {
    /// From 1.
    sample: u64,
    text: &'a str,
    /// Its characters, and `<BOS>` if that ended it.
    tokens: Vec<String>,
    /// The natural logarithm of each token's probability, given those before it: of all tokens, at temperature 1.
    logprobs: &'a [f64],
}

impl Sampling<'_> {
    /// Samples from the model on this device. Ctrl-C ends it after the launch under way.
    ///
    /// # Errors
    /// What the device reports, or stdout cannot be written to.
    pub fn execute(&self, device: &mut dyn Device, report: &mut Report<impl Write>) -> Result<()> {
        let shape = device.shape();
        // Each parameter is multiplied for each token, and the vocabulary searched for each of the `top_k` likeliest tokens,
        // unless they are all of it.
        let searches = if self.config.top_k < shape.vocab() { self.config.top_k } else { 1 };
        let token = num_params(shape) as u64 + searches as u64 * u64::from(shape.vocab);
        let chunk = (LAUNCH_WORK / token.saturating_mul(shape.block_size.into())).clamp(1, MAX_LAUNCH);
        let (mut first, mut memorised) = (0, 0);
        report.line("--- inference ---")?;
        device.prepare_samples(&self.config, 0..self.samples)?;
        while first < self.samples && !report.is_closed() && self.interrupt.load(Ordering::Relaxed) == self.interrupted
        {
            let end = self.samples.min(first + chunk);
            let samples = device.generate(&self.config, first..end)?;
            (first + 1..).zip(&samples).try_for_each(|(number, sample)| check(number, sample))?;
            let texts: Vec<String> = samples.iter().map(|sample| self.tokenizer.decode(&sample.tokens)).collect();
            let is_new = |text: &str| self.skip.as_ref().is_none_or(|skip| !skip.contains(text));
            memorised += texts.iter().filter(|text| !is_new(text)).count();
            let kept = (first + 1..).zip(&texts).zip(&samples).filter(|((_, text), _)| is_new(text));
            if self.jsonl {
                let records = kept.map(|((number, text), sample)| self.record(number, text, sample));
                report.samples_jsonl(records)?;
            } else {
                report.samples(kept.map(|((number, text), _)| (number, text.as_str())), self.samples)?;
            }
            first = end;
        }
        if self.skip.is_some() {
            report.line(&format!("memorised: {memorised} of {first} samples stand in the corpus"))?;
        }
        Ok(())
    }

    fn record<'a>(&self, number: u64, text: &'a str, sample: &'a Sample) -> impl Serialize + use<'a> {
        let mut tokens: Vec<String> = sample.tokens.iter().map(|&token| self.tokenizer.decode(&[token])).collect();
        tokens.resize(sample.logprobs.len(), "<BOS>".to_owned());
        Record { sample: number, text, tokens, logprobs: &sample.logprobs }
    }
}

/// A sample of a model whose predictions are no probabilities is none.
fn check(number: u64, sample: &Sample) -> Result<()> {
    let Some(logprob) = sample.logprobs.iter().find(|logprob| !logprob.is_finite()) else { return Ok(()) };
    Err(Error::new(format!("cannot draw sample {number}: the log-probability of a token is {logprob}"))
        .hint("the model has diverged: lower `--learning-rate`, or start from other weights"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_probabilities() {
        let sample = |logprob| Sample { tokens: vec![1], logprobs: vec![-0.5, logprob] };
        assert!(check(1, &sample(-700.0)).is_ok() && check(1, &Sample::default()).is_ok());
        for logprob in [f64::NAN, f64::NEG_INFINITY] {
            let report = check(7, &sample(logprob)).unwrap_err().report();
            assert!(report.contains("sample 7") && report.contains("\nhint: "), "{report}");
        }
    }
}
