//! Samples that a GPU has generated and keeps until they are read.

use std::ops::Range;

use cust::memory::DeviceBuffer;

use super::super::Sample;
use super::super::packed::samples_of;
use super::gpu::download;
use crate::config::SampleConfig;
use crate::error::Result;

/// Samples on the device, and how they were drawn.
pub(super) struct Generated {
    pub(super) samples: Range<u64>,
    pub(super) seed: u64,
    pub(super) top_k: usize,
    pub(super) temperature: f64,
    pub(super) prompt: Vec<u32>,
    pub(super) tokens: DeviceBuffer<u32>,
    /// None unless they were asked for.
    pub(super) logprobs: DeviceBuffer<f32>,
}

impl Generated {
    /// Whether these samples are among them.
    pub(super) fn has(&self, config: &SampleConfig, samples: &Range<u64>) -> bool {
        let drawn_alike = (self.seed, self.top_k, self.temperature) == (config.seed, config.top_k, config.temperature)
            && (&self.prompt[..], !self.logprobs.is_empty()) == (config.prompt, config.logprobs);
        drawn_alike && self.samples.start <= samples.start && samples.end <= self.samples.end
    }

    /// Some of them, of models with this `block_size`.
    pub(super) fn read(&self, samples: Range<u64>, block_size: usize) -> Result<Vec<Sample>> {
        let at = |sample: u64| (sample - self.samples.start) as usize * block_size;
        let range = at(samples.start)..at(samples.end);
        let logprobs = if self.logprobs.is_empty() { Vec::new() } else { download(&self.logprobs, range.clone())? };
        Ok(samples_of(&download(&self.tokens, range)?, &logprobs, block_size))
    }
}
