//! The sampling, as an iterator of samples.
//!
//! ```
//! # use microgpt::{Config, Corpus, Sampler, Sampling, Trainer};
//! # let corpus = Corpus::from_text("emma\nolivia\nava\nisabella\nsophia\n")?;
//! # let model = Trainer::new(&Config { steps: 50, ..Config::default() }, &corpus)?.finish()?;
//! for sample in Sampler::new(&model, &Sampling { prompt: "a".to_owned(), ..Sampling::default() })? {
//!     assert!(sample?.text.starts_with('a'));
//! }
//! # Ok::<(), microgpt::Error>(())
//! ```

use std::ops::DerefMut;
use std::vec;

use gpu_kernels::shape::Shape;

use crate::config::{SampleConfig, TrainConfig, num_params};
use crate::corpus::Dataset;
use crate::device::cpu::Cpu;
use crate::device::{Device, Sample};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokenizer::Tokenizer;

/// The way in which samples are drawn, with the defaults of the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The number of samples.
    pub samples: u64,
    /// The number of most likely tokens to draw from, or the whole vocabulary if that is smaller. 1 is greedy.
    pub top_k: usize,
    /// The divisor of the logits, where 0 is greedy.
    pub temperature: f64,
    /// The least probability of a token relative to that of the likeliest, from 0, which keeps all, to 1.
    pub min_p: f64,
    /// The probability that the likeliest of the kept tokens reach together, from 0 to 1, which keeps all.
    pub top_p: f64,
    /// The seed. Sample `i` is drawn from the random stream `(seed, i)`.
    pub seed: u64,
    /// The text that each sample starts with, shorter than the model's block size.
    pub prompt: String,
    /// Whether samples carry the log-probabilities of their tokens.
    pub logprobs: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        let SampleConfig { top_k, temperature, min_p, top_p, seed, logprobs, .. } = SampleConfig::default();
        Self { samples: 20, top_k, temperature, min_p, top_p, seed, prompt: String::new(), logprobs }
    }
}

/// A sample as text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSample {
    /// The sample's number, from 1.
    pub number: u64,
    /// The text.
    pub text: String,
    /// The tokens, without `<BOS>`.
    pub tokens: Vec<u32>,
    /// The log-probability of each token and of the `<BOS>` that ended the text, if one did. There are none unless
    /// [`Sampling::logprobs`] is set.
    pub logprobs: Vec<f64>,
}

/// An iterator of samples, which it draws a launch at a time.
pub struct Sampler<'a> {
    /// A device of the sampler's own, or one that it borrows.
    device: Box<dyn DerefMut<Target = dyn Device + 'a> + 'a>,
    tokenizer: &'a Tokenizer,
    sampling: Sampling,
    prompt: Vec<u32>,
    /// The largest number of samples of a launch.
    max_launch: u64,
    /// The number of samples drawn.
    drawn: u64,
    /// The samples of the last launch that were not taken yet.
    waiting: vec::IntoIter<TextSample>,
}

impl<'a> Sampler<'a> {
    /// Returns a sampler of `model` on the CPU.
    ///
    /// # Errors
    /// If the prompt has a character outside of the vocabulary, or memory is too small.
    pub fn new(model: &'a Model, sampling: &Sampling) -> Result<Self> {
        // A device holds a corpus. If nothing is trained, any text of the vocabulary will do.
        let text: String = model.tokenizer.chars().iter().collect();
        let dataset = Dataset::unsplit(&[&text], model.tokenizer.clone())?;
        let cpu: Box<dyn Device> = Box::new(Cpu::new(TrainConfig::default(), &dataset, &model.state)?);
        Self::on(cpu, &model.tokenizer, sampling)
    }

