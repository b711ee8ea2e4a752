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

use std::ops::{DerefMut, Range};
use std::vec;

use gpu_kernels::shape::Shape;

use crate::config::{SampleConfig, TrainConfig, num_params};
use crate::corpus::Dataset;
use crate::device::Device;
use crate::device::cpu::Cpu;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::tokenizer::{BOS, Tokenizer};

/// The most tokens of samples that are drawn side by side.
const MAX_TOKENS: u64 = 1 << 26;

/// The distance between the seeds of a sample's block before and after it slides by a token. It differs from the distance
/// between the seeds of two samples.
const SLIDE: u64 = 0xd134_2543_de82_ef95;

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
    /// The text that each sample starts with, shorter than a sample.
    pub prompt: String,
    /// The most tokens of a sample with its prompt, or `None` for the model's block size. Beyond a block, the model sees
    /// the last block of tokens.
    pub length: Option<usize>,
    /// The character before each sample, or `None` for `<BOS>`, see [`Self::continuous`].
    pub start: Option<char>,
    /// Whether samples carry the log-probabilities of their tokens.
    pub logprobs: bool,
}

impl Default for Sampling {
    fn default() -> Self {
        let SampleConfig { top_k, temperature, min_p, top_p, seed, logprobs, .. } = SampleConfig::default();
        let (samples, prompt, length, start) = (20, String::new(), None, None);
        Self { samples, top_k, temperature, min_p, top_p, seed, prompt, length, start, logprobs }
    }
}

impl Sampling {
    /// The length of a sample of a continuous text in tokens.
    pub const TEXT_LENGTH: usize = 500;

