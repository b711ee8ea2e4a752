//! Warp-SPMD programming: what the kernels are written in.
//!
//! A *warp* is 32 lanes in lockstep, two half-warps of 16. [`F32x32`] holds one number a lane; [`F32x16`] holds one
//! number for each of 16 channels, which both half-warps know. On the CPU they are SIMD vectors of 32 and 16 numbers; on
//! a GPU each is one register. [`Tile`] is memory that the warps of a block share. A scalar is known to all lanes.
//!
//! What warps share a block of, and blocks a phase of, is launched only through closures that end in the barrier of their level
//! ([`Block::each_warp`], on a GPU `GridBarrier::phase`), so that no barrier is forgotten or reached by half of a block. Inside a
//! warp, [`Warp::sync`] stands between a lane's write and another lane's read: the race checker finds where it is missing.
//!
//! `cpu` and `gpu` are the two machines behind this one interface: lanes, memory, and what the levels of
//! [`Block`] are made of. `gpu/ptx.rs` holds every instruction that is not plain Rust, `gpu/compiler.rs` all
//! that differs between the two compilers that make PTX.

/// The operators of a type of lane values, field by field: `lanewise!(F32x32: 0, 1)`.
macro_rules! lanewise {
    ($type:ident: $($field:tt),+) => {
        lanewise!(Add add $type: $($field),+);
        lanewise!(Sub sub $type: $($field),+);
        lanewise!(Mul mul $type: $($field),+);
        lanewise!(Div div $type: $($field),+);
    };
    ($op:ident $method:ident $type:ident: $($field:tt),+) => {
        impl core::ops::$op for $type {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self($(core::ops::$op::$method(self.$field, other.$field)),+)
            }
        }
    };
}

mod block;
#[cfg(not(target_arch = "nvptx64"))]
mod cpu;
#[cfg(any(target_arch = "wasm32", test))]
mod fma;
#[cfg(target_arch = "nvptx64")]
mod gpu;

#[cfg(not(target_arch = "nvptx64"))]
use cpu as machine;
#[cfg(target_arch = "nvptx64")]
use gpu as machine;

pub use block::{AS_ON_GPU, Block, Grid, Isa, Strided, TOKENS, Target, WARPS, Warp};
#[cfg(not(target_arch = "nvptx64"))]
pub use cpu::AnyCpu;
#[cfg(feature = "race-check")]
pub use cpu::race;
#[cfg(target_arch = "nvptx64")]
pub(crate) use gpu::{GpuGlobal, GpuShared, GridBarrier, kernels, launch, read_global};
pub use machine::{F32x16, F32x32, Ids, Mask16, Memory, Resident, Splats, Tile, U32x16, sqrt};
