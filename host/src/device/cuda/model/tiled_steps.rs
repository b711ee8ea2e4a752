//! Training and evaluation of a model by the tiled executor.

use std::ptr;
use std::rc::Rc;

use gpu_kernels::layout::{Arrays, Layout};
use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::shape::Shape;
use gpu_kernels::tiled::step::StepArgs;
use simt::HALF_WARP;

use super::Cuda;
use crate::corpus::Batches;
use crate::device::cuda::memory::pointer;
use crate::device::cuda::tiled::TiledStep;
use crate::device::marshal::{evaluations, optimizer, step_coefficients, step_logs};
use crate::device::tiled_rows::evaluation_passes;
use crate::device::types::{Evaluation, StepLog};
use crate::error::Result;

impl Cuda {
    /// Returns the arguments of the tiled executor.
    pub(super) fn tiled_args(&self, trains: bool) -> StepArgs {
        let len = Layout(self.gpu.shape).len();
        let arrays = Arrays {
            w: pointer(&self.params, len),
            transposed: ptr::null_mut(),
            grads: pointer(&self.grads, StepArgs::part_len(self.gpu.shape)),
            m: pointer(&self.m, len),
            v: pointer(&self.v, len),
        };
        StepArgs::new(self.gpu.shape, arrays, optimizer(&self.config.optimizer), trains)
    }

    /// Takes steps by the tiled executor.
    pub(super) fn train_tiled(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let (gpu, batch) = (Rc::clone(&self.gpu), self.config.batch);
        let coefficients = step_coefficients(&self.config, self.step, steps);
        let Batches { documents: train, first } =
            gpu.dataset.batches(self.step, steps, batch, gpu.shape.block_size())?;
        let document = |i: usize| train.get((first as usize + i) % train.len());
        let documents: Vec<&[u32]> = (0..steps * batch).map(document).collect();
        let (coefficients, _) = coefficients.as_chunks();
        let steps = documents.chunks(batch).zip(coefficients).map(|(documents, &[sqrt_scale, eps, decay])| TiledStep {
            documents,
            coefficients: StepCoefficients { sqrt_scale, eps, decay },
        });
        let (steps, args) = (steps.collect::<Vec<_>>(), self.tiled_args(true));
        self.transposed_is_current = false;
        // SAFETY: the arrays have `Layout::len` elements, and `validate::model` has checked the documents.
        let (log, _) = unsafe { self.tiled.run(&gpu, args, &steps) }?;
        self.step += steps.len() as u64;
        Ok(step_logs(&log))
    }

    /// Evaluates the first documents by the tiled executor.
    pub(super) fn evaluate_tiled(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let (gpu, args) = (Rc::clone(&self.gpu), self.tiled_args(false));
        let val = &gpu.dataset.val;
        let documents: Vec<&[u32]> = (0..documents).map(|i| val.get(i)).collect();
        let steps: Vec<TiledStep> = evaluation_passes(gpu.shape, &documents)
            .map(|documents| TiledStep { documents, coefficients: StepCoefficients::default() })
            .collect();
        // SAFETY: as in `train_tiled`.
        let (_, losses) = unsafe { self.tiled.run(&gpu, args, &steps) }?;
        let mut rest = &losses[..];
        let mut nll = Vec::with_capacity(documents.len());
        for TiledStep { documents, .. } in &steps {
            let (pass, left) = rest.split_at(documents.len().next_multiple_of(HALF_WARP));
            nll.extend_from_slice(&pass[..documents.len()]);
            rest = left;
        }
        Ok(evaluations(&nll, val, gpu.shape))
    }
}
