//! Warp-SPMD programming, for kernels that run on a GPU, as SIMD on a CPU, and as WebAssembly, from one source.
//!
//! A *warp* is 32 lanes in lockstep, two half-warps of 16. [`F32x32`] holds one value a lane. [`F32x16`] holds one
//! value for each of 16 channels, and both half-warps hold the same values. On the CPU these types are SIMD vectors of
//! 32 and 16 values. On a GPU each type is one register of a thread. A [`View`] is memory that the warps of a block
//! share. A scalar is the same in all lanes.
//!
//! Work is launched only through closures that end in a barrier. [`Block::each_warp`] ends in the block's barrier,
//! and on a GPU `GridBarrier::phase` ends in the grid's barrier. So no barrier can be forgotten, and all warps reach
//! every barrier. Inside a warp, [`Warp::sync`] stands between a lane's write and another lane's read. The race checker
//! (feature `race-check`) finds a missing call.
//!
//! The values of lanes are types of their own, which no `if` and no loop bound takes. So the control flow of a warp
//! depends on scalars alone. A [`KernelBlock`] takes closures that cannot carry a warp's value out, nor use the block's
//! barriers, so its control flow is the same in all warps. An [`Array`] lives as long as its launch, or as its block uses
//! the shared memory.
//!
//! [`entries!`] declares a kernel, and makes its entries for GPUs and for each instruction set of the CPU. `Cpu` launches
//! it. `docs/kernels-of-your-own.md` is a guide, and the package `simt-examples` has kernels to learn from.
//!
//! The modules `cpu` and `gpu` are the two backends of lanes, memory, and the levels of [`Block`]. `gpu/ptx.rs` holds
//! every instruction that is not plain Rust. `gpu/compiler.rs` holds all that differs between the two compilers that
//! make PTX.
//!
//! The feature `race-check` has every access checked for races and bounds, and is for tests. The crate has no other
//! feature.
//!
//! ```
//! use simt::{AnyCpu, F32x16, Grid, HALF_WARP, View};
//!
//! let mut memory = [1.0f32; 64];
//! // SAFETY: `memory` outlives the launch, and only the launch uses it meanwhile.
//! let view = unsafe { View::new(memory.as_mut_ptr(), memory.len()) };
//! Grid::new(0..1, 1, AnyCpu).each_block(|block| {
//!     block.each_warp(|warp| {
//!         for i in warp.block_stride(64 / HALF_WARP).map(|row| row * HALF_WARP) {
//!             let x = view.load(i);
//!             warp.sync();
//!             view.store(i, x * F32x16::splat(3.0));
//!         }
//!     });
//! });
//! assert_eq!(memory, [3.0; 64]);
//! ```
#![no_std]
#![deny(missing_docs)]
#![feature(core_float_math)]
#![cfg_attr(not(target_arch = "nvptx64"), feature(portable_simd, core_intrinsics))]
#![cfg_attr(target_arch = "nvptx64", feature(asm_experimental_arch, link_llvm_intrinsics))]
#![cfg_attr(all(target_arch = "nvptx64", not(feature = "rust-cuda")), feature(stdarch_nvptx))]
// Kernels index several arrays by one row, because `for t in 0..ROWS` reads like the math.
#![allow(clippy::needless_range_loop)]

#[cfg(not(target_arch = "nvptx64"))]
extern crate std;

// Other targets would compute wrong results. Checkpoints and tokens are little-endian. Views index with 64 bits, except
// on WebAssembly, whose models are small. A 32-bit processor may round intermediate results to 80 bits.
#[cfg(not(any(all(target_pointer_width = "64", target_endian = "little"), target_family = "wasm")))]
compile_error!("microgpt needs a little-endian target of 64 bits, or WebAssembly");

#[macro_use]
mod lanewise;