    /// Returns the sampling from a model of a continuous text, which has learnt nothing of `<BOS>`. A sample begins after
    /// the end of a line, or after the first character of a vocabulary that has no line feed. It has
    /// [`Self::TEXT_LENGTH`] tokens, unless the length is given.
    #[must_use]
    pub fn continuous(self, tokenizer: &Tokenizer) -> Self {
        let start = if tokenizer.contains('\n') { Some('\n') } else { tokenizer.chars().first().copied() };
        Self { start, length: self.length.or(Some(Self::TEXT_LENGTH)), ..self }
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
    /// The token before each sample, and the prompt.
    start: Vec<u32>,
    /// The most tokens of a sample.
    length: usize,
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
    /// Those of [`Self::on`], and an error if memory is too small.
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
    /// If the prompt or the start has a character outside of the vocabulary, or the prompt leaves no room for a sample.
    pub fn on(
        device: impl DerefMut<Target = dyn Device + 'a> + 'a,
        tokenizer: &'a Tokenizer,
        sampling: &Sampling,
    ) -> Result<Self> {
        let shape = device.shape();
        let start = sampling.start.map_or(Ok(vec![BOS]), |start| tokenizer.encode_text(&start.to_string()))?;
        let start = [start, tokenizer.encode_text(&sampling.prompt)?].concat();
        let length = sampling.length.unwrap_or(shape.block_size());
        // The log-probabilities of a prompt are those of one block.
        let room = if sampling.logprobs { length.min(shape.block_size()) } else { length };
        if start.len() > room {
            let expected = format!("shorter than {room} tokens");
            return Err(Error::argument("a prompt", expected, &(start.len() - 1), "shorten the prompt"));
        }
        let top_k = sampling.top_k.min(shape.vocab());
        // A token takes a multiplication with each parameter, and a search of the vocabulary for each of the `top_k`
        // most likely tokens unless they are all of it.
        let searches = if top_k < shape.vocab() { top_k } else { 1 };
        let token = num_params(shape) as u64 + searches as u64 * u64::from(shape.vocab);
        let max_launch = device.samples_per_launch(token.saturating_mul(shape.block_size.into()));
        let max_launch = max_launch.min(MAX_TOKENS / length as u64).max(1);
        let (sampling, waiting) = (Sampling { top_k, ..sampling.clone() }, Vec::new().into_iter());
        Ok(Self { device: Box::new(device), tokenizer, sampling, start, length, max_launch, drawn: 0, waiting })
    }

    /// Returns whether samples go on past a block, so that their text comes bit by bit.
    pub fn is_long(&self) -> bool {
        self.length > self.device.shape().block_size()
    }

    /// Draws the next samples, as many as are drawn side by side, or none if all are drawn.
    ///
    /// # Errors
    /// If the model has diverged, or the device fails.
    pub fn draw(&mut self) -> Result<Vec<TextSample>> {
        self.draw_to(|_| Ok(()))
    }

    /// Draws the next samples as [`Self::draw`] does. The text of the first one also goes to `first`, piece by piece.
    ///
    /// # Errors
    /// Those of [`Self::draw`] and of `first`.
    pub fn draw_to(&mut self, mut first: impl FnMut(&str) -> Result<()>) -> Result<Vec<TextSample>> {
        let samples = self.drawn..self.sampling.samples.min(self.drawn + self.max_launch);
        self.drawn = samples.end;
        let mut shown = 1;
        let mut drawn = vec![Drawn { tokens: self.start.clone(), ..Drawn::default() }; samples.clone().count()];
        while drawn.iter().any(|sample| !sample.is_over) {
            self.advance(&mut drawn, samples.clone())?;
            let tokens = &drawn[0].tokens;
            first(&self.tokenizer.decode(&tokens[shown..]))?;
            shown = tokens.len();
        }
        let text_sample = |(number, Drawn { mut tokens, logprobs, .. }): (u64, Drawn)| {
            tokens.remove(0);
            TextSample { number, text: self.tokenizer.decode(&tokens), tokens, logprobs }
        };
        Ok((samples.start + 1..).zip(drawn).map(text_sample).collect())
    }

    /// Draws the next tokens of samples that are drawn side by side. There are several until a block is full, then one.
    fn advance(&mut self, drawn: &mut [Drawn], samples: Range<u64>) -> Result<()> {
        let block_size = self.device.shape().block_size();
        // The samples that go on have all drawn as many tokens.
        let len = drawn.iter().map(|sample| sample.tokens.len()).max().unwrap_or(0);
        let seen = len.min(block_size);
        // A sample that is over starts from `<BOS>`, which ends it again.
        let start = |sample: &Drawn| {
            if sample.is_over { vec![BOS; seen] } else { sample.tokens[len - seen..].to_vec() }
        };
        let starts: Vec<u32> = drawn.iter().flat_map(start).collect();
        let &Sampling { top_k, temperature, min_p, top_p, logprobs, .. } = &self.sampling;
        // Each block that slid by a token has random streams of its own.
        let seed = self.sampling.seed.wrapping_add(((len - seen) as u64).wrapping_mul(SLIDE));
        let config = SampleConfig { top_k, temperature, min_p, top_p, seed, prompt: &[], logprobs };
        let next = self.device.extend(&config, &starts, samples.clone())?;
        for ((number, sample), next) in (samples.start + 1..).zip(drawn).zip(next) {
            if sample.is_over {
                continue;
            }
            if let Some(&logprob) = next.logprobs.iter().find(|logprob| !logprob.is_finite()) {
                return Err(Error::Sample { sample: number, logprob });
            }
            // The first launch also tells the log-probabilities of the prompt.
            let known = sample.logprobs.len();
            sample.logprobs.extend(next.logprobs.iter().skip(if known == 0 { 0 } else { seen - 1 }));
            let tokens = next.tokens.get(seen - 1..).unwrap_or_default();
            let left = self.length + 1 - len;
            sample.tokens.extend(tokens.iter().take(left));
            sample.logprobs.truncate(self.length);
            sample.is_over = next.tokens.len() < block_size || tokens.len() >= left;
        }
        Ok(())
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

/// A sample in the making.
#[derive(Clone, Default)]
struct Drawn {
    /// The token before the sample, and its tokens so far.
    tokens: Vec<u32>,
    /// The log-probabilities of the tokens after the first, and of the `<BOS>` that ended them, if one did.
    logprobs: Vec<f64>,
    /// Whether the sample has ended.
    is_over: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a model of zeros, for which every token is equally likely.
    fn zeros(block_size: usize) -> Model {
        let tokenizer = Tokenizer::new(["abc"]);
        let config = crate::config::ModelConfig { block_size, ..Default::default() };
        let shape = config.shape(tokenizer.vocab_size()).unwrap();
        Model { state: crate::device::State::new(crate::weights::Weights::zeros(shape)), tokenizer }
    }

    #[test]
    fn a_sample_starts_from_bos_and_the_tokens_of_the_prompt() {
        let model = zeros(8);
        let start = |prompt: &str, start| {
            let sampling = Sampling { prompt: prompt.to_owned(), start, ..Sampling::default() };
            Sampler::new(&model, &sampling).map(|sampler| sampler.start)
        };
        assert_eq!(start("", None).unwrap(), [0]);
        assert_eq!(start("cab", None).unwrap(), [0, 3, 1, 2]);
        assert_eq!(start("cab", Some('b')).unwrap(), [2, 3, 1, 2]);
        assert!(start("aX", None).is_err() && start("a", Some('X')).is_err() && start("abcabcab", None).is_err());
    }

    #[test]
    fn a_text_begins_after_a_line_or_after_its_first_character() {
        let continuous = |text| Sampling::default().continuous(&Tokenizer::new([text]));
        assert_eq!((continuous("b\ta\n").start, continuous("b\ta\n").length), (Some('\n'), Some(500)));
        assert_eq!(continuous("cab").start, Some('a'));
        let given = Sampling { length: Some(7), ..Sampling::default() };
        assert_eq!(given.continuous(&Tokenizer::new(["ab"])).length, Some(7));
    }

    #[test]
    fn a_long_sample_has_its_length_whatever_is_drawn_beside_it() {
        let model = zeros(4);
        let sampling =
            Sampling { samples: 6, length: Some(11), start: Some('a'), logprobs: true, ..Sampling::default() };
        let all: Vec<TextSample> = Sampler::new(&model, &sampling).unwrap().map(Result::unwrap).collect();
        // `<BOS>` ends a sample, with a log-probability of its own.
        assert!(all.iter().all(|sample| sample.tokens.len() <= 11 && sample.text.len() == sample.tokens.len()));
        assert!(all.iter().all(|sample| sample.logprobs.len() == 11.min(sample.tokens.len() + 1)));
        assert!(all.iter().any(|sample| sample.tokens.len() > 4), "{all:?}");
        let mut alone = Sampler::new(&model, &sampling).unwrap();
        alone.max_launch = 1;
        let mut streamed = String::new();
        for sample in &all {
            let drawn = alone.draw_to(|text| {
                streamed += text;
                Ok(())
            });
            assert_eq!(drawn.unwrap(), std::slice::from_ref(sample));
        }
        assert_eq!(streamed, all.iter().map(|sample| sample.text.as_str()).collect::<String>());
    }

    #[test]
    fn a_prompt_may_be_longer_than_a_block() {
        let model = zeros(4);
        let sampling = |prompt: &str, logprobs| Sampling {
            prompt: prompt.to_owned(),
            length: Some(9),
            start: Some('a'),
            logprobs,
            ..Sampling::default()
        };
        let sample = Sampler::new(&model, &sampling("abcabcab", false)).unwrap().draw().unwrap().remove(0);
        assert!(sample.text.starts_with("abcabcab") && sample.tokens.len() <= 9, "{sample:?}");
        assert!(Sampler::new(&model, &sampling("abcabcabc", false)).is_err());
        // Only the prompt of one block has log-probabilities.
        assert!(Sampler::new(&model, &sampling("abca", true)).is_err());
        assert!(Sampler::new(&model, &sampling("abc", true)).is_ok());
    }

    #[test]
    fn a_sample_has_finite_log_probabilities() {
        let mut model = zeros(4);
        model.state.weights.values.fill(f32::NAN);
        let error = Sampler::new(&model, &Sampling::default()).unwrap().draw().unwrap_err();
        let report = error.report();
        assert!(report.contains("sample 1") && report.contains("\nhint: "), "{report}");
    }
}
