//! The kernels on a GPU: the entries of the PTX. Each takes its argument struct by value.
//!
//! `train` is for the default shape, its arrays in shared memory; `train_shared` for any shape whose arrays fit there;
//! `train_global` for every other. So are the others.

use crate::args::{BatchArgs, EvaluateArgs, GenerateArgs, ReplicasArgs, TrainArgs};
use crate::shape::{ConstShape, DefaultShape, Shape};
use crate::simt::{GpuGlobal, GpuShared, Grid, GridBarrier, Target, kernels, launch, read_global};
use crate::train::batch::{Phase, groups, train_batch as train_phase};

const DEFAULT: DefaultShape = ConstShape;

macro_rules! entries {
    ($args:ident, $kernel:path, $shape:expr; $default:ident, $shared:ident, $global:ident) => {
        entries!($args, $kernel, GpuShared, |_: &$args| DEFAULT; $default, "The kernel for the default shape.");
        entries!($args, $kernel, GpuShared, $shape; $shared, "The kernel for any shape whose arrays fit in shared memory.");
        entries!($args, $kernel, GpuGlobal, $shape; $global, "The kernel for any shape, its arrays in global memory.");
    };
    ($args:ident, $kernel:path, $target:expr, $shape:expr; $name:ident, $doc:literal) => {
        /// In a module of its own, so that compilers can take the kernels side by side.
        mod $name {
            use super::*;

            kernels! {
                #[doc = $doc]
                ///
                /// # Safety
                /// As for the kernel itself; the launch has the shared memory that its arrays take, if any.
                pub unsafe fn $name(args: $args) {
                    // SAFETY: the host keeps the kernel's contract.
                    unsafe { $kernel($target, ($shape)(&args), &args) }
                }
            }
        }
    };
}

// The build script has rustc compile two parts at the same time, its `PARTS`.
#[cfg(not(part = "documents"))]
entries!(ReplicasArgs, replicas, |args: &ReplicasArgs| args.shape; train, train_shared, train_global);
#[cfg(not(part = "models"))]
entries!(BatchArgs, batch, |args: &BatchArgs| args.train.shape; train_batch, train_batch_shared, train_batch_global);
#[cfg(not(part = "models"))]
entries!(EvaluateArgs, evaluation, |args: &EvaluateArgs| args.shape; evaluate, evaluate_shared, evaluate_global);
#[cfg(not(part = "documents"))]
entries!(GenerateArgs, generation, |args: &GenerateArgs| args.shape; generate, generate_shared, generate_global);

/// The thread's block as a grid of its own kind.
#[inline(always)]
fn own_block<T: Target>(target: T) -> Grid<T> {
    let (block, blocks) = launch();
    Grid::new(block..block + 1, blocks, target)
}

#[inline(always)]
unsafe fn evaluation<T: Target, S: Shape>(target: T, s: S, args: &EvaluateArgs) {
    // SAFETY: the caller keeps the kernel's contract.
    unsafe { crate::evaluate::evaluate(&own_block(target), s, args) }
}

#[inline(always)]
unsafe fn generation<T: Target, S: Shape>(target: T, s: S, args: &GenerateArgs) {
    // SAFETY: the caller keeps the kernel's contract.
    unsafe { crate::generate::generate(&own_block(target), s, args) }
}

/// A model in each block.
#[inline(always)]
unsafe fn replicas<T: Target, S: Shape>(target: T, s: S, args: &ReplicasArgs) {
    let (block, _) = launch();
    // SAFETY: the caller vouches for an entry a block. Steps and shape, on which the flow of control depends, are known to be
    // the same in all lanes if they come from the launch.
    let model = TrainArgs { steps: args.steps, shape: args.shape, ..unsafe { read_global(args.models.add(block)) } };
    // SAFETY: the caller keeps the kernel's contract.
    unsafe { crate::train::train(&Grid::new(0..1, 1, target), s, &model) }
}

/// The phases of every step with a barrier of the grid after each. A block takes several groups of documents where a device
/// cannot hold a block for each.
#[inline(always)]
unsafe fn batch<T: Target, S: Shape>(target: T, s: S, args: &BatchArgs) {
    let (block, blocks) = launch();
    let groups = groups(args.batch as usize);
    // SAFETY: the host has zeroed the counter, and launches no more blocks than the device holds at once.
    let mut barrier = unsafe { GridBarrier::new(args.barrier, blocks) };
    let mut own = *args;
    own.train.workspace = args.train.workspace.wrapping_add(block * args.workspace_stride as usize);
    for step in 0..args.train.steps as usize {
        barrier.phase(
            #[inline(always)]
            || {
                for group in (block..groups).step_by(blocks) {
                    let grid = Grid::new(group..group + 1, groups, target);
                    // SAFETY: the caller keeps the kernel's contract.
                    unsafe { train_phase(&grid, s, &own, Phase::Gradients, step) };
                }
            },
        );
        barrier.phase(
            #[inline(always)]
            // SAFETY: the caller keeps the kernel's contract.
            || unsafe { train_phase(&own_block(target), s, &own, Phase::Reduce, step) },
        );
        barrier.phase(
            #[inline(always)]
            // SAFETY: the caller keeps the kernel's contract.
            || unsafe { train_phase(&own_block(target), s, &own, Phase::Update, step) },
        );
    }
}