/// Marks a closure `#[inline(always)]`, as in `inline!(move |warp| ..)`.
///
/// A kernel is inlined whole into its entry, so that all of the kernel is compiled for each instruction set.
#[macro_export]
macro_rules! inline {
    ($($closure:tt)*) => {
        #[inline(always)]
        $($closure)*
    };
}

/// Runs a loop, as in `unroll!(for t in 0..N { .. })`, for a constant `N`.
///
/// The LLVM of Rust-CUDA leaves loops with large bodies as they are, and keeps the arrays that they index in local memory. So
/// that compiler gets the first four turns one after the other. Other compilers get the loop, and unroll it.
#[cfg(feature = "rust-cuda")]
#[macro_export]
macro_rules! unroll {
    (for $i:ident in 0..$n:ident $body:block) => {
        $crate::unroll!($i, $n, $body, 0 1 2 3)
    };
    ($i:ident, $n:ident, $body:block, $($turn:literal)*) => {{
        $(if $turn < $n {
            let $i: usize = $turn;
            $body
        })*
        if 4 < $n {
            for $i in 4..$n $body
        }
    }};
}

/// Runs a loop, as in `unroll!(for t in 0..N { .. })`, for a constant `N`. Rust-CUDA's compiler gets the first four turns one
/// after the other, because it would keep the arrays that the loop indexes in local memory.
#[cfg(not(feature = "rust-cuda"))]
#[macro_export]
macro_rules! unroll {
    (for $i:ident in 0..$n:ident $body:block) => {
        for $i in 0..$n $body
    };
}

#[macro_use]
mod word;

mod array;
mod array2;
mod atomics;
mod block;
mod collective;
mod columns;
#[cfg(not(target_arch = "nvptx64"))]
mod cpu;
mod element;
#[cfg(not(target_arch = "nvptx64"))]
pub mod fma;
#[cfg(any(windows, test))]
mod fmaf;
#[cfg(target_arch = "nvptx64")]
mod gpu;
mod half;
mod index;
mod kernel;
mod kernel_block;
mod lanes;
mod masked;
pub mod math;
mod newton;
#[cfg(not(target_arch = "nvptx64"))]
mod processor;
mod register_tile;
mod space;
mod target;
mod warp;

#[cfg(not(target_arch = "nvptx64"))]
use cpu as backend;
#[cfg(target_arch = "nvptx64")]
use gpu as backend;

pub use array::Array;
pub use array2::Array2;
pub use backend::{BroadcastPairs, Broadcasts, F32x16, F32x32, Mask16, Memory, Staged, U32View, U32x16, View, sqrt};
pub use backend::{F64x32, I32x32, Mask32, U32x32, U64x32};
pub use block::{Block, Grid, PerWarp, RaggedView, Views};
pub use columns::Columns;
#[cfg(not(target_arch = "nvptx64"))]
pub use cpu::AnyCpu;
#[cfg(feature = "race-check")]
pub use cpu::race;
#[cfg(all(target_arch = "nvptx64", feature = "rust-cuda"))]
pub use cuda_std;
pub use element::{Bf16, Element, F16, Scalar};
#[cfg(target_arch = "nvptx64")]
pub use gpu::{GpuGlobal, GpuShared, GridBarrier, launch, read_global, read_launch};
pub use index::{div, half_warps, rem, round_up, sum_half_warps};
pub use kernel::{Argument, CpuEntry, Global, Kernel, Launch, argument_size};
pub use kernel_block::{KernelBlock, PARTS, PerPart};
pub use lanes::Lanes;
pub use newton::{quotient_from_estimate, sqrt_from_estimate};
#[cfg(not(target_arch = "nvptx64"))]
pub use processor::{Arguments, Cpu, cpu_entry};
pub use space::{ConstantMemory, GlobalMemory, SharedMemory, Space, Writable};
pub use target::{AS_ON_GPU, GPU_WARPS, HALF_WARP, Isa, Target, WARP, WARPS, WIDE};
pub use warp::{Share, Strided, Warp, rematerialize};
