//! The tiled executor on a GPU, where each phase of a step is a launch.

use std::ops::Range;

use cust::function::Function;
use cust::memory::DeviceBuffer;
use cust::stream::Stream;
use gpu_kernels::ops::adamw::StepCoefficients;
use gpu_kernels::shape::{RuntimeShape, Shape};
use gpu_kernels::tiled::launch::{PhaseArgs, ProductsArgs};
#[cfg(feature = "mpi")]
use gpu_kernels::tiled::phases::JOIN;
use gpu_kernels::tiled::phases::{Op, Phase, each_phase};
use gpu_kernels::tiled::rows::RowCounts;
use gpu_kernels::tiled::squares::squares_len;
use gpu_kernels::tiled::staging::STAGED_LEN;
use gpu_kernels::tiled::step::{StepArgs, staging_len};
use simt::{GPU_WARPS, HALF_WARP};

use super::super::marshal::LOG_LEN;
use super::super::tiled_rows;
use super::gpu::Gpu;
use super::kernels::{CudaKernels, Kernel, LaunchArgs};
use super::memory::{download, pointer, upload, zeros};
use crate::error::Result;

/// The memory of the tiled executor, which grows with the rows of a step.
pub(super) struct Tiled {
    workspace: DeviceBuffer<f32>,
    scratch: DeviceBuffer<f32>,
    pub(super) squares: DeviceBuffer<f32>,
}

/// The documents of a step, and its coefficients. An evaluation has none.
pub(super) struct TiledStep<'a> {
    pub(super) documents: &'a [&'a [u32]],
    pub(super) coefficients: StepCoefficients,
}

/// The lists and the losses of steps, which go to the device together.
#[derive(Default)]
struct Batch {
    lists: Vec<u32>,
    /// The losses before the launches.
    losses: Vec<f32>,
    steps: Vec<PlannedStep>,
}

/// A step with the places of its lists and of its losses.
struct PlannedStep {
    first_list: usize,
    first_loss: usize,
    counts: RowCounts,
    coefficients: StepCoefficients,
}

impl Batch {
    /// Adds a step with these numbers of rows, whose lists have been appended from `first_list` on.
    fn push(&mut self, first_list: usize, counts: RowCounts, coefficients: StepCoefficients) {
        let first_loss = self.losses.len();
        self.losses.resize(first_loss + (counts.documents as usize).next_multiple_of(HALF_WARP), 0.0);
        self.steps.push(PlannedStep { first_list, first_loss, counts, coefficients });
    }
}

impl Tiled {
    pub(super) fn new(shape: RuntimeShape) -> Result<Self> {
        Ok(Self { workspace: zeros(0)?, scratch: zeros(0)?, squares: zeros(squares_len(shape))? })
    }

