//! The part of a step that a rank computes on the CPU.

use std::mem;
use std::ops::Range;

use gpu_kernels::layout::Layout;
use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::shape::Shape;
use gpu_kernels::tiled::rows;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::train::batch::{GradientArrays, Phase, shards};

use super::Cpu;
use super::buffer::Buffer;
use crate::corpus::Batches;
use crate::device::marshal::{LOG_LEN, UNWRITTEN, completed_logs, step_coefficients};
use crate::device::sharded::Sharded;
use crate::device::types::{Device, Executor, StepLog};
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// A step that several ranks share.
pub(super) struct SharedStep {
    batches: Batches,
    /// The first document of each leaf, and the number of documents.
    leaves: Vec<usize>,
    /// The gradient arrays of the fused executor, which are its leaves.
    arrays: GradientArrays,
    /// The subtrees of this rank.
    subtrees: Vec<Range<usize>>,
    /// The sums over the subtrees, which the tiled executor computes one by one.
    sums: Vec<Buffer>,
    losses: Vec<f32>,
    log: Vec<f32>,
}

impl SharedStep {
    /// Returns the document with this index in the step.
    fn document(&self, i: usize) -> &[u32] {
        let Batches { documents, first } = &self.batches;
        documents.get((*first as usize + i) % documents.len())
    }
}

/// A model on the CPU whose steps several ranks share.
pub(crate) struct ShardedCpu {
    cpu: Cpu,
    /// The step under way.
    step: Option<SharedStep>,
}

impl ShardedCpu {
    /// Returns the model `cpu`.
    pub(crate) fn new(cpu: Cpu) -> Self {
        Self { cpu, step: None }
    }
}

impl Cpu {
    /// Returns the number of values of the sum over a subtree.
    fn sum_len(&self) -> usize {
        if self.executors.training == Executor::Tiled {
            StepArgs::part_len(self.shape)
        } else {
            Layout(self.shape).len()
        }
    }

    /// Computes the gradients of the fused executor's subtrees.
    fn sum_fused(&mut self, step: &mut SharedStep) -> Result<()> {
        let [Some(first), Some(last)] = [step.subtrees.first(), step.subtrees.last()] else { return Ok(()) };
        let (own, coefficients) = (first.start..last.end, step_coefficients(&self.config, self.step, 1));
        let reduce = |tree: &Range<usize>| Phase::Reduce { first: tree.start, count: tree.len(), documents: 1 };
        let reduced = step.subtrees.iter().filter(|tree| tree.len() > 1).map(reduce);
        let phases: Vec<Phase> = [Phase::Gradients].into_iter().chain(reduced).collect();
        let args = self.train_args(&step.batches, &coefficients, &mut step.log);
        self.train_batch(args, step.arrays, own.clone(), &phases)?;
        let documents = step.leaves[own.start]..step.leaves[own.end];
        step.losses[documents.clone()].copy_from_slice(&self.losses.as_slice()[documents]);
        Ok(())
    }

    /// Computes the gradients of the tiled executor's subtrees.
    fn sum_tiled(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, mut log) = (self.sum_len(), [UNWRITTEN; LOG_LEN]);
        while step.sums.len() < step.subtrees.len() {
            step.sums.push(Buffer::zeros(len)?);
        }
        let mut sums = mem::take(&mut step.sums);
        for (tree, sum) in step.subtrees.iter().zip(&mut sums) {
            let leaf = |leaf: usize| (step.leaves[leaf]..step.leaves[leaf + 1]).map(move |i| (leaf - tree.start, i));
            let documents = tree.clone().flat_map(leaf).map(|(shard, i)| (shard, step.document(i)));
            let mut args = StepArgs { is_part: true, ..self.tiled_args(true) };
            args.arrays.grads = sum.as_mut_ptr();
            args.log = log.as_mut_ptr();
            let (kernels, tiled) = (self.kernels, &mut self.tiled);
            // SAFETY: the buffers have `Layout::len` elements and the sums `part_len`, `log` has two, and
            // `with_executor` has checked that this processor has the kernels. Documents have two tokens or more, all
            // below V.
            let losses = unsafe { tiled.run_shards(kernels, args, tree.len(), documents, &StopHandle::default()) }?;
            step.losses[step.leaves[tree.start]..step.leaves[tree.end]].copy_from_slice(losses);
        }
        step.sums = sums;
        Ok(())
    }
}

