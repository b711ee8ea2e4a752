//! Training, evaluation and sampling of a model by the fused executor.

use std::ops::Range;
use std::ptr;
use std::rc::Rc;

use gpu_kernels::evaluate::EvaluateArgs;
use gpu_kernels::generate::GenerateArgs;
use gpu_kernels::layout::{Arrays, Layout};
use gpu_kernels::part::{BatchLaunchArgs, StepPart};
use gpu_kernels::shape::{ExpandedShape, Shape};
use gpu_kernels::train::batch::BatchArgs;
use gpu_kernels::train::{TrainArgs, TrainModelsArgs};
use simt::GPU_WARPS;

use super::Cuda;
use crate::config::SampleConfig;
use crate::corpus::Batches;
use crate::device::cuda::gpu::DeviceDocuments;
use crate::device::cuda::memory::{
    affordable_blocks, download, ensure_free, overwrite, pointer, uninitialized, upload, zeros,
};
use crate::device::marshal::{
    LOG_LEN, evaluations, optimizer, sampling_params, step_coefficients, step_logs, to_samples,
};
use crate::device::sampling;
use crate::device::types::{Evaluation, Sample, StepLog};
use crate::error::Result;
impl Cuda {
    /// Returns the arguments of a launch of the next `steps` steps.
    ///
    /// Each array has the length that [`TrainArgs`] states, or for a batch the length that the plan states. Otherwise
    /// `pointer` panics. `validate::model` has checked the documents.
    pub(super) fn train_args(&mut self, steps: usize) -> Result<TrainArgs> {
        let coefficients = step_coefficients(&self.config, self.step, steps);
        (self.coefficients, self.log) = (upload(&coefficients)?, zeros(LOG_LEN * steps)?);
        let (gpu, len) = (&self.gpu, Layout(self.gpu.shape).len());
        let Batches { documents, first } =
            gpu.dataset.batches(self.step, steps, self.config.batch, gpu.shape.block_size())?;
        if gpu.dataset.windows.is_some() {
            self.windows = Some(DeviceDocuments::upload(&documents)?);
        }
        let train = self.windows.as_ref().unwrap_or(&gpu.train);
        Ok(TrainArgs {
            arrays: Arrays {
                w: pointer(&self.params, len),
                transposed: pointer(&self.transposed, len),
                grads: pointer(&self.grads, self.plan.grads),
                m: pointer(&self.m, len),
                v: pointer(&self.v, len),
            },
            workspace: pointer(&self.workspace, self.plan.workspace),
            tokens: pointer(&train.tokens, documents.tokens().len()),
            offsets: pointer(&train.offsets, documents.len() + 1),
            coefficients: pointer(&self.coefficients, coefficients.len()).cast(),
            log: pointer(&self.log, LOG_LEN * steps).cast(),
            first_document: first,
            documents: documents.len() as u32,
            steps: steps as u32,
            shape: gpu.shape,
            optimizer: optimizer(&self.config.optimizer),
        })
    }

    /// Takes steps of several documents in one launch.
    pub(super) fn train_batches(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        let train = self.train_args(steps)?;
        self.launch_part(train, StepPart::whole(self.config.batch))?;
        self.finish_launch(steps)
    }

    /// Computes a part of each of a launch's steps. Its arguments are those of [`Self::train_args`].
    pub(super) fn launch_part(&mut self, train: TrainArgs, part: StepPart) -> Result<()> {
        overwrite(&mut self.barrier, &[0])?;
        let batch = BatchArgs {
            train,
            squares: pointer(&self.squares, self.plan.squares),
            losses: pointer(&self.losses, self.plan.losses),
            barrier: pointer(&self.barrier, 1),
            batch: self.config.batch as u32,
            workspace_stride: (self.plan.workspace / self.plan.blocks) as u64,
        };
        let args = BatchLaunchArgs { batch, part, shape: ExpandedShape::new(self.gpu.shape) };
        // SAFETY: `train_args` states the lengths of its arrays, the plan those of the others, and the barrier is 0.
        unsafe { self.gpu.launch(&self.gpu.kernels.choose()?, self.plan.blocks, args) }
    }

    /// Counts the steps of a launch that has ended, and returns their logs.
    pub(super) fn finish_launch(&mut self, steps: usize) -> Result<Vec<StepLog>> {
        self.step += steps as u64;
        Ok(step_logs(&download(&self.log, 0..LOG_LEN * steps)?))
    }

