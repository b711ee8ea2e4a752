//! The part of a step that a rank computes on the CPU.

use std::ops::Range;

use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::tiled::phases::Op;
use gpu_kernels::tiled::share::StepShare;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::train::batch::Phase;

use super::Cpu;
use super::buffer::Buffer;
use crate::device::division::{Additions, Division};
use crate::device::marshal::{LOG_LEN, UNWRITTEN, completed_logs, step_coefficients};
use crate::device::sharded::{Array, Sharded, SharedStep, max_leaves, sum_len};
use crate::device::types::{Device, Executor, StepLog};
use crate::device::values::Values;
use crate::error::{Error, Result};
use crate::stop::StopHandle;

/// A model on the CPU whose steps several ranks share.
pub(crate) struct ShardedCpu {
    cpu: Cpu,
    /// The step under way.
    step: Option<SharedStep>,
    /// The sums over the subtrees after the first, which the tiled executor computes one by one. The gradients have the
    /// first.
    sums: Vec<Buffer>,
    slices: Buffer,
}

impl ShardedCpu {
    /// Returns the model `cpu`.
    ///
    /// # Errors
    /// Never, because it allocates nothing yet.
    pub(crate) fn new(cpu: Cpu) -> Result<Self> {
        Ok(Self { cpu, step: None, sums: Vec::new(), slices: Buffer::zeros(0)? })
    }

    fn is_tiled(&self) -> bool {
        self.cpu.executors.training == Executor::Tiled
    }

    /// Returns the number of values of the sum over a subtree.
    fn sum_len(&self) -> usize {
        sum_len(self.cpu.shape, self.cpu.executors.training)
    }

    /// Computes the gradients of the fused executor's subtrees.
    fn sum_fused(&mut self, step: &mut SharedStep) -> Result<()> {
        let (cpu, mut log) = (&mut self.cpu, [UNWRITTEN; LOG_LEN]);
        let coefficients = step_coefficients(&cpu.config, cpu.step, 1);
        let reduce = |tree: &Range<usize>| Phase::Reduce { first: tree.start, count: tree.len(), documents: 1 };
        let reduced = step.subtrees.iter().filter(|tree| tree.len() > 1).map(reduce);
        let phases: Vec<Phase> = [Phase::Gradients].into_iter().chain(reduced).collect();
        let args = cpu.train_args(&step.batches, &coefficients, &mut log);
        cpu.train_batch(args, step.arrays, step.own(), &phases)?;
        let documents = step.documents_of(step.own());
        step.losses[documents.clone()].copy_from_slice(&cpu.losses.as_slice()[documents]);
        Ok(())
    }

    /// Computes the gradients of the tiled executor's subtrees.
    fn sum_tiled(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, mut log) = (self.sum_len(), [UNWRITTEN; LOG_LEN]);
        while self.sums.len() + 1 < step.subtrees.len() {
            self.sums.push(Buffer::zeros(len)?);
        }
        for (i, tree) in step.subtrees.iter().enumerate() {
            let cpu = &mut self.cpu;
            let mut args = StepArgs { is_part: true, ..cpu.tiled_args(true) };
            if i > 0 {
                args.arrays.grads = self.sums[i - 1].as_mut_ptr();
            }
            args.log = log.as_mut_ptr();
            let (kernels, tiled, documents) = (cpu.kernels, &mut cpu.tiled, step.in_shards(tree.clone()));
            // SAFETY: the buffers have `Layout::len` elements and the sums `part_len`, `log` has two, and
            // `with_executors` has checked that this processor has the kernels. Documents have two tokens or more, all
            // below V.
            let losses = unsafe { tiled.run_shards(kernels, args, tree.len(), documents, &StopHandle::default()) }?;
            step.losses[step.leaves[tree.start]..step.leaves[tree.end]].copy_from_slice(losses);
        }
        Ok(())
    }

    /// Ends a step of the fused executor.
    fn end_fused(&mut self, step: &SharedStep, log: &mut [f32]) -> Result<()> {
        let cpu = &mut self.cpu;
        let coefficients = step_coefficients(&cpu.config, cpu.step, 1);
        cpu.losses.as_mut_slice()[..step.losses.len()].copy_from_slice(&step.losses);
        let args = cpu.train_args(&step.batches, &coefficients, log);
        let phases = [Phase::Reduce { first: 0, count: 1, documents: cpu.config.batch }, Phase::Update];
        cpu.train_batch(args, step.arrays, 0..0, &phases)
    }

    /// Runs these ops at the end of a step of the tiled executor, on the strips of a share.
    fn end_tiled(&mut self, step: &SharedStep, ops: &[Op], share: &StepShare, log: &mut [f32]) -> Result<()> {
        let cpu = &mut self.cpu;
        cpu.transposed_is_current = false;
        let coefficients = step_coefficients(&cpu.config, cpu.step, 1);
        let &[sqrt_scale, eps, decay] = coefficients.first_chunk().expect("a step has three coefficients");
        let coefficients = StepCoefficients { sqrt_scale, eps, decay };
        let args = StepArgs { log: log.as_mut_ptr(), coefficients, ..cpu.tiled_args(true) };
        let (kernels, tiled) = (cpu.kernels, &mut cpu.tiled);
        // SAFETY: as in `sum_tiled`. `begin_step` has grown the gradients to `part_len`.
        unsafe { tiled.join(kernels, args, &step.losses, ops, &share.strips) }
    }

    fn buffer(&mut self, array: Array) -> &mut Buffer {
        let cpu = &mut self.cpu;
        match array {
            Array::Gradients => &mut cpu.grads,
            Array::Squares => &mut cpu.tiled.squares,
            Array::Weights => &mut cpu.params,
            Array::FirstMoments => &mut cpu.m,
            Array::SecondMoments => &mut cpu.v,
        }
    }
}

