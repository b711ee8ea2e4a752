//! Training and evaluation of a model by the fused executor.

use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::shape::{ExpandedShape, Shape};
use gpu_kernels::train::TrainArgs;
use gpu_kernels::train::batch::{BatchArgs, GradientArrays, Phase, PhaseArgs, batch_workspace_len, shards};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::demand::{batch_threads, evaluate_blocks};
use super::shared::Shared;
use super::{Cpu, phase_pool};
use crate::corpus::Batches;
use crate::device::marshal::{
    LOG_LEN, UNWRITTEN, completed_logs, evaluations, optimizer, step_coefficients, transpose,
};
use crate::device::types::{Evaluation, StepLog};
use crate::error::Result;

impl Cpu {
    /// Takes steps by the fused executor.
    pub(super) fn train_fused(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let batches = self.dataset.batches(self.step, steps, self.config.batch, self.shape.block_size())?;
        let coefficients = step_coefficients(&self.config, self.step, steps);
        let mut log = vec![UNWRITTEN; LOG_LEN * steps];
        let args = self.train_args(&batches, &coefficients, &mut log);
        if self.config.batch > 1 {
            let arrays = GradientArrays::new(shards(self.config.batch), 1);
            self.train_batch(args, arrays, 0..arrays.count, &Phase::of_step(arrays, self.config.batch))?;
        } else {
            // SAFETY: every buffer has the length that `TrainArgs` states, and `Documents` has consistent offsets.
            // `with_kernels` has checked the tokens and that this processor has the kernels.
            unsafe { self.stoppable().train(&args, 0..1, 1) };
        }
        let logs = completed_logs(&log);
        self.step += logs.len() as u64;
        Ok(logs)
    }

    /// Evaluates the first documents by the fused executor.
    pub(super) fn evaluate_fused(&mut self, documents: usize) -> Result<Vec<Evaluation>> {
        let mut nll = vec![0.0f32; documents];
        let blocks = evaluate_blocks(documents);
        let args = Shared(EvaluateArgs {
            params: self.params.as_mut_ptr(),
            transposed: self.transposed.as_mut_ptr(),
            workspace: self.evaluate_workspace.as_mut_ptr(),
            tokens: self.dataset.val.tokens().as_ptr(),
            offsets: self.dataset.val.offsets().as_ptr(),
            nll: nll.as_mut_ptr(),
            documents: documents as u32,
            shape: ExpandedShape::new(self.shape),
        });
        let (kernels, args) = (self.stoppable(), &args);
        (0..blocks).into_par_iter().for_each(|block| {
            // SAFETY: the buffers are valid as in `train`, with a workspace for each of the blocks.
            unsafe { kernels.evaluate(&args.0, block..block + 1, blocks) };
        });
        self.unless_stopped()?;
        Ok(evaluations(&nll, &self.dataset.val, self.shape))
    }

    /// Makes the transposed copies that the fused kernels read, unless they are current.
    pub(super) fn refresh_transposed(&mut self) {
        if !self.transposed_is_current {
            transpose(self.shape, self.params.as_slice(), self.transposed.as_mut_slice());
            self.transposed_is_current = true;
        }
    }

    /// Returns the arguments of a launch on these documents, with three coefficients and [`LOG_LEN`] values for each step.
    pub(super) fn train_args(&mut self, batches: &Batches, coefficients: &[f32], log: &mut [f32]) -> TrainArgs {
        let Batches { documents, first } = batches;
        TrainArgs {
            arrays: self.arrays(),
            workspace: self.workspace.as_mut_ptr(),
            tokens: documents.tokens().as_ptr(),
            offsets: documents.offsets().as_ptr(),
            coefficients: coefficients.as_ptr().cast(),
            log: log.as_mut_ptr().cast(),
            first_document: *first,
            documents: documents.len() as u32,
            steps: (log.len() / LOG_LEN) as u32,
            shape: self.shape,
            optimizer: optimizer(&self.config.optimizer),
        }
    }

    /// Runs phases of steps of several documents, with the blocks of each phase spread over threads. The gradients are those
    /// of the shards of `own` of the arrays.
    pub(super) fn train_batch(
        &mut self,
        args: TrainArgs,
        arrays: GradientArrays,
        own: Range<usize>,
        phases: &[Phase],
    ) -> Result<()> {
        let (batch, shards) = (self.config.batch, shards(self.config.batch));
        let threads = batch_threads(self.shape, batch);
        let stride = batch_workspace_len(self.shape);
        if self.workspace.as_slice().len() < threads * stride {
            self.workspace = Buffer::zeros(threads * stride)?;
        }
        let args = BatchArgs {
            train: TrainArgs { workspace: self.workspace.as_mut_ptr(), ..args },
            squares: self.squares.as_mut_ptr(),
            losses: self.losses.as_mut_ptr(),
            barrier: ptr::null_mut(),
            batch: batch as u32,
            workspace_stride: 0,
        };
        let (kernels, shared) = (self.kernels, &Shared(args));
        let (stoppable, stop, is_cut) = (self.stoppable(), &self.stop, AtomicBool::new(false));
        phase_pool::each_phase(args.train.steps as usize * phases.len(), threads, |i, thread| {
            let (Shared(mut batch), phase, step) = (*shared, phases[i % phases.len()], i / phases.len());
            batch.train.workspace = batch.train.workspace.wrapping_add(thread * stride);
            // A thread takes the shards of whole gradient arrays, one after the other, because they share the thread's
            // workspace.
            let first = |thread: usize| shards.min((own.start + thread * own.len() / threads) * arrays.shards_each);
            let (blocks, count) = match phase {
                Phase::Gradients => (first(thread)..first(thread + 1), shards),
                Phase::Reduce { .. } | Phase::Update => (thread..thread + 1, threads),
            };
            // Only gradients are left incomplete by a stop. Then no thread updates weights, on which all threads agree,
            // because the flag changes in no phase of updates.
            let kernels = match phase {
                Phase::Gradients => stoppable,
                _ if is_cut.load(Ordering::Relaxed) => return,
                Phase::Reduce { .. } | Phase::Update => kernels,
            };
            // SAFETY: the buffers are valid as in `train`, and each thread has its own workspace and blocks.
            unsafe { kernels.train_batch(&PhaseArgs { batch, arrays, phase, step }, blocks, count) };
            if phase == Phase::Gradients && stop.is_stopped() {
                is_cut.store(true, Ordering::Relaxed);
            }
        });
        Ok(())
    }
}
