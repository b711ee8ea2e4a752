//! The tiled executor on the CPU, whose items are shared by threads.

use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

use gpu_kernels::entry::CpuKernels;
use gpu_kernels::layout::Layout;
use gpu_kernels::shape::Shape;
use gpu_kernels::tiled::items::ItemMemory;
use gpu_kernels::tiled::phases::{JOIN, Op, Phase, each_phase};
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::step::StepArgs;
use gpu_kernels::tiled::work::{Work, WorkArgs};
use simt::{HALF_WARP, View, round_up};

use super::buffer::Buffer;
use super::phase_pool;
use super::shared::{Shared, WORK_PER_THREAD};
use super::shares::Shares;
use crate::device::tiled_rows;
use crate::error::Result;
use crate::stop::StopHandle;

/// The distance of the threads' scratch memories, so that no cache line belongs to two of them.
const SCRATCH_GAP: usize = 64;

/// The memory of the tiled executor.
pub(super) struct Tiled {
    workspace: Buffer,
    scratch: Buffer,
    pub(super) squares: Buffer,
    /// The lists that describe the rows of the step.
    lists: Vec<u32>,
    /// The loss of each of the step's documents.
    losses: Vec<f32>,
}

impl Tiled {
    /// Returns memory for this many sums of squares. The rest is allocated when it is needed.
    pub(super) fn new(squares_len: usize) -> Result<Self> {
        Ok(Self {
            workspace: Buffer::zeros(0)?,
            scratch: Buffer::zeros(0)?,
            squares: Buffer::zeros(squares_len)?,
            lists: Vec::new(),
            losses: Vec::new(),
        })
    }

    /// Takes a training step on these documents, or computes their losses, and returns the documents' losses. If `stop` is
    /// set, it does nothing more, and the losses are meaningless.
    ///
    /// # Safety
    /// The arrays in `args` have the lengths that [`StepArgs`] states, nothing else uses them, `args.log` is valid, and
    /// the processor has the kernels. The other pointers in `args` are not read.
    pub(super) unsafe fn run(
        &mut self,
        kernels: CpuKernels,
        args: StepArgs,
        documents: &[&[u32]],
        stop: &StopHandle,
    ) -> Result<&[f32]> {
        let (shards, documents) = tiled_rows::in_shards(args.shape, documents);
        // SAFETY: the caller keeps the contract.
        unsafe { self.run_shards(kernels, args, shards, documents, stop) }
    }

    /// Computes the sums of the gradients over the documents of a part of a step, and returns the documents' losses. The
    /// documents are those of `shards` shards, from 0 on, each with its shard.
    ///
    /// # Safety
    /// That of [`Self::run`].
    pub(super) unsafe fn run_shards<'a>(
        &mut self,
        kernels: CpuKernels,
        args: StepArgs,
        shards: usize,
        documents: impl Iterator<Item = (usize, &'a [u32])> + Clone,
        stop: &StopHandle,
    ) -> Result<&[f32]> {
        let (shape, trains) = (args.shape, args.trains);
        self.lists.clear();
        let counts = tiled_rows::append_shards(&mut self.lists, shape, shards, documents);
        let count = counts.documents as usize;
        self.losses.resize(round_up(count, HALF_WARP), 0.0);
        self.workspace.grow(StepArgs::workspace_len(shape, counts, trains))?;
        let work = (counts.rows as usize).saturating_mul(Layout(shape).len()) * if trains { 3 } else { 1 };
        let threads = rayon::current_num_threads().min(work / WORK_PER_THREAD).max(1);
        let args = self.with_memory(args, counts, threads);
        let mut phases = Vec::new();
        each_phase(shape.n_layer(), trains, |phase| phases.push(phase));
        if args.is_part {
            phases.retain(|phase| !JOIN.contains(&phase.op));
        }
        // SAFETY: the caller vouches for the arrays, and the other pointers are those of this executor's memory.
        unsafe { self.launch(kernels, args, &phases, None, stop) }?;
        Ok(&self.losses[..count])
    }

    /// Adds the executor's memory to the arguments of a step of this many rows.
    fn with_memory(&mut self, args: StepArgs, counts: RowCounts, threads: usize) -> StepArgs {
        StepArgs {
            workspace: self.workspace.as_mut_ptr(),
            squares: self.squares.as_mut_ptr(),
            lists: self.lists.as_ptr(),
            losses: self.losses.as_mut_ptr(),
            counts,
            threads: threads as u32,
            ..args
        }
    }

