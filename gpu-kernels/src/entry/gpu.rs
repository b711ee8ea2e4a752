//! The kernels on a GPU, the entries of the PTX. Each entry takes its argument struct by value.
//!
//! `train` is compiled for the default shape, and its arrays lie in shared memory. `train_shared` takes any shape whose
//! arrays fit in shared memory, and `train_global` every other shape. The other kernels of the fused
//! executor have the same three entries. Each entry of the tiled executor takes any shape.

use simt::{GpuGlobal, GpuShared, Grid, GridBarrier, Target, inline, launch, ptx_entries, read_global, read_launch};

use crate::evaluate::EvaluateArgs;
use crate::generate::GenerateArgs;
use crate::kernel::Kernel;
use crate::part::{AddArgs, BatchLaunchArgs, StepPart};
use crate::shape::{ConstShape, DefaultShape, ExpandedShape, RuntimeShape, Shape};
use crate::tiled::launch::{PhaseArgs as TiledPhaseArgs, ProductsArgs};
use crate::train::batch::{BatchArgs, GradientArrays, Phase, PhaseArgs, shards};
use crate::train::held_batch::{HeldBatch, are_held};
use crate::train::{TrainArgs, TrainModelsArgs};

const DEFAULT: DefaultShape = ConstShape;

/// Defines the three entries of a kernel.
macro_rules! entries {
    ($args:ident: $default:ident, $shared:ident, $global:ident) => {
        entries!($args, GpuShared, |_: &$args| DEFAULT; $default, "Runs the kernel for the default shape.");
        entries!($args, GpuShared, |args: &$args| ExpandedShape::from(args.shape); $shared, "Runs the kernel for a shape whose arrays fit in shared memory.");
        entries!($args, GpuGlobal, |args: &$args| ExpandedShape::from(args.shape); $global, "Runs the kernel for any shape, its arrays in global memory.");
    };
    ($args:ident, $target:expr, $shape:expr; $name:ident, $doc:literal) => {
        /// An entry in its own module, so that the kernels can be compiled in parallel.
        mod $name {
            use super::*;

            ptx_entries! {
                #[doc = $doc]
                ///
                /// # Safety
                /// The conditions of [`Kernel::run`] hold, and the launch has the shared memory that the entry's arrays
                /// take, if any.
                pub unsafe fn $name(args: $args) {
                    let (block, blocks) = read_launch();
                    // SAFETY: the host keeps the contract of `Kernel::run`.
                    unsafe { args.run(&Grid::new(block..block + 1, blocks, $target), ($shape)(&args)) }
                }
            }
        }
    };
}

// The build script has rustc compile the parts in parallel.
#[cfg(not(any(part = "documents", part = "tiled")))]
entries!(TrainModelsArgs: train, train_shared, train_global);
#[cfg(not(any(part = "models", part = "tiled")))]
entries!(BatchLaunchArgs: train_batch, train_batch_shared, train_batch_global);
#[cfg(not(any(part = "models", part = "tiled")))]
entries!(EvaluateArgs: evaluate, evaluate_shared, evaluate_global);
#[cfg(not(any(part = "documents", part = "tiled")))]
entries!(GenerateArgs: generate, generate_shared, generate_global);

