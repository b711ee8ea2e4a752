//! A step of the tiled executor, launch by launch.

use std::collections::BTreeMap;

use microgpt::config::num_params;
use microgpt::corpus::{self, Dataset};
use microgpt::device::Device;
use microgpt::device::cuda::Cuda;
use microgpt::error::Result;

use crate::Sizes;
use crate::measure::{median, verified};
use crate::models;
use crate::record::{Figure, OpTime};

/// Measures a step of the tiled executor, and returns and prints the times of its ops, the longest first.
pub fn of_a_tiled_step(sizes: &Sizes, figures: &mut Vec<Figure>) -> Result<Vec<OpTime>> {
    let ((model, batch), steps) = (sizes.tiled, sizes.few_steps);
    let dataset = full_documents(model.block_size);
    // The CPU takes up to a second for a step of this model.
    let mut gpu = verified(model, batch, &dataset, sizes.verified_steps.min(2))?;
    let seconds = median(&mut gpu, sizes, |gpu| gpu.train(steps).map(drop), Cuda::device_seconds)? / steps as f64;
    let name = format!("{}/{}/{}/{}, batch {batch}", model.n_embd, model.n_head, model.n_layer, model.block_size);
    figures.push(Figure::new(&format!("tiled `train`, {name}"), seconds * 1e3, "ms a step"));
    let tokens = (batch * model.block_size) as f64;
    // A weight takes part in a multiply-add a token forward, and in two backward. Attention is left out.
    let weights = num_params(gpu.shape()) - model.block_size * model.n_embd;
    let rate = 6.0 * weights as f64 * tokens / seconds / 1e12;
    figures.push(Figure::new(&format!("products of tiled `train`, {name}"), rate, "TFLOP/s"));
    let mut ops = BTreeMap::<_, OpTime>::new();
    for launch in gpu.launch_times(|gpu| gpu.train(1).map(drop))? {
        let op = launch.op.map_or(String::new(), |op| format!("{op:?}"));
        let new = OpTime { op: op.clone(), kernel: launch.kernel, launches: 0, microseconds: 0.0 };
        let time = ops.entry(op).or_insert(new);
        time.launches += 1;
        time.microseconds += launch.seconds * 1e6;
    }
    let mut ops: Vec<OpTime> = ops.into_values().collect();
    ops.sort_by(|a, b| b.microseconds.total_cmp(&a.microseconds));
    println!("a step of {name}, each launch between two events:");
    for OpTime { op, kernel, launches, microseconds } in &ops {
        println!("  {op:<18} {kernel:<24} {launches:>3} launches {microseconds:>10.1} µs");
    }
    Ok(ops)
}

/// Returns documents that fill a block, cut from the embedded names.
fn full_documents(block_size: usize) -> Dataset {
    let text: Vec<char> = corpus::documents(corpus::EMBEDDED).flat_map(|name| name.chars().chain([' '])).collect();
    let documents = text.chunks_exact(block_size).map(|chars| chars.iter().collect::<String>().replace(' ', "-"));
    models::dataset(&documents.collect::<Vec<_>>(), None)
}
