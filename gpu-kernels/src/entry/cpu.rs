//! The kernels on the CPU: one compilation for each instruction set.

use core::ops::Range;

use crate::args::{BatchArgs, EvaluateArgs, GenerateArgs, TrainArgs};
use crate::shape::{ConstShape, DefaultShape, Shape};
use crate::simt::{Grid, Isa, Target};
use crate::train::batch::Phase;

/// The kernels compiled for one instruction set.
#[derive(Clone, Copy)]
pub struct Kernels {
    isa: Isa,
    train: unsafe fn(&TrainArgs),
    train_batch: unsafe fn(&BatchArgs, Phase, usize, Range<usize>, usize),
    evaluate: unsafe fn(&EvaluateArgs, Range<usize>, usize),
    generate: unsafe fn(&GenerateArgs, Range<usize>, usize),
}

impl Kernels {
    /// The instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// [`crate::train::train`] in one block.
    ///
    /// # Safety
    /// As for the kernel; the processor has the instruction set.
    pub unsafe fn train(&self, args: &TrainArgs) {
        // SAFETY: the caller vouches for both.
        unsafe { (self.train)(args) }
    }

    /// A phase of step `step` of [`crate::train::batch::train_batch`] for the blocks `blocks` of a grid of `count`.
    ///
    /// # Safety
    /// As for [`Self::train`].
    pub unsafe fn train_batch(&self, args: &BatchArgs, phase: Phase, step: usize, blocks: Range<usize>, count: usize) {
        // SAFETY: the caller vouches for both.
        unsafe { (self.train_batch)(args, phase, step, blocks, count) }
    }

    /// [`crate::evaluate::evaluate`] for the blocks `blocks` of a grid of `count`.
    ///
    /// # Safety
    /// As for [`Self::train`].
    pub unsafe fn evaluate(&self, args: &EvaluateArgs, blocks: Range<usize>, count: usize) {
        // SAFETY: the caller vouches for both.
        unsafe { (self.evaluate)(args, blocks, count) }
    }

    /// [`crate::generate::generate`] for the blocks `blocks` of a grid of `count`.
    ///
    /// # Safety
    /// As for [`Self::train`].
    pub unsafe fn generate(&self, args: &GenerateArgs, blocks: Range<usize>, count: usize) {
        // SAFETY: the caller vouches for both.
        unsafe { (self.generate)(args, blocks, count) }
    }
}

macro_rules! kernels {
    ($(#[$attribute:meta])* $module:ident, $isa:expr, constant: $constant:literal) => {
        /// The kernels for one instruction set.
        mod $module {
            use super::{
                BatchArgs, ConstShape, DefaultShape, EvaluateArgs, GenerateArgs, Grid, Isa, Kernels, Phase, Range, Shape,
                Target, TrainArgs,
            };

            const DEFAULT: DefaultShape = ConstShape;

            #[derive(Clone, Copy)]
            struct Processor;

            // SAFETY: only the entries below have it, whose callers vouch for the instruction set.
            unsafe impl Target for Processor {
                const ISA: Isa = $isa;

                #[inline(always)]
                fn region(self, work: impl FnOnce()) {
                    $(#[$attribute])*
                    #[inline(never)]
                    unsafe fn outlined(work: impl FnOnce()) {
                        work();
                    }
                    // SAFETY: only the entries below run regions, which are called where there is this instruction set.
                    unsafe { outlined(work) }
                }
            }

            pub const KERNELS: Kernels = Kernels { isa: $isa, train, train_batch, evaluate, generate };

            $(#[$attribute])*
            unsafe fn train(args: &TrainArgs) {
                let grid = Grid::new(0..1, 1, Processor);
                // SAFETY: the caller keeps the kernel's contract.
                unsafe {
                    if $constant && args.shape == DEFAULT.to_runtime() {
                        crate::train::train(&grid, DEFAULT, args);
                    } else {
                        crate::train::train(&grid, args.shape, args);
                    }
                }
            }

            $(#[$attribute])*
            unsafe fn train_batch(args: &BatchArgs, phase: Phase, step: usize, blocks: Range<usize>, count: usize) {
                let grid = Grid::new(blocks, count, Processor);
                // SAFETY: the caller keeps the kernel's contract.
                unsafe {
                    if $constant && args.train.shape == DEFAULT.to_runtime() {
                        crate::train::batch::train_batch(&grid, DEFAULT, args, phase, step);
                    } else {
                        crate::train::batch::train_batch(&grid, args.train.shape, args, phase, step);
                    }
                }
            }

            $(#[$attribute])*
            unsafe fn evaluate(args: &EvaluateArgs, blocks: Range<usize>, count: usize) {
                let grid = Grid::new(blocks, count, Processor);
                // SAFETY: the caller keeps the kernel's contract.
                unsafe {
                    if $constant && args.shape == DEFAULT.to_runtime() {
                        crate::evaluate::evaluate(&grid, DEFAULT, args);
                    } else {
                        crate::evaluate::evaluate(&grid, args.shape, args);
                    }
                }
            }

            $(#[$attribute])*
            unsafe fn generate(args: &GenerateArgs, blocks: Range<usize>, count: usize) {
                let grid = Grid::new(blocks, count, Processor);
                // SAFETY: the caller keeps the kernel's contract.
                unsafe {
                    if $constant && args.shape == DEFAULT.to_runtime() {
                        crate::generate::generate(&grid, DEFAULT, args);
                    } else {
                        crate::generate::generate(&grid, args.shape, args);
                    }
                }
            }
        }
    };
}

#[cfg(all(target_arch = "x86_64", not(feature = "race-check")))]
kernels!(#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")] avx512, Isa::Avx512, constant: true);
#[cfg(all(target_arch = "x86_64", not(feature = "race-check")))]
kernels!(#[target_feature(enable = "avx2,fma")] avx2, Isa::Avx2, constant: true);
// Without fused multiply-add each one is a call: constants would not make it fast, and the compiler slow.
#[cfg(target_arch = "x86_64")]
kernels!(baseline, Isa::Baseline, constant: false);
#[cfg(not(target_arch = "x86_64"))]
kernels!(baseline, Isa::Baseline, constant: true);

/// The instruction sets that this crate is compiled for, the fastest first.
#[cfg(all(target_arch = "x86_64", not(feature = "race-check")))]
pub const ALL: [Kernels; 3] = [avx512::KERNELS, avx2::KERNELS, baseline::KERNELS];
/// The instruction sets that this crate is compiled for; under the race checker, where each access is a call, only one.
#[cfg(any(not(target_arch = "x86_64"), feature = "race-check"))]
pub const ALL: [Kernels; 1] = [baseline::KERNELS];