    /// Runs ops of [`JOIN`] on a rank's strips of the weights. The step, which several ranks share, has documents with these
    /// losses.
    ///
    /// # Safety
    /// That of [`Self::run`], with [`StepArgs::part_len`] gradients.
    #[cfg(feature = "mpi")]
    pub(super) unsafe fn join(
        &mut self,
        kernels: CpuKernels,
        args: StepArgs,
        losses: &[f32],
        ops: &[Op],
        strips: &Range<usize>,
    ) -> Result<()> {
        let counts = RowCounts { documents: losses.len() as u32, vocab: args.shape.vocab, ..RowCounts::default() };
        self.lists.resize(counts.lists_len(), 0);
        self.losses.resize(round_up(losses.len(), HALF_WARP), 0.0);
        self.losses[..losses.len()].copy_from_slice(losses);
        self.workspace.grow(StepArgs::workspace_len(args.shape, counts, true))?;
        let args = self.with_memory(args, counts, rayon::current_num_threads());
        let phases: Vec<Phase> = ops.iter().map(|&op| Phase { op, layer: 0 }).collect();
        // SAFETY: as in `run_shards`. No op of these phases has a row.
        unsafe { self.launch(kernels, args, &phases, Some(strips), &StopHandle::default()) }
    }

    /// Runs phases, those on strips of the weights for all strips or for these.
    ///
    /// # Safety
    /// The pointers in `args` are valid for the lengths that [`StepArgs`] states, and the processor has the kernels.
    unsafe fn launch(
        &mut self,
        kernels: CpuKernels,
        args: StepArgs,
        phases: &[Phase],
        strips: Option<&Range<usize>>,
        stop: &StopHandle,
    ) -> Result<()> {
        let (threads, mut memory, mut groups) = (args.threads as usize, ItemMemory::default(), Vec::new());
        let mut shares = Shares::new(phases.len(), threads);
        for &phase in phases {
            let mut first = 0;
            groups.clear();
            let add = |len| {
                groups.push(first..first + len);
                first += len;
            };
            // SAFETY: the caller vouches for the pointers.
            memory = memory.max(unsafe { args.item_memory(phase, add) });
            match strips {
                Some(strips) if matches!(phase.op, Op::Join | Op::Update) => shares.push(slice::from_ref(strips)),
                _ => shares.push(&groups),
            }
        }
        self.scratch.grow(threads * scratch_len(memory))?;
        let scratch = Shared(self.scratch.as_mut_ptr());
        // SAFETY: the caller vouches for the arrays and for the instruction set.
        unsafe { run_phases(kernels, Shared(args), phases, &shares, scratch, memory, stop) };
        Ok(())
    }

    /// Returns the summed loss of each of these documents.
    ///
    /// # Safety
    /// That of [`Self::run`].
    pub(super) unsafe fn evaluate(
        &mut self,
        kernels: CpuKernels,
        args: StepArgs,
        documents: &[&[u32]],
        stop: &StopHandle,
    ) -> Result<Vec<f32>> {
        let (mut losses, mut log) = (Vec::with_capacity(documents.len()), [0.0f32; 2]);
        let args = StepArgs { trains: false, log: log.as_mut_ptr(), ..args };
        for documents in tiled_rows::evaluation_passes(args.shape, documents) {
            // SAFETY: the caller keeps the contract.
            losses.extend_from_slice(unsafe { self.run(kernels, args, documents, stop)? });
        }
        Ok(losses)
    }
}

/// Returns the number of elements of a thread's scratch memory.
fn scratch_len(memory: ItemMemory) -> usize {
    memory.total().next_multiple_of(SCRATCH_GAP) + SCRATCH_GAP
}

/// Runs phases with their items, until `stop` is set. Each thread has its part of the scratch memory.
///
/// # Safety
/// The pointers in `args` are valid for the lengths that [`StepArgs`] states, `scratch` has [`scratch_len`] elements for
/// each thread, and the processor has the kernels.
unsafe fn run_phases(
    kernels: CpuKernels,
    args: Shared<StepArgs>,
    phases: &[Phase],
    shares: &Shares,
    scratch: Shared<*mut f32>,
    memory: ItemMemory,
    stop: &StopHandle,
) {
    let len = scratch_len(memory);
    let (args, scratch, is_cut) = (&args, &scratch, AtomicBool::new(false));
    phase_pool::each_phase(phases.len(), shares.threads, |i, thread| {
        let phase = phases[i];
        // A stop leaves phases incomplete, up to the last one before the report and the update. Then no thread updates
        // weights, on which all threads agree, because the flag changes in neither of the last two phases.
        let ends_step = matches!(phase.op, Op::Norm | Op::Update);
        if ends_step && is_cut.load(Ordering::Relaxed) {
            return;
        }
        // SAFETY: the caller vouches for the scratch memory of each thread.
        let scratch = unsafe { View::new(scratch.0.wrapping_add(thread * len), len) };
        let work = WorkArgs { work: Work::Step(args.0, phase), scratch, memory };
        for item in shares.taken_by(i, thread) {
            if !ends_step && stop.is_stopped() {
                is_cut.store(true, Ordering::Relaxed);
                return;
            }
            // SAFETY: the caller vouches for pointers and kernels. The items of a phase are independent.
            unsafe { kernels.tiled(&work, item..item + 1, shares.end(i)) };
        }
    });
}