    /// Takes steps, or computes the losses of documents, and returns the log and the losses of each step's documents.
    ///
    /// # Safety
    /// The arrays in `args` are on the device with the lengths that [`StepArgs`] states, and nothing else uses them. The
    /// other pointers in `args` are not read. Documents have two tokens or more, all below V.
    pub(super) unsafe fn run(
        &mut self,
        gpu: &Gpu,
        args: StepArgs,
        steps: &[TiledStep],
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut batch = Batch::default();
        for step in steps {
            let first = batch.lists.len();
            let counts = tiled_rows::append(&mut batch.lists, gpu.shape, step.documents);
            batch.push(first, counts, step.coefficients);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { self.launch(gpu, args, &batch, &phases(gpu.shape, args.trains), None) }
    }

    /// Computes the sums of the gradients over the documents of a part of a step, and returns the documents' losses. The
    /// documents are those of `shards` shards, from 0 on, each with its shard.
    ///
    /// # Safety
    /// That of [`Self::run`].
    #[cfg(feature = "mpi")]
    pub(super) unsafe fn run_shards<'a>(
        &mut self,
        gpu: &Gpu,
        args: StepArgs,
        shards: usize,
        documents: impl Iterator<Item = (usize, &'a [u32])> + Clone,
    ) -> Result<Vec<f32>> {
        let mut batch = Batch::default();
        let counts = tiled_rows::append_shards(&mut batch.lists, gpu.shape, shards, documents);
        batch.push(0, counts, args.coefficients);
        let mut phases = phases(gpu.shape, true);
        phases.retain(|phase| !JOIN.contains(&phase.op));
        // SAFETY: the caller keeps the contract.
        let (_, mut losses) = unsafe { self.launch(gpu, args, &batch, &phases, None) }?;
        losses.truncate(counts.documents as usize);
        Ok(losses)
    }

    /// Runs ops of [`JOIN`] on a rank's strips of the weights, and returns the log. The step, which several ranks share, has
    /// documents with these losses.
    ///
    /// # Safety
    /// That of [`Self::run`], with [`StepArgs::part_len`] gradients.
    #[cfg(feature = "mpi")]
    pub(super) unsafe fn join(
        &mut self,
        gpu: &Gpu,
        args: StepArgs,
        losses: &[f32],
        ops: &[Op],
        strips: &Range<usize>,
    ) -> Result<Vec<f32>> {
        let counts = RowCounts { documents: losses.len() as u32, vocab: gpu.shape.vocab, ..RowCounts::default() };
        let mut batch = Batch { lists: vec![0; counts.lists_len()], ..Batch::default() };
        batch.push(0, counts, args.coefficients);
        batch.losses[..losses.len()].copy_from_slice(losses);
        let phases: Vec<Phase> = ops.iter().map(|&op| Phase { op, layer: 0 }).collect();
        // SAFETY: the caller keeps the contract. No op of these phases has a row.
        let (log, _) = unsafe { self.launch(gpu, args, &batch, &phases, Some(strips)) }?;
        Ok(log)
    }

    /// Launches these phases of every step, those on strips of the weights for all strips or for these. Returns the log and
    /// the losses.
    ///
    /// # Safety
    /// That of [`Self::run`].
    unsafe fn launch(
        &mut self,
        gpu: &Gpu,
        args: StepArgs,
        Batch { lists, losses, steps }: &Batch,
        phases: &[Phase],
        strips: Option<&Range<usize>>,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let kernels = Kernels::new(&gpu.kernels, gpu.shape)?;
        let workspace_len = |step: &PlannedStep| StepArgs::workspace_len(gpu.shape, step.counts, args.trains);
        let workspace = steps.iter().map(workspace_len).max().unwrap_or(0);
        if self.workspace.len() < workspace {
            self.workspace = zeros(workspace)?;
        }
        let (lists, losses, log) = (upload(lists)?, upload(losses)?, zeros::<f32>(LOG_LEN * steps.len())?);
        let mut launches = Vec::with_capacity(steps.len() * phases.len());
        for (i, step) in steps.iter().enumerate() {
            let args = StepArgs {
                workspace: pointer(&self.workspace, workspace),
                squares: pointer(&self.squares, self.squares.len()),
                lists: pointer(&lists, lists.len()).wrapping_add(step.first_list),
                log: pointer(&log, log.len()).wrapping_add(LOG_LEN * i),
                losses: pointer(&losses, losses.len()).wrapping_add(step.first_loss),
                counts: step.counts,
                coefficients: step.coefficients,
                threads: gpu.kernels.multiprocessors() as u32,
                ..args
            };
            // SAFETY: the caller vouches for the arrays, and the other pointers are those of this function's memory.
            launches.extend(phases.iter().map(|&phase| unsafe { Launch::new(args, phase, &kernels, strips) }));
        }
        let scratch = launches.iter().map(|launch| launch.scratch_len(&kernels)).max().unwrap_or(0);
        if self.scratch.len() < scratch {
            self.scratch = zeros(scratch)?;
        }
        let scratch = pointer(&self.scratch, scratch);
        gpu.timed("tiled", |stream| {
            launches.iter().zip(phases.iter().cycle()).try_for_each(|(launch, phase)| {
                // SAFETY: the caller vouches for the arrays. The phases follow each other in the stream, and `timed` waits.
                let run = || unsafe { launch.run(&kernels, stream, scratch) };
                gpu.launch_times.around(launch.kernel(&kernels), Some(phase.op), stream, run)
            })
        })?;
        Ok((download(&log, 0..log.len())?, download(&losses, 0..losses.len())?))
    }
}

/// Returns the phases of a step, or of an evaluation.
fn phases(shape: RuntimeShape, trains: bool) -> Vec<Phase> {
    let mut phases = Vec::new();
    each_phase(shape.n_layer(), trains, |phase| phases.push(phase));
    phases
}

/// A kernel and its compiled form.
type Compiled<'a, A> = (Kernel<A>, Function<'a>);

/// The kernels, with the shared memory of their blocks.
struct Kernels<'a> {
    forward: Compiled<'a, ProductsArgs>,
    backward: Compiled<'a, ProductsArgs>,
    attention: Compiled<'a, PhaseArgs>,
    rows: Compiled<'a, PhaseArgs>,
}

