//! The part of a step that a rank computes on a GPU.
//!
//! An MPI library that is CUDA-aware takes sums and weights from the GPU's memory, and puts them there. For any other
//! library they are copied to page-locked memory of the host and back.

use std::ops::Range;
use std::rc::Rc;

use cust::memory::{CopyDestination, DeviceBuffer};
use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::part::{AddArgs, StepPart};
use gpu_kernels::tiled::phases::Op;
use gpu_kernels::tiled::share::StepShare;
use gpu_kernels::tiled::step::StepArgs;

use super::{Cuda, CudaModels};
use crate::device::cuda::error::failed;
use crate::device::cuda::host_copies::HostCopies;
use crate::device::cuda::memory::{download, overwrite, pointer, zeros};
use crate::device::division::{Additions, Division};
use crate::device::gpu::mpi_is_cuda_aware;
use crate::device::marshal::{step_coefficients, step_logs};
use crate::device::sharded::{Array, Sharded, SharedStep, max_leaves, sum_len};
use crate::device::types::{Device, Executor, StepLog};
use crate::device::values::Values;
use crate::error::Result;

/// A model on a GPU whose steps several ranks share.
pub(crate) struct ShardedCuda {
    /// The copies for an MPI library that is not CUDA-aware.
    copies: Option<HostCopies>,
    /// The step under way.
    step: Option<SharedStep>,
    /// The sums over the subtrees after the first, which the tiled executor computes one by one. The gradients have the
    /// first.
    sums: Vec<DeviceBuffer<f32>>,
    slices: DeviceBuffer<f32>,
    // The GPU's context is dropped last.
    cuda: Cuda,
}

impl CudaModels {
    /// Returns the first model, for steps that several ranks share.
    ///
    /// # Errors
    /// If the driver refuses memory.
    pub(crate) fn into_sharded(mut self) -> Result<ShardedCuda> {
        let cuda = self.0.remove(0);
        let len = sum_len(cuda.gpu.shape, cuda.executors.training);
        let array_len = len.max(cuda.tiled.squares.len());
        let copies = if mpi_is_cuda_aware() { None } else { Some(HostCopies::new(len, array_len)?) };
        Ok(ShardedCuda { copies, step: None, sums: Vec::new(), slices: zeros(0)?, cuda })
    }
}

impl ShardedCuda {
    fn is_tiled(&self) -> bool {
        self.cuda.executors.training == Executor::Tiled
    }

    /// Returns the number of values of the sum over a subtree.
    fn sum_len(&self) -> usize {
        sum_len(self.cuda.gpu.shape, self.cuda.executors.training)
    }

