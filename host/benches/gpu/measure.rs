//! Models on the GPU, and the times of their launches.

use microgpt::config::{ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
use microgpt::corpus::Dataset;
use microgpt::device::cpu::Cpu;
use microgpt::device::cuda::Cuda;
use microgpt::device::{Device, ModelSetup, State};
use microgpt::error::Result;
use microgpt::weights::Weights;

use crate::Sizes;
use crate::record::failure;

pub const SAMPLE: SampleConfig =
    SampleConfig { top_k: 5, temperature: 0.6, min_p: 0.0, top_p: 1.0, seed: 42, prompt: &[], logprobs: false };

/// Returns a model before its first step.
pub fn start(model: ModelConfig, batch: usize, dataset: &Dataset) -> Result<ModelSetup> {
    let train = TrainConfig { steps: 1_000_000, batch, optimizer: OptimizerConfig::default() };
    let state = State::new(Weights::init(model.shape(dataset.tokenizer.vocab_size())?, 42));
    Ok(ModelSetup { train, state })
}

/// Returns a model on the GPU after `steps` steps, all of which gave the bits of the CPU.
pub fn verified(model: ModelConfig, batch: usize, dataset: &Dataset, steps: usize) -> Result<Cuda> {
    let ModelSetup { train, state } = start(model, batch, dataset)?;
    let (mut gpu, mut cpu) = (Cuda::new(train, dataset, &state)?, Cpu::new(train, dataset, &state)?);
    let same = gpu.train(steps)? == cpu.train(steps)?
        && gpu.evaluate(steps)? == cpu.evaluate(steps)?
        && gpu.generate(&SAMPLE, 0..steps as u64)? == cpu.generate(&SAMPLE, 0..steps as u64)?
        && gpu.download()? == cpu.download()?;
    if same { Ok(gpu) } else { Err(failure(format!("{model:?}: the GPU does not give the bits of the CPU"))) }
}

/// Returns the median device time of [`Sizes::launches`] launches, in seconds. A warm-up launch comes first.
pub fn median<G>(
    gpu: &mut G,
    sizes: &Sizes,
    mut launch: impl FnMut(&mut G) -> Result<()>,
    device_seconds: impl Fn(&G) -> f64,
) -> Result<f64> {
    let mut seconds = Vec::new();
    for i in 0..=sizes.launches {
        launch(gpu)?;
        if i > 0 {
            seconds.push(device_seconds(gpu));
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}
