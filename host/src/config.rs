//! The configurations of model, training and sampling, with their defaults.

use std::ops::RangeInclusive;

use gpu_kernels::layout::Layout;
use gpu_kernels::shape::RuntimeShape;

use crate::error::{Error, Result};

/// The model's dimensions, apart from the vocabulary, which the corpus decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// C, the number of channels of the residual stream.
    pub n_embd: usize,
    /// H, the number of attention heads, a divisor of `n_embd`.
    pub n_head: usize,
    /// L, the number of layers.
    pub n_layer: usize,
    /// T, the longest context in tokens.
    pub block_size: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 }
    }
}

/// The largest number of parameters of a model, whose indices must fit 32 bits on every device.
const MAX_PARAMS: u128 = 1 << 30;

/// The largest number of values of a document's activations, about a terabyte.
const MAX_ACTIVATIONS: u128 = 1 << 38;

impl ModelConfig {
    /// Returns the model's shape for a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// If a dimension is zero, the heads do not divide the channels, or the model is too large.
    pub fn shape(self, vocab: usize) -> Result<RuntimeShape> {
        let Self { n_embd, n_head, n_layer, block_size } = self;
        for (flag, size) in
            [("`--n-embd`", n_embd), ("`--n-head`", n_head), ("`--n-layer`", n_layer), ("`--block-size`", block_size)]
        {
            if size == 0 {
                return Err(Error::argument(flag, "at least 1", &size, "choose at least 1"));
            }
        }
        if n_embd % n_head != 0 {
            return Err(Error::IndivisibleChannels { n_embd, n_head });
        }
        let [v, t, c, l] = [vocab, block_size, n_embd, n_layer].map(|size| size as u128);
        let params = c.saturating_mul(v.saturating_add(t).saturating_add(l.saturating_mul(12).saturating_mul(c)));
        let too_large = |size, unit, max| {
            // A model that is too large for one token was not given the vocabulary of a corpus.
            let vocabulary = if vocab > 1 { format!(", vocabulary {vocab}") } else { String::new() };
            let model = format!("n_embd {n_embd}, n_layer {n_layer}, block_size {block_size}{vocabulary}");
            Error::TooLarge { size, unit, max, model }
        };
        if params > MAX_PARAMS {
            return Err(too_large(params, "parameters", MAX_PARAMS));
        }
        // The square of the block size comes from the attention's probabilities.
        let activations = l * (t + 16) * (t + 16) * (c + 16);
        if activations > MAX_ACTIVATIONS {
            return Err(too_large(activations, "activations", MAX_ACTIVATIONS));
        }
        Ok(RuntimeShape {
            vocab: vocab as u32,
            block_size: block_size as u32,
            n_embd: n_embd as u32,
            n_head: n_head as u32,
            n_layer: n_layer as u32,
        })
    }
}

/// Returns the number of parameters of a model of this shape, without padding.
pub fn num_params(shape: RuntimeShape) -> usize {
    Layout(shape).tensors().map(|tensor| tensor.numel()).sum()
}

/// The parameters of `AdamW` with a global-norm clip, and of the learning rate's schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "mpi", derive(serde::Serialize, serde::Deserialize))]
pub struct OptimizerConfig {
    /// The largest learning rate, that of the first step after the warm-up.
    pub learning_rate: f64,
    /// The number of steps over which the learning rate rises to [`Self::learning_rate`] in a line.
    pub warmup: u64,
    /// The learning rate at the end of the schedule.
    pub min_lr: f64,
    /// The decay of the first moment.
    pub beta1: f64,
    /// The decay of the second moment.
    pub beta2: f64,
    /// The term added to the root of the second moment.
    pub eps: f64,
    /// The decoupled weight decay, scaled by the learning rate.
    pub weight_decay: f64,
    /// The norm that the gradient is clipped to.
    pub max_grad_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            warmup: 0,
            min_lr: 0.0,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 1e-4,
            max_grad_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// The range of [`Self::eps`]. With a larger one, a GPU could take a denormal quotient for 0, and a CPU would not. A
    /// smaller one would change no bit. The kernels keep the root, to which they add it, at 1e-12 or more, and round away
    /// what is below about 1e-20.
    pub const EPS: RangeInclusive<f64> = 1e-37..=1.0;
    /// The range of [`Self::max_grad_norm`]. With a smaller one, moments are so small that a GPU may round their quotients
    /// otherwise than a CPU. A larger one could be infinite in single precision, and would clip nothing. A norm is the root of a
    /// sum in single precision, so it is below 2e19.
    pub const MAX_GRAD_NORM: RangeInclusive<f64> = 1e-6..=1e38;

    /// Rejects values out of their ranges.
    pub(crate) fn validate(&self) -> Result<()> {
        let values = [("eps", self.eps, Self::EPS), ("max_grad_norm", self.max_grad_norm, Self::MAX_GRAD_NORM)];
        match values.into_iter().find(|(_, value, range)| !range.contains(value)) {
            Some((name, value, range)) => {
                let hint = "choose a value of this range, or leave the default";
                Err(Error::argument(name, from_to(&range), &format!("{value:?}"), hint))
            }
            None => Ok(()),
        }
    }