    /// Computes the gradients of the fused executor's subtrees.
    fn sum_fused(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, cuda) = (self.sum_len(), &mut self.cuda);
        let args = cuda.train_args(1)?;
        cuda.launch_part(args, StepPart::gradients(step.shards_of(step.own())))?;
        for (i, tree) in step.subtrees.iter().enumerate() {
            // A GPU has an array for each shard.
            let arrays = step.shards_of(tree.clone());
            let first = len * arrays.start;
            if arrays.len() > 1 {
                cuda.launch_part(args, StepPart::default().with_sum(arrays, 1))?;
            }
            if let Some(copies) = &mut self.copies {
                copies.copy_sum(i, &cuda.grads, first..first + len)?;
            }
        }
        let documents = step.documents_of(step.own());
        step.losses[documents.clone()].copy_from_slice(&download(&cuda.losses, documents)?);
        Ok(())
    }

    /// Computes the gradients of the tiled executor's subtrees.
    fn sum_tiled(&mut self, step: &mut SharedStep) -> Result<()> {
        let (len, cuda) = (self.sum_len(), &mut self.cuda);
        let gpu = Rc::clone(&cuda.gpu);
        for (i, tree) in step.subtrees.iter().enumerate() {
            let mut args = StepArgs { is_part: true, ..cuda.tiled_args(true) };
            // A copy makes room for the next sum.
            if i > 0 && self.copies.is_none() {
                if self.sums.len() < i {
                    self.sums.push(zeros(len)?);
                }
                args.arrays.grads = pointer(&self.sums[i - 1], len);
            }
            // SAFETY: the arrays have `Layout::len` elements, and the gradients `part_len`. `validate::model` has checked
            // the documents.
            let losses = unsafe { cuda.tiled.run_shards(&gpu, args, tree.len(), step.in_shards(tree.clone())) }?;
            step.losses[step.leaves[tree.start]..step.leaves[tree.end]].copy_from_slice(&losses);
            if let Some(copies) = &mut self.copies {
                copies.copy_sum(i, &cuda.grads, 0..len)?;
            }
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

    /// Runs these ops at the end of a step of the tiled executor, on the strips of a share. Returns the log.
    fn end_tiled(&mut self, step: &SharedStep, ops: &[Op], share: &StepShare) -> Result<Vec<f32>> {
        let cuda = &mut self.cuda;
        cuda.transposed_is_current = false;
        let coefficients = step_coefficients(&cuda.config, cuda.step, 1);
        let &[sqrt_scale, eps, decay] = coefficients.first_chunk().expect("a step has three coefficients");
        let coefficients = StepCoefficients { sqrt_scale, eps, decay };
        let (gpu, args) = (Rc::clone(&cuda.gpu), StepArgs { coefficients, ..cuda.tiled_args(true) });
        // SAFETY: as in `sum_tiled`.
        unsafe { cuda.tiled.join(&gpu, args, &step.losses, ops, &share.strips) }
    }

    /// Adds up the slices on the GPU, and puts the total into this range of the gradients.
    fn add_on_gpu(&mut self, additions: &Additions, total: Range<usize>) -> Result<()> {
        let (slices, grads) = (pointer(&self.slices, self.slices.len()), pointer(&self.cuda.grads, total.end));
        let slice = |i: usize| slices.wrapping_add(additions.slice(i).start);
        let Some((last, _)) = additions.pairs.split_last() else {
            let from = self.slices.index(additions.slice(0));
            return self.cuda.grads.index(total).copy_from(&from).map_err(failed("copy on the GPU"));
        };
        let kernel = self.cuda.gpu.kernels.staging("add", None, 0);
        for pair @ &(to, from) in &additions.pairs {
            let sum = if pair == last { grads.wrapping_add(total.start) } else { slice(to) };
            let args = AddArgs { sum, addends: [slice(to), slice(from)], len: additions.len as u64 };
            // SAFETY: the slices are within their buffer, the total is in the gradients, and a slice's length is a multiple
            // of 32.
            unsafe { self.cuda.gpu.launch(&kernel, self.cuda.gpu.kernels.multiprocessors(), args) }?;
        }
        Ok(())
    }

    fn buffer(&self, array: Array) -> &DeviceBuffer<f32> {
        let cuda = &self.cuda;
        match array {
            Array::Gradients => &cuda.grads,
            Array::Squares => &cuda.tiled.squares,
            Array::Weights => &cuda.params,
            Array::FirstMoments => &cuda.m,
            Array::SecondMoments => &cuda.v,
        }
    }
}

/// Returns a range of an array on the GPU.
fn values(array: &DeviceBuffer<f32>, range: Range<usize>) -> Values {
    let start = pointer(array, range.end).wrapping_add(range.start);
    // SAFETY: the array has the range, and the MPI library is CUDA-aware. All launches have ended, because `timed` waits
    // for them, and the rank launches nothing until the message has passed.
    unsafe { Values::new(start, range.len()) }
}

impl Sharded for ShardedCuda {
    fn device(&mut self) -> &mut dyn Device {
        &mut self.cuda
    }

    fn leaves(&self) -> usize {
        max_leaves(&self.cuda.config, self.cuda.gpu.shape)
    }

    fn division(&self, ranks: usize) -> Division {
        Division::new(self.cuda.gpu.shape, self.cuda.executors.training, ranks)
    }

    fn begin_step(&mut self, ranks: usize) -> Result<Vec<usize>> {
        let cuda = &self.cuda;
        let step = SharedStep::new(&cuda.config, cuda.gpu.shape, &cuda.gpu.dataset, cuda.step, ranks)?;
        let leaves = step.leaves.clone();
        self.step = Some(step);
        Ok(leaves)
    }

    fn sum_subtrees(&mut self, subtrees: &[Range<usize>], slices_len: usize) -> Result<()> {
        match &mut self.copies {
            Some(copies) => copies.reserve(subtrees.len(), slices_len)?,
            None if self.slices.len() < slices_len => self.slices = zeros(slices_len)?,
            None => {}
        }
        let mut step = self.step.take().expect("a step has begun");
        step.subtrees = subtrees.to_vec();
        let summed = if self.is_tiled() { self.sum_tiled(&mut step) } else { self.sum_fused(&mut step) };
        self.step = Some(step);
        summed
    }

    fn subtree(&mut self, i: usize) -> Values {
        let len = self.sum_len();
        if let Some(copies) = &mut self.copies {
            return copies.sum(i);
        }
        if self.is_tiled() {
            return values(if i == 0 { &self.cuda.grads } else { &self.sums[i - 1] }, 0..len);
        }
        let step = self.step.as_ref().expect("a step has begun");
        let first = len * step.shards_of(step.subtrees[i].clone()).start;
        values(&self.cuda.grads, first..first + len)
    }

    fn slices(&mut self) -> Values {
        match &mut self.copies {
            Some(copies) => copies.slices(),
            None => values(&self.slices, 0..self.slices.len()),
        }
    }

    fn add_slices(&mut self, additions: &Additions, total: Range<usize>) -> Result<()> {
        match &mut self.copies {
            Some(copies) => copies.add_slices(additions, &self.cuda.grads, total),
            None => self.add_on_gpu(additions, total),
        }
    }

    fn array(&mut self, array: Array) -> Values {
        let len = self.buffer(array).len();
        match &mut self.copies {
            Some(copies) => copies.array(len),
            None => values(self.buffer(array), 0..len),
        }
    }

    fn fetch(&mut self, array: Array, range: Range<usize>) -> Result<()> {
        let Some(mut copies) = self.copies.take() else { return Ok(()) };
        let fetched = copies.fetch(self.buffer(array), range);
        self.copies = Some(copies);
        fetched
    }

    fn store(&mut self, array: Array, own: Range<usize>) -> Result<()> {
        self.copies.as_ref().map_or(Ok(()), |copies| copies.store(self.buffer(array), own))
    }

    fn losses(&mut self) -> &mut [f32] {
        &mut self.step.as_mut().expect("a step has begun").losses
    }

    fn join(&mut self, share: &StepShare) -> Result<()> {
        let step = self.step.take().expect("a step has begun");
        let joined = self.end_tiled(&step, &[Op::Join], share).map(drop);
        self.step = Some(step);
        joined
    }

    fn end_step(&mut self, share: Option<&StepShare>) -> Result<StepLog> {
        let step = self.step.take().expect("a step has begun");
        let Some(share) = share else { return Ok(self.end_fused(&step)?[0]) };
        let log = self.end_tiled(&step, &[Op::Norm, Op::Update], share)?;
        self.cuda.step += 1;
        Ok(step_logs(&log)[0])
    }
}
