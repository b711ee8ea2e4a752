//! The cycles that the emulator's model predicts, beside those that the GPU takes.

use std::collections::BTreeMap;

use microgpt::config::ModelConfig;
use microgpt::corpus::Dataset;
use microgpt::device::Device;
use microgpt::device::cuda::Cuda;
use microgpt::error::Result;
use serde::Deserialize;

use crate::Sizes;
use crate::measure::{median, verified};
use crate::record::{Computer, Prediction, failure};

/// The counts of the emulator's profile, as `cargo bench -p host --bench gpu-counts -- --record FILE` writes them.
const COUNTS: &str = include_str!("../../../assets/gpu-counts.json");

#[derive(Deserialize)]
struct Counts {
    bound_cycles: u64,
}

/// The measurements of `gpu-counts` that take a step in one block, or in one for each document.
const CASES: [(&str, ModelConfig, usize); 3] = [
    ("train default", ModelConfig { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 }, 1),
    ("train_batch default, 8 documents", ModelConfig { n_embd: 16, n_head: 4, n_layer: 1, block_size: 8 }, 8),
    ("train_shared 16/4/1/16", ModelConfig { n_embd: 16, n_head: 4, n_layer: 1, block_size: 16 }, 1),
];

/// Measures and prints each case.
pub fn compare(computer: &Computer, sizes: &Sizes, dataset: &Dataset) -> Result<Vec<Prediction>> {
    let counts: BTreeMap<String, Counts> =
        serde_json::from_str(COUNTS).map_err(|error| failure(format!("`assets/gpu-counts.json`: {error}")))?;
    let mut predictions = Vec::new();
    for (case, model, batch) in CASES {
        let bound_cycles =
            counts.get(case).ok_or_else(|| failure(format!("`assets/gpu-counts.json` has no `{case}`")))?.bound_cycles;
        let mut gpu = verified(model, batch, dataset, sizes.verified_steps)?;
        let mut seconds = |steps| median(&mut gpu, sizes, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds);
        // The difference of two launches has no time of the launch itself.
        let step = (seconds(1 + sizes.steps)? - seconds(1)?) / sizes.steps as f64;
        let measured_cycles = step * computer.hertz;
        println!(
            "{case}: {bound_cycles} cycles predicted, {measured_cycles:.0} measured at {:.3} GHz, {:.2} times as many",
            computer.hertz / 1e9,
            measured_cycles / bound_cycles as f64
        );
        predictions.push(Prediction { case: case.to_owned(), bound_cycles, measured_cycles });
    }
    Ok(predictions)
}
