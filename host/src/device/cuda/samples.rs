//! Samples that stay on the GPU until the host reads them.

use std::ops::Range;

use cust::memory::DeviceBuffer;

use super::super::marshal::to_samples;
use super::super::types::Sample;
use super::memory::download;
use crate::config::SampleConfig;
use crate::error::Result;

/// Samples on the device, and the configuration that they were drawn with.
pub(super) struct Generated {
    pub(super) samples: Range<u64>,
    pub(super) seed: u64,
    pub(super) top_k: usize,
    pub(super) temperature: f64,
    pub(super) prompt: Vec<u32>,
    pub(super) tokens: DeviceBuffer<u32>,
    /// The log-probabilities, if the configuration asked for them.
    pub(super) logprobs: DeviceBuffer<f32>,
}

impl Generated {
    /// Returns whether these samples of this configuration are on the device.
    pub(super) fn has(&self, config: &SampleConfig, samples: &Range<u64>) -> bool {
        let drawn_alike = (self.seed, self.top_k, self.temperature) == (config.seed, config.top_k, config.temperature)
            && (&self.prompt[..], !self.logprobs.is_empty()) == (config.prompt, config.logprobs);
        drawn_alike && self.samples.start <= samples.start && samples.end <= self.samples.end
    }

    /// Copies some of the samples to the host. The model has this `block_size`.
    pub(super) fn read(&self, samples: Range<u64>, block_size: usize) -> Result<Vec<Sample>> {
        let at = |sample: u64| (sample - self.samples.start) as usize * block_size;
        let range = at(samples.start)..at(samples.end);
        let logprobs = if self.logprobs.is_empty() { Vec::new() } else { download(&self.logprobs, range.clone())? };
        Ok(to_samples(&download(&self.tokens, range)?, &logprobs, block_size))
    }
}
