//! The part of a step that a rank computes on a GPU.
//!
//! Sums go between the ranks through the host's memory.

use std::ops::Range;
use std::rc::Rc;

use gpu_kernels::layout::Layout;
use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::part::StepPart;
use gpu_kernels::tiled::step::StepArgs;

use super::{Cuda, CudaModels};
use crate::device::cuda::memory::{download, overwrite};
use crate::device::marshal::{step_coefficients, step_logs};
use crate::device::sharded::{Sharded, SharedStep, max_leaves};
use crate::device::types::{Device, Executor, StepLog};
use crate::error::Result;

/// A model on a GPU whose steps several ranks share.
pub(crate) struct ShardedCuda {
    cuda: Cuda,
    /// The step under way.
    step: Option<SharedStep>,
    /// The sums over the subtrees.
    sums: Vec<Vec<f32>>,
    /// The sum over the step.
    total: Vec<f32>,
}

impl CudaModels {
    /// Returns the first model, for steps that several ranks share.
    pub(crate) fn into_sharded(mut self) -> ShardedCuda {
        let mut sharded = ShardedCuda { cuda: self.0.remove(0), step: None, sums: Vec::new(), total: Vec::new() };
        sharded.total = vec![0.0; sharded.sum_len()];
        sharded
    }
}

impl ShardedCuda {
    fn is_tiled(&self) -> bool {
        self.cuda.executors.training == Executor::Tiled
    }

    /// Returns the number of values of the sum over a subtree.
    fn sum_len(&self) -> usize {
        let shape = self.cuda.gpu.shape;
        if self.is_tiled() { StepArgs::part_len(shape) } else { Layout(shape).len() }
    }

    /// Computes the gradients of the fused executor's subtrees.
    fn sum_fused(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, cuda) = (self.sum_len(), &mut self.cuda);
        let args = cuda.train_args(1)?;
        cuda.launch_part(args, StepPart::gradients(step.shards_of(step.own())))?;
        for tree in &step.subtrees {
            // A GPU has an array for each shard.
            let arrays = step.shards_of(tree.clone());
            let first = len * arrays.start;
            if arrays.len() > 1 {
                cuda.launch_part(args, StepPart::default().with_sum(arrays, 1))?;
            }
            self.sums.push(download(&cuda.grads, first..first + len)?);
        }
        let documents = step.documents_of(step.own());
        step.losses[documents.clone()].copy_from_slice(&download(&cuda.losses, documents)?);
        Ok(())
    }

    /// Computes the gradients of the tiled executor's subtrees.
    fn sum_tiled(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, cuda) = (self.sum_len(), &mut self.cuda);
        let gpu = Rc::clone(&cuda.gpu);
        for tree in &step.subtrees {
            let args = StepArgs { is_part: true, ..cuda.tiled_args(true) };
            // SAFETY: the arrays have `Layout::len` elements, and the gradients `part_len`. `validate::model` has checked
            // the documents.
            let losses = unsafe { cuda.tiled.run_shards(&gpu, args, tree.len(), step.in_shards(tree.clone())) }?;
            step.losses[step.leaves[tree.start]..step.leaves[tree.end]].copy_from_slice(&losses);
            self.sums.push(download(&cuda.grads, 0..len)?);
        }
        Ok(())
    }

    /// Ends a step of the fused executor, and returns its log.
    fn end_fused(&mut self, step: &SharedStep) -> Result<Vec<StepLog>> {
        let cuda = &mut self.cuda;
        overwrite(&mut cuda.losses, &step.losses)?;
        let args = cuda.train_args(1)?;
        cuda.launch_part(args, StepPart::update(cuda.config.batch))?;
        cuda.finish_launch(1)
    }

    /// Ends a step of the tiled executor, and returns its log.
    fn end_tiled(&mut self, step: &SharedStep) -> Result<Vec<StepLog>> {
        let cuda = &mut self.cuda;
        cuda.transposed_is_current = false;
        let coefficients = step_coefficients(&cuda.config, cuda.step, 1);
        let &[sqrt_scale, eps, decay] = coefficients.first_chunk().expect("a step has three coefficients");
        let coefficients = StepCoefficients { sqrt_scale, eps, decay };
        let (gpu, args) = (Rc::clone(&cuda.gpu), StepArgs { coefficients, ..cuda.tiled_args(true) });
        // SAFETY: as in `sum_tiled`.
        let log = unsafe { cuda.tiled.join(&gpu, args, &step.losses) }?;
        cuda.step += 1;
        Ok(step_logs(&log))
    }
}

impl Sharded for ShardedCuda {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.cuda
    }

    fn leaves(&self) -> usize {
        max_leaves(&self.cuda.config, self.cuda.gpu.shape)
    }

    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>> {
        let cuda = &self.cuda;
        let step = SharedStep::new(&cuda.config, cuda.gpu.shape, &cuda.gpu.dataset, cuda.step, ranks)?;
        let leaves = step.leaves.clone();
        self.step = Some(step);
        Ok(leaves)
    }

    fn sum_subtrees(&mut self, subtrees: &[Range<usize>]) -> Result<()> {
        let mut step = self.step.take().expect("a step has begun");
        step.subtrees = subtrees.to_vec();
        self.sums.clear();
        let summed = if self.is_tiled() { self.sum_tiled(&mut step) } else { self.sum_fused(&mut step) };
        self.step = Some(step);
        summed
    }

    fn subtree(&self, i: usize) -> &[f32] {
        &self.sums[i]
    }

    fn total(&mut self) -> &mut [f32] {
        &mut self.total
    }

    fn losses(&mut self) -> &mut [f32] {
        &mut self.step.as_mut().expect("a step has begun").losses
    }

    fn end_step(&mut self) -> Result<StepLog> {
        let step = self.step.take().expect("a step has begun");
        // The first array of gradients takes the total.
        overwrite(&mut self.cuda.grads, &self.total)?;
        let logs = if self.is_tiled() { self.end_tiled(&step) } else { self.end_fused(&step) }?;
        Ok(logs[0])
    }
}