    /// Evaluates the first documents, in at most as many blocks as run on the GPU at a time.
    pub(super) fn evaluate_fused(&self, documents: usize) -> Result<Vec<Evaluation>> {
        let kernel = self.gpu.kernels.choose::<EvaluateArgs>()?;
        let nll = upload(&vec![0.0f32; documents])?;
        let len = Layout(self.gpu.shape).len();
        let (offsets, nll_pointer) = (&self.gpu.val.offsets, pointer(&nll, documents));
        self.gpu.in_launches::<EvaluateArgs>(documents, |range| {
            let blocks = self.gpu.evaluate_blocks.min(range.len());
            let args = EvaluateArgs {
                params: pointer(&self.params, len),
                transposed: pointer(&self.transposed, len),
                workspace: pointer(&self.gpu.evaluate_workspace, blocks * kernel.workspace),
                tokens: pointer(&self.gpu.val.tokens, self.gpu.dataset.val.tokens().len()),
                offsets: pointer(offsets, self.gpu.dataset.val.len() + 1).wrapping_add(range.start),
                nll: nll_pointer.wrapping_add(range.start),
                documents: range.len() as u32,
                shape: ExpandedShape::new(self.gpu.shape),
            };
            // SAFETY: `pointer` has checked the lengths, which cover the range and a workspace for each of the blocks,
            // and `validate::model` has checked the tokens.
            unsafe { self.gpu.launch(&kernel, blocks, args) }
        })?;
        Ok(evaluations(&download(&nll, 0..documents)?, &self.gpu.dataset.val, self.gpu.shape))
    }

    /// Continues `starts` to samples, in one launch or in several where the device has a time limit.
    pub(super) fn generate_fused(
        &self,
        config: &SampleConfig,
        starts: &[u32],
        samples: Range<u64>,
    ) -> Result<Vec<Sample>> {
        let (kernel, shape) = (self.gpu.kernels.choose::<GenerateArgs>()?, self.gpu.shape);
        let count = sampling::count(&samples, shape)?;
        let start_len = sampling::validate(shape, config, starts, count)?;
        let (len, tokens) = (Layout(shape).len(), count as usize * shape.block_size());
        let logprobs_len = if config.logprobs { tokens } else { 0 };
        let blocks = self.gpu.kernels.resident_blocks(&kernel)?.min((count as usize).div_ceil(GPU_WARPS)).max(1);
        let blocks = affordable_blocks(blocks, kernel.workspace)?;
        let workspace_len = blocks * kernel.workspace;
        ensure_free(4 * (tokens + logprobs_len + workspace_len + starts.len()) as u64)?;
        let (workspace, prompt) = (zeros(workspace_len)?, upload(starts)?);
        let (out, logprobs) = (uninitialized(tokens)?, uninitialized(logprobs_len)?);
        let args = GenerateArgs {
            params: pointer(&self.params, len),
            transposed: pointer(&self.transposed, len),
            workspace: pointer(&workspace, workspace_len),
            out: pointer(&out, tokens),
            logprobs: if config.logprobs { pointer(&logprobs, tokens) } else { ptr::null_mut() },
            prompt: pointer(&prompt, starts.len()),
            seed: config.seed,
            first_sample: samples.start,
            samples: 0,
            prompt_len: start_len,
            sampling: sampling_params(config),
            shape,
        };
        self.gpu.in_launches::<GenerateArgs>(count as usize, |range| {
            let first = range.start * shape.block_size();
            let args = GenerateArgs {
                out: args.out.wrapping_add(first),
                logprobs: if config.logprobs { args.logprobs.wrapping_add(first) } else { args.logprobs },
                prompt: args.prompt.wrapping_add(range.start * start_len as usize),
                first_sample: args.first_sample.wrapping_add(range.start as u64),
                samples: range.len() as u32,
                ..args
            };
            // SAFETY: `pointer` has checked the lengths, which cover the range and a workspace for each of the blocks,
            // and `sampling::validate` has checked configuration and starts.
            unsafe { self.gpu.launch(&kernel, blocks, args) }
        })?;
        Ok(to_samples(&download(&out, 0..tokens)?, &download(&logprobs, 0..logprobs_len)?, shape.block_size()))
    }

    /// Trains models that share a GPU, each in a block of its own and on one document a step.
    pub(super) fn train_side_by_side(models: &mut [&mut Cuda], steps: usize) -> Result<Vec<Vec<StepLog>>> {
        let (gpu, mut logs) = (Rc::clone(&models[0].gpu), vec![Vec::with_capacity(steps); models.len()]);
        gpu.in_launches::<TrainModelsArgs>(steps, |range| {
            let steps = range.len();
            let args = models.iter_mut().map(|model| model.train_args(steps)).collect::<Result<Vec<_>>>()?;
            // SAFETY: `train_args` states the lengths, and each model has its own arrays.
            unsafe { gpu.launch_train(args, steps) }?;
            for (model, logs) in models.iter_mut().zip(&mut logs) {
                logs.extend(model.finish_launch(steps)?);
            }
            Ok(())
        })?;
        Ok(logs)
    }
}
