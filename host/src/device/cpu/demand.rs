//! The threads and the memory that a model takes on the CPU.

use gpu_kernels::activations::Activations;
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::train::batch::{GradientArrays, batch_workspace_len, shards};
use gpu_kernels::train::train_workspace_len;

use super::shared::WORK_PER_THREAD;
use crate::config::num_params;
use crate::corpus::Dataset;
use crate::device::memory::Demand;
use crate::device::tiled_rows::{self, EVALUATE_ROWS};
use crate::device::types::{Executor, Executors};
use crate::error::Result;

/// The number of a product's multiplications that are worth another thread. So many take a few microseconds. In Miri small
/// models take several threads too.
const PRODUCT_PER_THREAD: usize = if cfg!(miri) { 1 << 4 } else { 1 << 14 };

/// The largest number of blocks of an evaluation. Each has its own workspace.
const EVALUATE_BLOCKS: usize = 32;

/// Returns the number of threads that training this many models, or evaluating one, has work for.
pub fn useful_threads(models: usize, batch: usize) -> usize {
    let GradientArrays { count, .. } = GradientArrays::new(shards(batch), 1);
    models.saturating_mul(count).max(EVALUATE_BLOCKS)
}

/// Returns the number of blocks of an evaluation, one for each thread that has a document.
pub(super) fn evaluate_blocks(documents: usize) -> usize {
    EVALUATE_BLOCKS.min(rayon::current_num_threads()).min(documents)
}

/// Returns the number of blocks of `generate`, one for each thread that has a sample and work enough.
pub(super) fn generate_blocks(shape: RuntimeShape, samples: usize) -> usize {
    let work = samples.saturating_mul(num_params(shape)).saturating_mul(shape.block_size());
    rayon::current_num_threads().min(samples).min(work / WORK_PER_THREAD).max(1)
}

/// Returns the number of threads that divide the products of a block of `generate`. Each of several has work enough in a product
/// of one token.
pub(super) fn generate_threads(shape: RuntimeShape, blocks: usize) -> usize {
    // The race checker follows the accesses of one thread.
    if cfg!(feature = "race-check") {
        return 1;
    }
    let product = shape.n_embd().saturating_mul(shape.n_embd());
    (rayon::current_num_threads() / blocks).min(product / PRODUCT_PER_THREAD).max(1)
}

/// Returns the number of threads that share a step of `batch` documents.
pub(super) fn batch_threads(shape: RuntimeShape, batch: usize) -> usize {
    let GradientArrays { count: arrays, .. } = GradientArrays::new(shards(batch), 1);
    let document_work = 3 * num_params(shape) * shape.block_size();
    let threads_worth = (batch.saturating_mul(document_work) / WORK_PER_THREAD).clamp(1, arrays);
    rayon::current_num_threads().min(threads_worth)
}

/// Returns the bytes that a model needs. The host keeps a copy of its state at the start and for a checkpoint.
///
/// # Errors
/// If a step of the tiled executor has more rows than 32 bits can index.
pub(crate) fn demand(executors: Executors, shape: RuntimeShape, batch: usize, dataset: &Dataset) -> Result<Demand> {
    let (len, params) = (Layout(shape).len() as u128, num_params(shape) as u128);
    let (gradients, train) = match executors.training {
        Executor::Fused => {
            let workspace = if batch == 1 {
                train_workspace_len(shape) as u128
            } else {
                batch_threads(shape, batch) as u128 * batch_workspace_len(shape) as u128
            };
            (GradientArrays::new(shards(batch), 1).count, workspace + batch as u128)
        }
        Executor::Tiled => (1, tiled_rows::memory_len(shape, batch, true)?),
    };
    let evaluate = match executors.evaluation {
        Executor::Fused => evaluate_blocks(dataset.val.len()) as u128 * Activations::len(shape) as u128,
        Executor::Tiled => {
            let documents = EVALUATE_ROWS.div_ceil(shape.block_size()).min(dataset.val.len());
            tiled_rows::memory_len(shape, documents, false)?
        }
    };
    // The tiled executor has one workspace for both.
    let activations = if executors.training == executors.evaluation && executors.training == Executor::Tiled {
        train.max(evaluate)
    } else {
        train + evaluate
    };
    Ok(Demand::of_floats(2 * len + params, (gradients as u128 + 2) * len + 2 * params, activations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;

    #[test]
    fn the_threads_of_few_samples_divide_large_products() {
        let shape = |n_embd| ModelConfig { n_embd, n_head: 4, n_layer: 1, block_size: 8 }.shape(3).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().unwrap();
        let threads = |n_embd, blocks| pool.install(|| generate_threads(shape(n_embd), blocks));
        assert_eq!(
            [threads(16, 1), threads(256, 1), threads(384, 1), threads(384, 3), threads(384, 8)],
            [1, 4, 8, 2, 1]
        );
    }

    #[test]
    fn a_demand_grows_with_the_model_and_the_batch_and_never_overflows() {
        let dataset = Dataset::new(&["ab", "ba"], None, None).unwrap();
        let shape =
            |n_embd, n_layer, block_size| ModelConfig { n_embd, n_head: 1, n_layer, block_size }.shape(3).unwrap();
        for executor in [Executor::Fused, Executor::Tiled] {
            let total =
                |shape, batch| demand(Executors::both(executor), shape, batch, &dataset).map(|demand| demand.total());
            let small = total(shape(16, 1, 8), 2).unwrap();
            // Two arrays of parameters, three of the optimiser, and a copy of the state.
            let params = num_params(shape(16, 1, 8)) as u64;
            assert!(small > 4 * 8 * params && small < 1 << 22, "{executor:?}: {small}");
            assert!(total(shape(64, 4, 32), 2).unwrap() > small && total(shape(16, 1, 8), 64).unwrap() > small);
            // The largest model and batch that there can be.
            let most = total(shape(9000, 1, 300), 1 << 20).unwrap();
            assert!(most > 1 << 34, "{executor:?}: {most}");
        }
        let error = demand(Executors::both(Executor::Tiled), shape(16, 1, 300), 1 << 24, &dataset).unwrap_err();
        assert!(error.to_string().contains("at most 4294967295, got 5033164800"), "{error}");
    }
}