impl<'a> Kernels<'a> {
    fn new(kernels: &'a CudaKernels, shape: RuntimeShape) -> Result<Self> {
        let staging = |op| staging_len(op, shape, shape.block_size(), GPU_WARPS);
        Ok(Self {
            forward: compiled(kernels, "tiled_forward", None, STAGED_LEN)?,
            backward: compiled(kernels, "tiled_backward", None, STAGED_LEN)?,
            attention: compiled(kernels, "tiled_attention", Some("tiled_attention_global"), staging(Op::Attention))?,
            rows: compiled(kernels, "tiled_rows", None, staging(Op::EmbedBackward))?,
        })
    }
}

/// Returns a kernel whose blocks stage this many elements.
fn compiled<'a, A: LaunchArgs>(
    kernels: &'a CudaKernels,
    name: &str,
    global: Option<&str>,
    staging: usize,
) -> Result<Compiled<'a, A>> {
    let kernel = kernels.staging(name, global, staging);
    let function = kernels.compiled(&kernel)?;
    Ok((kernel, function))
}

/// The launch of a phase, with its number of blocks. Its arguments lack the pointer to scratch memory.
enum Launch {
    Forward(ProductsArgs, usize),
    Backward(ProductsArgs, usize),
    Attention(PhaseArgs, usize),
    Rows(PhaseArgs, usize),
}

impl Launch {
    /// Returns the launch of a phase. One on strips of the weights has a block for each of all strips, or of these.
    ///
    /// # Safety
    /// The pointers in `step` are valid on the device for the lengths that its docs state.
    unsafe fn new(step: StepArgs, phase: Phase, kernels: &Kernels, strips: Option<&Range<usize>>) -> Self {
        // SAFETY: the caller keeps the contract.
        if let Some((args, blocks)) = unsafe { ProductsArgs::new(&step, phase) } {
            return if phase.op.is_forward() { Self::Forward(args, blocks) } else { Self::Backward(args, blocks) };
        }
        // SAFETY: the caller keeps the contract.
        let blocks = unsafe { step.items_without_products(phase) };
        let scratch = std::ptr::null_mut();
        if phase.op.is_attention() {
            let staging = kernels.attention.0.staging() as u64;
            Self::Attention(PhaseArgs { step, phase, scratch, staging, first_item: 0 }, blocks)
        } else {
            let staging = kernels.rows.0.staging() as u64;
            let strips = strips.filter(|_| matches!(phase.op, Op::Join | Op::Update));
            let items = strips.cloned().unwrap_or(0..blocks);
            let first_item = items.start as u64;
            Self::Rows(PhaseArgs { step, phase, scratch, staging, first_item }, items.len())
        }
    }

    /// Returns the kernel's name.
    fn kernel<'a>(&self, kernels: &'a Kernels) -> &'a str {
        match self {
            Self::Forward(..) => &kernels.forward.0.name,
            Self::Backward(..) => &kernels.backward.0.name,
            Self::Attention(..) => &kernels.attention.0.name,
            Self::Rows(..) => &kernels.rows.0.name,
        }
    }

    /// Returns the number of elements of scratch memory.
    fn scratch_len(&self, kernels: &Kernels) -> usize {
        match self {
            Self::Forward(args, blocks) | Self::Backward(args, blocks) => args.memory.partial * blocks,
            // Attention has a workspace if it is too large for shared memory.
            Self::Attention(_, blocks) => kernels.attention.0.workspace * blocks,
            Self::Rows(..) => 0,
        }
    }

    /// Launches the phase.
    ///
    /// # Safety
    /// That of [`Kernel::launch`], with `scratch` of [`Self::scratch_len`] elements.
    unsafe fn run(&self, kernels: &Kernels, stream: &Stream, scratch: *mut f32) -> Result<()> {
        // SAFETY: the caller keeps the contract.
        unsafe {
            match *self {
                Self::Forward(args, blocks) => {
                    launch(&kernels.forward, stream, blocks, ProductsArgs { scratch, ..args })
                }
                Self::Backward(args, blocks) => {
                    launch(&kernels.backward, stream, blocks, ProductsArgs { scratch, ..args })
                }
                Self::Attention(args, blocks) => {
                    launch(&kernels.attention, stream, blocks, PhaseArgs { scratch, ..args })
                }
                Self::Rows(args, blocks) => launch(&kernels.rows, stream, blocks, PhaseArgs { scratch, ..args }),
            }
        }
    }
}

/// Launches a kernel.
///
/// # Safety
/// That of [`Kernel::launch`].
unsafe fn launch<A: LaunchArgs>(
    (kernel, function): &Compiled<'_, A>,
    stream: &Stream,
    blocks: usize,
    args: A,
) -> Result<()> {
    // SAFETY: the caller keeps the contract.
    unsafe { kernel.launch(function, stream, blocks, args) }
}