    /// Returns a sampler of the model on a device.
    ///
    /// # Errors
    /// If the prompt has a character outside of the vocabulary.
    pub fn on(
        device: impl DerefMut<Target = dyn Device + 'a> + 'a,
        tokenizer: &'a Tokenizer,
        sampling: &Sampling,
    ) -> Result<Self> {
        let shape = device.shape();
        let prompt = tokenizer.encode(&sampling.prompt)?;
        // The prompt is a beginning, so it ends without `<BOS>`. The kernels add the first `<BOS>`.
        let prompt = prompt[1..prompt.len() - 1].to_vec();
        let top_k = sampling.top_k.min(shape.vocab());
        // A token takes a multiplication with each parameter, and a search of the vocabulary for each of the `top_k`
        // most likely tokens unless they are all of it.
        let searches = if top_k < shape.vocab() { top_k } else { 1 };
        let token = num_params(shape) as u64 + searches as u64 * u64::from(shape.vocab);
        let max_launch = device.samples_per_launch(token.saturating_mul(shape.block_size.into()));
        let (sampling, waiting) = (Sampling { top_k, ..sampling.clone() }, Vec::new().into_iter());
        Ok(Self { device: Box::new(device), tokenizer, sampling, prompt, max_launch, drawn: 0, waiting })
    }

    /// Draws the samples of the next launch, or none if all are drawn.
    ///
    /// # Errors
    /// If the prompt fills the block, the model has diverged, or the device fails.
    pub fn draw(&mut self) -> Result<Vec<TextSample>> {
        let first = self.drawn;
        self.drawn = self.sampling.samples.min(first + self.max_launch);
        let &Sampling { top_k, temperature, min_p, top_p, seed, logprobs, .. } = &self.sampling;
        let config = SampleConfig { top_k, temperature, min_p, top_p, seed, prompt: &self.prompt, logprobs };
        let samples = self.device.generate(&config, first..self.drawn)?;
        (first + 1..).zip(samples).map(|(number, sample)| text_sample(number, sample, self.tokenizer)).collect()
    }
}

impl Iterator for Sampler<'_> {
    type Item = Result<TextSample>;

    fn next(&mut self) -> Option<Result<TextSample>> {
        if self.waiting.as_slice().is_empty() && self.drawn < self.sampling.samples {
            match self.draw() {
                Ok(samples) => self.waiting = samples.into_iter(),
                Err(error) => {
                    // The error is the last item.
                    self.drawn = self.sampling.samples;
                    return Some(Err(error));
                }
            }
        }
        self.waiting.next().map(Ok)
    }
}

/// Returns a sample as text. Rejects a sample whose log-probabilities are not finite.
fn text_sample(number: u64, sample: Sample, tokenizer: &Tokenizer) -> Result<TextSample> {
    let Sample { tokens, logprobs } = sample;
    if let Some(&logprob) = logprobs.iter().find(|logprob| !logprob.is_finite()) {
        return Err(Error::Sample { sample: number, logprob });
    }
    Ok(TextSample { number, text: tokenizer.decode(&tokens), tokens, logprobs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_tokens_of_the_vocabulary() {
        let tokenizer = Tokenizer::new(["abc"]);
        let shape = crate::config::ModelConfig::default().shape(tokenizer.vocab_size()).unwrap();
        let model = Model { state: crate::device::State::new(crate::weights::Weights::zeros(shape)), tokenizer };
        let tokens = |prompt: &str| {
            let sampling = Sampling { prompt: prompt.to_owned(), ..Sampling::default() };
            Sampler::new(&model, &sampling).map(|sampler| sampler.prompt)
        };
        assert!(tokens("").unwrap().is_empty());
        assert_eq!(tokens("cab").unwrap(), [3, 1, 2]);
        assert!(tokens("aX").is_err());
    }

    #[test]
    fn a_sample_has_finite_log_probabilities() {
        let tokenizer = Tokenizer::new(["ab"]);
        let sample = |logprob| text_sample(7, Sample { tokens: vec![1], logprobs: vec![-0.5, logprob] }, &tokenizer);
        assert_eq!(sample(-700.0).unwrap().text, "a");
        assert!(text_sample(1, Sample::default(), &tokenizer).is_ok());
        for logprob in [f64::NAN, f64::NEG_INFINITY] {
            let report = sample(logprob).unwrap_err().report();
            assert!(report.contains("sample 7") && report.contains("\nhint: "), "{report}");
        }
    }
}
