//! The validation of samplings. The kernels index unchecked and rely on the validation.

use std::ops::Range;

use gpu_kernels::shape::{RuntimeShape, Shape};

use crate::config::SampleConfig;
use crate::error::{Error, Result};

/// Returns the number of samples of a launch. Rejects more samples than 32 bits or tokens than an address can count.
pub(super) fn count(samples: &Range<u64>, shape: RuntimeShape) -> Result<u32> {
    let samples = samples.end.saturating_sub(samples.start);
    let max = (usize::MAX / shape.block_size()).min(u32::MAX as usize) as u64;
    if samples > max {
        let expected = format!("at most {max}");
        return Err(Error::argument("the samples of a launch", expected, &samples, "ask for fewer at a time"));
    }
    Ok(samples as u32)
}

/// Rejects a prompt that leaves a block of this shape no room for a sample, or has a token that no document has.
pub(super) fn validate_prompt(shape: RuntimeShape, prompt: &[u32]) -> Result<()> {
    let RuntimeShape { vocab, block_size, .. } = shape;
    if let Some(token) = prompt.iter().find(|token| !(1..vocab).contains(token)) {
        const HINT: &str = "encode the prompt with the model's vocabulary, without `<BOS>`";
        return Err(Error::argument("prompt tokens", format!("between 1 and {}", vocab - 1), token, HINT));
    }
    if prompt.len() >= shape.block_size() {
        let expected = format!("shorter than {block_size} tokens");
        return Err(Error::argument("a prompt", expected, &prompt.len(), "shorten the prompt"));
    }
    Ok(())
}

/// Rejects a configuration, or the starts of `samples` samples, that a model of this shape cannot be sampled with.
/// Returns the number of tokens of a start.
pub(super) fn validate(shape: RuntimeShape, config: &SampleConfig, starts: &[u32], samples: u32) -> Result<u32> {
    let &SampleConfig { top_k, temperature, min_p, top_p, .. } = config;
    let (vocab, samples) = (shape.vocab, samples as usize);
    if let Some(token) = starts.iter().find(|&&token| token >= vocab) {
        const HINT: &str = "encode the starts with the model's vocabulary";
        return Err(Error::argument("the tokens of the starts", format!("below {vocab}"), token, HINT));
    }
    let len = starts.len().checked_div(samples).unwrap_or(1);
    if !(1..=shape.block_size()).contains(&len) || len * samples != starts.len() {
        let expected = format!("from 1 to {} for each of {samples} samples", shape.block_size);
        return Err(Error::argument("the tokens of the starts", expected, &starts.len(), "give each sample a start"));
    }
    if !(1..=shape.vocab()).contains(&top_k) {
        let expected = format!("from 1 to {vocab}");
        return Err(Error::argument("top-k", expected, &top_k, "choose at most the size of the vocabulary"));
    }
    if !(0.0..=f64::from(f32::MAX)).contains(&temperature) {
        return Err(Error::argument("temperature", "from 0 to 3.4e38", &temperature, "choose 0 or a positive value"));
    }
    for (name, value) in [("min-p", min_p), ("top-p", top_p)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::argument(name, "from 0 to 1", &value, "choose a probability"));
        }
    }
    Ok(len as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn the_samples_of_a_launch_fit_32_bits() {
        let shape = ModelConfig::default().shape(27).unwrap();
        let count = |samples| count(&samples, shape).ok();
        assert_eq!(count(3..3), Some(0));
        assert_eq!(count(1 << 40..(1 << 40) + 7), Some(7));
        assert_eq!(count(0..1 << 32), None);
        assert_eq!(count(0..u64::MAX), None);
    }
}