/// Defines the entries of the tiled executor, each with the phases that it computes.
macro_rules! tiled_entries {
    ($($(#[$doc:meta])* $name:ident: $args:ident, $target:expr, $run:ident;)*) => {$(
        mod $name {
            use super::*;

            ptx_entries! {
                $(#[$doc])*
                ///
                /// # Safety
                /// The conditions of the arguments' function hold, and the launch has the shared memory of an item, if the
                /// entry uses any.
                pub unsafe fn $name(args: $args) {
                    let (block, blocks) = launch();
                    // SAFETY: the host keeps the contract.
                    unsafe { args.$run(&Grid::new(block..block + 1, blocks, $target)) }
                }
            }
        }
    )*};
}

#[cfg(not(any(part = "models", part = "documents")))]
tiled_entries! {
    /// Computes a product of the forward pass.
    tiled_forward: ProductsArgs, GpuShared, forward;
    /// Computes the products of a phase of the backward pass.
    tiled_backward: ProductsArgs, GpuShared, backward;
    /// Computes attention, forward or backward.
    tiled_attention: TiledPhaseArgs, GpuShared, attention;
    /// Computes attention of heads that are too wide for shared memory.
    tiled_attention_global: TiledPhaseArgs, GpuGlobal, attention;
    /// Computes the other phases.
    tiled_rows: TiledPhaseArgs, GpuShared, rows;
    /// Adds two arrays of gradients.
    add: AddArgs, GpuGlobal, run;
}

impl Kernel for TrainModelsArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape.to_runtime()
    }

    /// Trains a model in each block.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            // SAFETY: the caller vouches for the arguments of each block's model.
            let read = || unsafe { read_global(self.models.add(block.index)) };
            let model = read();
            // Steps and shape come from the launch's arguments, which are warp-uniform to the compiler. Control flow
            // depends on both.
            let model = TrainArgs { steps: self.steps, shape: self.shape(), ..model };
            // SAFETY: the caller keeps the contract of `Kernel::run`.
            unsafe { model.train(&block.as_block(0, 1), s, read) };
        }));
    }
}

impl Kernel for BatchLaunchArgs {
    fn shape(&self) -> RuntimeShape {
        self.shape.to_runtime()
    }

    /// Runs the phases of every step, with a grid barrier after each phase. A block takes several shards if the device
    /// cannot hold a block for each shard.
    #[inline(always)]
    unsafe fn run<T: Target, S: Shape>(&self, grid: &Grid<T>, s: S) {
        grid.each_block(inline!(|block| {
            let (mut batch, part) = (self.batch, self.part);
            let shards = shards(batch.batch as usize);
            let arrays = GradientArrays::new(shards, 1);
            // SAFETY: the host has zeroed the counter, and launches no more blocks than the device holds at once.
            let mut barrier = unsafe { GridBarrier::new(batch.barrier) };
            let workspace = block.index * batch.workspace_stride as usize;
            batch.train.workspace = batch.train.workspace.wrapping_add(workspace);
            if are_held(s) {
                // SAFETY: the caller keeps the contract of `Kernel::run`.
                let mut steps = unsafe { HeldBatch::new(block, s, self, batch.train.workspace) };
                for step in (0..batch.train.steps).map(|step| step as usize) {
                    barrier.phase(inline!(|| steps.gradients(block, step)));
                    if part.arrays > 0 {
                        barrier.phase(inline!(|| steps.sum(block, step)));
                    }
                    if part.updates > 0 {
                        steps.update(block, step);
                    }
                }
                steps.release(block);
                return;
            }
            // Values that follow from the arguments, such as the tree over the arrays, would take registers during all phases.
            let hide = |x: u32| s.rematerialize_index(x as usize) as u32;
            let shard = |i: usize| block.as_block(s.rematerialize_index(part.first_shard as usize + i), shards);
            let share = || block.as_block(read_launch().0, read_launch().1);
            let reduce = || {
                let (arrays, documents) = (hide(part.arrays), hide(part.documents));
                StepPart { arrays, documents, ..part }.reduce()
            };
            // Indices have 32 bits, because those of 64 would take two registers during all phases.
            for step in (0..batch.train.steps).map(|step| step as usize) {
                let phase = |phase| {
                    let batch = BatchArgs { batch: hide(batch.batch), ..batch };
                    PhaseArgs { batch, arrays, phase, step: s.rematerialize_index(step) }
                };
                barrier.phase(inline!(|| {
                    let mut i = read_launch().0 as u32;
                    while i < part.shards {
                        // SAFETY: the caller keeps the contract of `Kernel::run`.
                        unsafe { phase(Phase::Gradients).run(&shard(i as usize), s) };
                        i += read_launch().1 as u32;
                    }
                }));
                if part.arrays > 0 {
                    // SAFETY: the caller keeps the contract of `Kernel::run`.
                    barrier.phase(inline!(|| unsafe { phase(reduce()).run(&share(), s) }));
                }
                if part.updates > 0 {
                    // SAFETY: the caller keeps the contract of `Kernel::run`.
                    barrier.phase(inline!(|| unsafe { phase(Phase::Update).run(&share(), s) }));
                }
            }
        }));
    }
}
