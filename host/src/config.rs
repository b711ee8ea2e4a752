//! What a run is configured with, checked once, before anything is allocated.

use gpu_kernels::shape::{RuntimeShape, Shape};

use crate::error::{Error, Result};

/// The model's dimensions that a user chooses; the corpus adds the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// C: channels of the residual stream.
    pub n_embd: usize,
    /// H: attention heads; divides `n_embd`.
    pub n_head: usize,
    /// L: layers.
    pub n_layer: usize,
    /// T: the most tokens that the model looks back on.
    pub block_size: usize,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 }
    }
}

/// The most parameters that a model may have: indices into them fit 32 bits on every device.
const MAX_PARAMS: u128 = 1 << 30;

/// The most numbers that a document's activations may have, roughly: a terabyte.
const MAX_ACTIVATIONS: u128 = 1 << 38;

impl ModelConfig {
    /// The model's shape for a vocabulary of `vocab` tokens.
    ///
    /// # Errors
    /// A size of zero, heads that do not divide the channels, or a model too large to index.
    pub fn shape(self, vocab: usize) -> Result<RuntimeShape> {
        let Self { n_embd, n_head, n_layer, block_size } = self;
        for (flag, size) in
            [("--n-embd", n_embd), ("--n-head", n_head), ("--n-layer", n_layer), ("--block-size", block_size)]
        {
            if size == 0 {
                return Err(Error::new(format!("`{flag} 0`: the model needs at least 1")));
            }
        }
        if n_embd % n_head != 0 {
            let below = (1..n_head.min(n_embd + 1)).rev().find(|h| n_embd % h == 0).unwrap_or(1);
            return Err(Error::new(format!("`--n-embd {n_embd}` is not divisible by `--n-head {n_head}`"))
                .hint(format!("each head takes n_embd / n_head channels: for instance `--n-head {below}`")));
        }
        let [v, t, c, l] = [vocab, block_size, n_embd, n_layer].map(|size| size as u128);
        let params = c.saturating_mul(v.saturating_add(t).saturating_add(l.saturating_mul(12).saturating_mul(c)));
        if params > MAX_PARAMS {
            return Err(Error::new(format!(
                "a model of {params} parameters is too large (n_embd {n_embd}, n_layer {n_layer}, block_size {block_size}, vocabulary {vocab})"
            ))
            .hint(format!("at most {MAX_PARAMS} are supported: lower --n-embd, --n-layer or --block-size")));
        }
        // The attention's probabilities are what grows with the square of the block size.
        let activations = l * (t + 16) * (t + 16) * (c + 16);
        if activations > MAX_ACTIVATIONS {
            return Err(Error::new(format!(
                "activations of about {activations} numbers are too many (n_embd {n_embd}, n_layer {n_layer}, block_size {block_size})"
            ))
            .hint(format!("at most {MAX_ACTIVATIONS} are supported: lower --block-size, --n-embd or --n-layer")));
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

/// Parameters of a model of this shape, without padding.
pub fn num_params(shape: RuntimeShape) -> usize {
    let c = shape.n_embd();
    (shape.vocab() + shape.block_size() + 12 * shape.n_layer() * c) * c
}

/// `AdamW` with a global-norm clip and a cosine schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The learning rate at step 0.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, scaled by the learning rate.
    pub weight_decay: f64,
    /// The gradient's global norm is clipped to this.
    pub max_grad_norm: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 1e-4, max_grad_norm: 1.0 }
    }
}

impl OptimizerConfig {
    /// The learning rate of `step` (from 0) in a run of `steps`: half a cosine from [`Self::learning_rate`] to zero.
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        // In a run of no steps none is taken, but one may be tried.
        self.learning_rate * 0.5 * (1.0 + libm::cos(std::f64::consts::PI * step as f64 / steps.max(1) as f64))
    }

    /// What the moments are divided by after `steps` steps: `1 - beta1^steps` and `1 - beta2^steps`.
    pub fn bias_corrections(&self, steps: u64) -> (f64, f64) {
        (1.0 - power(self.beta1, steps), 1.0 - power(self.beta2, steps))
    }
}

/// `base^exponent` by repeated squaring: the same bits on every machine, which the standard library does not promise.
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

/// How a run trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainConfig {
    /// Steps of the whole run: the length of the learning rate's schedule.
    pub steps: u64,
    /// B: documents of a step.
    pub batch: usize,
    /// The optimiser's parameters.
    pub optimizer: OptimizerConfig,
}

/// How text is sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleConfig<'a> {
    /// Only this many of the most likely tokens are drawn from; ties go to the lower token. 1 is greedy.
    pub top_k: usize,
    /// The logits are divided by this; 0 is greedy.
    pub temperature: f64,
    /// Sample `i` draws from the random stream `(seed, i)`.
    pub seed: u64,
    /// The tokens that each sample starts with, fewer than `block_size`, without `<BOS>`.
    pub prompt: &'a [u32],
    /// Whether samples carry the log-probabilities of their tokens.
    pub logprobs: bool,
}
