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
}

/// A document that the model has invented.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The tokens, at most T, without `BOS`.
    pub tokens: Vec<u32>,
    /// The log-probability of each token, before top-k and temperature, and of the `BOS` that ended it, if one did.
    pub logprobs: Vec<f64>,
}

/// Invents a document. The draws start from `BOS`, and each drawn token is fed back in, until another `BOS` or T tokens.
///
/// A prompt takes the place of the first draws. Each draw takes a random value from `uniform`, spread over `[0, 1)`.
pub fn generate(
    model: &Parameters,
    params: SamplingParams,
    prompt: &[u32],
    mut uniform: impl FnMut() -> f64,
) -> Sample {
    let mut caches = model.empty_caches();
    let mut document = Sample::default();
    let mut token = BOS;
    for position in 0..model.shape.block_size {
        let logits = model.forward(token, position, &mut caches);
        token = match prompt.get(position) {
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
/// 3. *Softmax* turns the logits into probabilities, here not yet divided by their `total`. Laid end to end in the
///    order of the tokens, the probabilities cover `0..total`. The token that covers `u * total` is drawn.
///
/// The lower the temperature, the likelier is the token of the largest logit. At 0, or for a `top_k` of 1, that token
/// is taken without a draw. This choice is called greedy.
///
/// # Panics
/// If there are no logits.
pub fn sample(logits: &[f64], params: SamplingParams, u: f64) -> u32 {
    let largest = |kept: &[bool]| {
        let candidates = (0..logits.len()).filter(|&token| !kept[token]);
        candidates.reduce(|best, token| if logits[token] > logits[best] { token } else { best })
    };
    let mut kept = vec![false; logits.len()];
    let top = largest(&kept).expect("a vocabulary has at least `BOS`");
    if params.temperature == 0.0 || params.top_k == 1 {
        return top as u32;
    }
    for _ in 0..params.top_k.min(logits.len()) {
        if let Some(token) = largest(&kept) {
            kept[token] = true;
        }
    }
    let prob = |token: usize| {
        if kept[token] { ((logits[token] - logits[top]) / params.temperature).exp() } else { 0.0 }
    };
    let total: f64 = (0..logits.len()).map(prob).sum();
    let mut end = 0.0;
    let drawn = (0..logits.len()).find(|&token| {
        end += prob(token);
        end > u * total
    });
    // Since `u < 1`, some token covers `u * total`, unless a logit is NaN.
    drawn.unwrap_or(top) as u32
}
