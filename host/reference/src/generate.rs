//! The sampling, which invents documents that the model finds likely.

use crate::model::{Parameters, cross_entropy};

/// The token before and after every document.
const BOS: u32 = 0;

/// The parameters of a draw, see [`sample`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingParams {
    /// The number of most likely tokens that are drawn from, where 1 is greedy.
    pub top_k: usize,
    /// The divisor of the logits, where 0 is greedy.
    pub temperature: f64,
    /// The least probability of a token relative to that of the likeliest, where 0 keeps all.
    pub min_p: f64,
    /// The probability that the likeliest of the kept tokens reach together, where 1 keeps all.
    pub top_p: f64,
}

/// A document that the model has invented.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The tokens, at most T, without `BOS`.
    pub tokens: Vec<u32>,
    /// The log-probability of each token, before any parameter acts, and of the `BOS` that ended it, if one did.
    pub logprobs: Vec<f64>,
}

/// Invents a document after `start`, which is `BOS` and maybe a prompt. Each drawn token is fed back in, until another
/// `BOS` or T tokens. A `start` of other tokens continues a text in their place.
/// Each draw takes a random value from `uniform`, spread over `[0, 1)`.
pub fn generate(model: &Parameters, params: SamplingParams, start: &[u32], mut uniform: impl FnMut() -> f64) -> Sample {
    let mut caches = model.empty_caches();
    let mut document = Sample::default();
    let mut token = start[0];
    for position in 0..model.shape.block_size {
        let logits = model.forward(token, position, &mut caches);
        token = match start.get(position + 1) {
            Some(&token) => token,
            None => sample(&logits.iter().map(|x| x.data()).collect::<Vec<_>>(), params, uniform()),
        };
        document.logprobs.push(-cross_entropy(&logits, token).data());
        if token == BOS {
            break;
        }
        document.tokens.push(token);
    }
    document
}

/// Draws a token from `logits: [V]`, given a uniform random value `u` in `[0, 1)`.
///
/// 1. *Top-k* keeps the `top_k` largest logits in the draw. Among equal logits the lower token stays.
/// 2. *Temperature* divides the logits. Below 1 the likely tokens become likelier, above 1 less likely.
/// 3. *Softmax* turns the logits into probabilities, here not yet divided by their `total`.
/// 4. *Min-p* drops unlikely tokens. *Top-p* keeps the likeliest of the others that reach a share of their probability.
/// 5. Laid end to end in token order, the probabilities cover `0..total`. The token that covers `u * total` is drawn.
///
/// The lower the temperature, the likelier is the token of the largest logit. At 0, or for a `top_k` of 1, that token
/// is taken without a draw. This choice is called greedy.
///
/// # Panics
/// If there are no logits.
pub fn sample(logits: &[f64], params: SamplingParams, u: f64) -> u32 {
    let mut kept: Vec<usize> = (0..logits.len()).collect();
    kept.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let top = *kept.first().expect("a vocabulary has at least `BOS`");
    if params.temperature == 0.0 || params.top_k == 1 {
        return top as u32;
    }
    let prob = |token: usize| ((logits[token] - logits[top]) / params.temperature).exp();
    kept.truncate(params.top_k);
    kept.retain(|&token| prob(token) >= params.min_p);
    let (mut sum, all) = (0.0, kept.iter().map(|&token| prob(token)).sum::<f64>());
    kept.retain(|&token| {
        let is_kept = sum < params.top_p * all;
        sum += prob(token);
        is_kept
    });
    kept.sort_unstable();
    let total: f64 = kept.iter().map(|&token| prob(token)).sum();
    let mut end = 0.0;
    let drawn = kept.into_iter().find(|&token| {
        end += prob(token);
        end > u * total
    });
    // Since `u < 1`, some token covers `u * total`, unless a logit is NaN.
    drawn.unwrap_or(top) as u32
}