impl Sharded for ShardedCpu {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.cpu
    }

    fn leaves(&self) -> usize {
        let Cpu { config, shape, .. } = &self.cpu;
        if self.cpu.executors.training == Executor::Tiled {
            return rows::shards(config.batch, config.batch.saturating_mul(shape.block_size()));
        }
        shards(config.batch)
    }

    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>> {
        let cpu = &mut self.cpu;
        let (batch, block_size) = (cpu.config.batch, cpu.shape.block_size());
        let batches = cpu.dataset.batches(cpu.step, 1, batch, block_size)?;
        let mut step = SharedStep {
            batches,
            leaves: Vec::new(),
            arrays: GradientArrays::new(shards(batch), ranks),
            subtrees: Vec::new(),
            sums: self.step.take().map(|last| last.sums).unwrap_or_default(),
            losses: vec![0.0; batch],
            log: vec![UNWRITTEN; LOG_LEN],
        };
        let (shards, shards_each) = if cpu.executors.training == Executor::Tiled {
            let rows = (0..batch).map(|i| block_size.min(step.document(i).len() - 1)).sum();
            (rows::shards(batch, rows), 1)
        } else {
            cpu.grads.grow(step.arrays.count * Layout(cpu.shape).len())?;
            (shards(batch), step.arrays.shards_each)
        };
        let leaves = shards.div_ceil(shards_each);
        step.leaves = (0..=leaves).map(|leaf| shards.min(leaf * shards_each) * batch / shards).collect();
        cpu.grads.grow(cpu.sum_len())?;
        let leaves = step.leaves.clone();
        self.step = Some(step);
        Ok(leaves)
    }

    fn sum_subtrees(&mut self, subtrees: &[Range<usize>]) -> Result<()> {
        let mut step = self.step.take().expect("a step has begun");
        step.subtrees = subtrees.to_vec();
        let cpu = &mut self.cpu;
        let summed =
            if cpu.executors.training == Executor::Tiled { cpu.sum_tiled(&mut step) } else { cpu.sum_fused(&mut step) };
        self.step = Some(step);
        summed
    }

    fn subtree(&self, i: usize) -> &[f32] {
        let (step, len) = (self.step.as_ref().expect("a step has begun"), self.cpu.sum_len());
        if self.cpu.executors.training == Executor::Tiled {
            return &step.sums[i].as_slice()[..len];
        }
        &self.cpu.grads.as_slice()[step.subtrees[i].start * len..][..len]
    }

    fn total(&mut self) -> &mut [f32] {
        let len = self.cpu.sum_len();
        &mut self.cpu.grads.as_mut_slice()[..len]
    }

    fn losses(&mut self) -> &mut [f32] {
        &mut self.step.as_mut().expect("a step has begun").losses
    }

    fn end_step(&mut self) -> Result<StepLog> {
        let (cpu, mut step) = (&mut self.cpu, self.step.take().expect("a step has begun"));
        let coefficients = step_coefficients(&cpu.config, cpu.step, 1);
        cpu.transposed_is_current &= cpu.executors.training == Executor::Fused;
        if cpu.executors.training == Executor::Tiled {
            let &[sqrt_scale, eps, decay] = coefficients.first_chunk().expect("a step has three coefficients");
            let coefficients = StepCoefficients { sqrt_scale, eps, decay };
            let args = StepArgs { log: step.log.as_mut_ptr(), coefficients, ..cpu.tiled_args(true) };
            let (kernels, tiled) = (cpu.kernels, &mut cpu.tiled);
            // SAFETY: as in `sum_tiled`. `begin_step` has grown the gradients to `part_len`.
            unsafe { tiled.join(kernels, args, &step.losses) }?;
        } else {
            cpu.losses.as_mut_slice()[..step.losses.len()].copy_from_slice(&step.losses);
            let args = cpu.train_args(&step.batches, &coefficients, &mut step.log);
            let phases = [Phase::Reduce { first: 0, count: 1, documents: cpu.config.batch }, Phase::Update];
            cpu.train_batch(args, step.arrays, 0..0, &phases)?;
        }
        let log = completed_logs(&step.log).first().copied().ok_or(Error::Stopped)?;
        self.step = Some(step);
        cpu.step += 1;
        Ok(log)
    }
}