    /// Returns the learning rate of `step` (from 0) in a run of `steps` steps.
    ///
    /// During the warm-up it is `learning_rate * (step + 1) / (warmup + 1)`. Half a cosine from `learning_rate` to
    /// `min_lr` takes the steps that are left.
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        let Self { learning_rate, warmup, min_lr, .. } = *self;
        if step < warmup {
            return learning_rate * (step + 1) as f64 / (warmup + 1) as f64;
        }
        // A trial step may come after the last step, and also in a run of no steps.
        let (step, steps) = (step - warmup, steps.saturating_sub(warmup).max(1));
        let cosine = libm::cos(std::f64::consts::PI * step as f64 / steps as f64);
        min_lr + (learning_rate - min_lr) * 0.5 * (1.0 + cosine)
    }

    /// Returns the divisors of the two moments after `steps` steps, `1 - beta1^steps` and `1 - beta2^steps`.
    pub fn bias_corrections(&self, steps: u64) -> (f64, f64) {
        (bias_correction(self.beta1, steps), bias_correction(self.beta2, steps))
    }
}

/// Returns the text of a range for an error, such as `from 1e-6 to 1e38`.
pub(crate) fn from_to(range: &RangeInclusive<f64>) -> String {
    format!("from {:?} to {:?}", range.start(), range.end())
}

/// Returns `1 - beta^steps`.
fn bias_correction(beta: f64, steps: u64) -> f64 {
    // The power is at most `e^-60`, so that the difference rounds to 1.
    if (1.0 - beta) * steps as f64 > 60.0 { 1.0 } else { 1.0 - power(beta, steps) }
}

/// Returns `base^exponent` by repeated squaring, with the same bits on every platform. `f64::powi` does not promise the
/// same bits.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut power = 1.0;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power *= base;
        }
        base *= base;
        exponent >>= 1;
    }
    power
}

/// The configuration of a training.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "mpi", derive(serde::Serialize, serde::Deserialize))]
pub struct TrainConfig {
    /// The number of steps of the whole run, the length of the learning rate's schedule.
    pub steps: u64,
    /// B, the number of documents per step.
    pub batch: usize,
    /// The optimiser's parameters.
    pub optimizer: OptimizerConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self { steps: 500, batch: 1, optimizer: OptimizerConfig::default() }
    }
}

/// The configuration of sampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleConfig<'a> {
    /// The number of most likely tokens that are drawn from. Ties go to the lower token, and 1 means greedy decoding.
    pub top_k: usize,
    /// The divisor of the logits, where 0 means greedy decoding.
    pub temperature: f64,
    /// The least probability of a token relative to that of the likeliest, from 0, which keeps all, to 1.
    pub min_p: f64,
    /// The probability that the likeliest of the kept tokens reach together, from 0 to 1, which keeps all.
    pub top_p: f64,
    /// The seed. Sample `i` draws from the random stream `(seed, i)`.
    pub seed: u64,
    /// The tokens that each sample starts with, fewer than `block_size` and without `<BOS>`.
    pub prompt: &'a [u32],
    /// Whether samples carry the log-probabilities of their tokens.
    pub logprobs: bool,
}

impl Default for SampleConfig<'_> {
    fn default() -> Self {
        Self { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_schedule_is_half_a_cosine_to_the_bit() {
        let config = OptimizerConfig::default();
        for step in [0, 1, 17, 499, 500] {
            let cosine = 1e-2 * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / 500.0));
            assert_eq!(config.learning_rate_at(step, 500).to_bits(), cosine.to_bits(), "{step}");
        }
        assert!((config.learning_rate_at(0, 0) - 1e-2).abs() < 1e-12);
    }

    #[test]
    fn a_bias_correction_is_that_of_the_power_to_the_bit() {
        for beta in [0.0, 0.5, 0.9, 0.95, 0.999] {
            for steps in (1..2000).chain([59_999, 60_001, 1 << 20, u64::MAX]) {
                let (got, expected) = (bias_correction(beta, steps), 1.0 - power(beta, steps));
                assert_eq!(got.to_bits(), expected.to_bits(), "beta {beta}, {steps} steps");
            }
        }
    }

    #[test]
    fn the_learning_rate_rises_over_the_warm_up_and_then_falls_to_its_minimum() {
        let config = OptimizerConfig { learning_rate: 0.8, warmup: 3, min_lr: 0.2, ..OptimizerConfig::default() };
        let rates: Vec<f64> = (0..8).map(|step| config.learning_rate_at(step, 7)).collect();
        for (rate, expected) in rates.iter().zip([0.2, 0.4, 0.6, 0.8, 0.712_132, 0.5, 0.287_868, 0.2]) {
            assert!((rate - expected).abs() < 1e-6, "{rates:?}");
        }
        // A warm-up may take the whole run.
        assert!((config.learning_rate_at(2, 3) - 0.6).abs() < 1e-12);
        assert!((config.learning_rate_at(3, 3) - 0.8).abs() < 1e-12);
    }
}