/// Returns the values of a slice of a buffer.
fn values(slice: &mut [f32]) -> Values {
    // SAFETY: the rank that has the buffer uses it for nothing else until the message has passed.
    unsafe { Values::new(slice.as_mut_ptr(), slice.len()) }
}

impl Sharded for ShardedCpu {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.cpu
    }

    fn leaves(&self) -> usize {
        max_leaves(&self.cpu.config, self.cpu.shape)
    }

    fn division(&self, ranks: usize) -> Division {
        Division::new(self.cpu.shape, self.cpu.executors.training, ranks)
    }

    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>> {
        let (len, is_tiled, cpu) = (self.sum_len(), self.is_tiled(), &mut self.cpu);
        let step = SharedStep::new(&cpu.config, cpu.shape, &cpu.dataset, cpu.step, ranks)?;
        cpu.grads.grow(if is_tiled { len } else { step.arrays.count * len })?;
        let leaves = step.leaves.clone();
        self.step = Some(step);
        Ok(leaves)
    }

    fn sum_subtrees(&mut self, subtrees: &[Range<usize>], slices_len: usize) -> Result<()> {
        self.slices.grow(slices_len)?;
        let mut step = self.step.take().expect("a step has begun");
        step.subtrees = subtrees.to_vec();
        let summed = if self.is_tiled() { self.sum_tiled(&mut step) } else { self.sum_fused(&mut step) };
        self.step = Some(step);
        summed
    }

    fn subtree(&mut self, i: usize) -> Values {
        let len = self.sum_len();
        if self.is_tiled() {
            let sum = if i == 0 { &mut self.cpu.grads } else { &mut self.sums[i - 1] };
            return values(&mut sum.as_mut_slice()[..len]);
        }
        let step = self.step.as_ref().expect("a step has begun");
        values(&mut self.cpu.grads.as_mut_slice()[step.subtrees[i].start * len..][..len])
    }

    fn slices(&mut self) -> Values {
        values(self.slices.as_mut_slice())
    }

    fn add_slices(&mut self, additions: &Additions, total: Range<usize>) -> Result<()> {
        additions.run(self.slices.as_mut_slice(), &mut self.cpu.grads.as_mut_slice()[total]);
        Ok(())
    }

    fn array(&mut self, array: Array) -> Values {
        values(self.buffer(array).as_mut_slice())
    }

    fn fetch(&mut self, _: Array, _: Range<usize>) -> Result<()> {
        Ok(())
    }

    fn store(&mut self, _: Array, _: Range<usize>) -> Result<()> {
        Ok(())
    }

    fn losses(&mut self) -> &mut [f32] {
        &mut self.step.as_mut().expect("a step has begun").losses
    }

    fn join(&mut self, share: &StepShare) -> Result<()> {
        let step = self.step.take().expect("a step has begun");
        let joined = self.end_tiled(&step, &[Op::Join], share, &mut [UNWRITTEN; LOG_LEN]);
        self.step = Some(step);
        joined
    }

    fn end_step(&mut self, share: Option<&StepShare>) -> Result<StepLog> {
        let (step, mut log) = (self.step.take().expect("a step has begun"), [UNWRITTEN; LOG_LEN]);
        match share {
            Some(share) => self.end_tiled(&step, &[Op::Norm, Op::Update], share, &mut log)?,
            None => self.end_fused(&step, &mut log)?,
        }
        let log = completed_logs(&log).first().copied().ok_or(Error::Stopped)?;
        self.cpu.step += 1;
        Ok(log)
    }
}
