//! The threads and the memory that a model takes on the CPU.

use gpu_kernels::activations::Activations;
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape, TOKENS};
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::train::batch::{GradientArrays, batch_workspace_len, shards};
use gpu_kernels::train::train_workspace_len;

use super::shared::WORK_PER_THREAD;
use crate::config::num_params;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::types::Executor;
use crate::error::{Error, Result};

/// The largest number of blocks of an evaluation. Each has its own workspace.
const EVALUATE_BLOCKS: usize = 32;

/// The largest number of rows for which the length of a tiled workspace is computed. More rows take as much each.
const MAX_ROWS: usize = 1 << 16;

/// Returns the number of threads that training this many models, or evaluating one, has work for.
pub fn useful_threads(models: usize, batch: usize) -> usize {
    let GradientArrays { count, .. } = GradientArrays::new(shards(batch));
    models.saturating_mul(count).max(EVALUATE_BLOCKS)
}

/// Returns the number of blocks of an evaluation, one for each thread that has a document.
pub(super) fn evaluate_blocks(documents: usize) -> usize {
    EVALUATE_BLOCKS.min(rayon::current_num_threads()).min(documents)
}

/// Returns the number of blocks of `generate`, one for each thread that has a token group of samples and work enough.
pub(super) fn generate_blocks(shape: RuntimeShape, samples: usize) -> usize {
    let work = samples.saturating_mul(num_params(shape)).saturating_mul(shape.block_size());
    rayon::current_num_threads().min(samples.div_ceil(TOKENS)).min(work / WORK_PER_THREAD).max(1)
}

/// Returns the number of threads that share a step of `batch` documents.
pub(super) fn batch_threads(shape: RuntimeShape, batch: usize) -> usize {
    let GradientArrays { count: arrays, .. } = GradientArrays::new(shards(batch));
    let document_work = 3 * num_params(shape) * shape.block_size();
    let threads_worth = (batch.saturating_mul(document_work) / WORK_PER_THREAD).clamp(1, arrays);
    rayon::current_num_threads().min(threads_worth)
}

/// Returns the bytes that a model needs. The host keeps a copy of its state at the start and for a checkpoint.
///
/// # Errors
/// If a step of the tiled executor has more rows than 32 bits can index.
pub(crate) fn demand(executor: Executor, shape: RuntimeShape, batch: usize, dataset: &Dataset) -> Result<Demand> {
    let (len, params) = (Layout(shape).len() as u128, num_params(shape) as u128);
    let (gradients, activations) = match executor {
        Executor::Fused => {
            let arrays = GradientArrays::new(shards(batch)).count;
            let train = if batch == 1 {
                train_workspace_len(shape) as u128
            } else {
                batch_threads(shape, batch) as u128 * batch_workspace_len(shape) as u128
            };
            let evaluate = evaluate_blocks(dataset.val.len()) as u128 * Activations::len(shape) as u128;
            (arrays as u128, train + evaluate + batch as u128)
        }
        Executor::Tiled => (1, tiled_len(shape, batch)?),
    };
    Ok(Demand::of_floats(2 * len + params, (gradients + 2) * len + 2 * params, activations))
}

/// Returns the number of values of a training step's workspace and lists in the tiled executor.
fn tiled_len(shape: RuntimeShape, batch: usize) -> Result<u128> {
    let rows = batch as u128 * u128::from(shape.block_size);
    if rows > u128::from(u32::MAX) {
        let expected = format!("at most {}", u32::MAX);
        let hint = "lower --batch or --block-size";
        return Err(Error::argument("the number of a step's tokens on the device cpu-tiled", expected, &rows, hint));
    }
    let some = rows.min(MAX_ROWS as u128);
    let (documents, vocab) = (batch.min(MAX_ROWS) as u32, shape.vocab);
    let counts = RowCounts { rows: some as u32, documents, longest: shape.block_size.min(some as u32), vocab };
    let len = StepArgs::workspace_len(shape, counts, true) + counts.lists_len();
    Ok(len as u128 * rows.div_ceil(some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn a_demand_grows_with_the_model_and_the_batch_and_never_overflows() {
        let dataset = Dataset::new(&["ab", "ba"], None, None).unwrap();
        let shape =
            |n_embd, n_layer, block_size| ModelConfig { n_embd, n_head: 1, n_layer, block_size }.shape(3).unwrap();
        for executor in [Executor::Fused, Executor::Tiled] {
            let total = |shape, batch| demand(executor, shape, batch, &dataset).map(|demand| demand.total());
            let small = total(shape(16, 1, 8), 2).unwrap();
            // Two arrays of parameters, three of the optimiser, and a copy of the state.
            let params = num_params(shape(16, 1, 8)) as u64;
            assert!(small > 4 * 8 * params && small < 1 << 22, "{executor:?}: {small}");
            assert!(total(shape(64, 4, 32), 2).unwrap() > small && total(shape(16, 1, 8), 64).unwrap() > small);
            // The largest model and batch that there can be.
            let most = total(shape(9000, 1, 300), 1 << 20).unwrap();
            assert!(most > 1 << 34, "{executor:?}: {most}");
        }
        let error = demand(Executor::Tiled, shape(16, 1, 300), 1 << 24, &dataset).unwrap_err();
        assert!(error.to_string().contains("at most 4294967295, got 5033164800"), "{error}");
    }
}
