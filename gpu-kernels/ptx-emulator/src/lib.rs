//! A CUDA driver that executes PTX on the CPU, checks what it executes, and counts it.
//!
//! Built as a library with the driver's own names, it takes the place of `libcuda.so.1`; [`config`] says how it is set up.
//! [`Gpu`] is the same without the driver's handles and codes. In reading order: `ptx` (text to syntax), `program` (syntax to
//! instructions ready to run), `simulator` (memory, warps, blocks, checks, counts), `driver`.
//!
//! What it takes is the PTX that rustc's backend and libNVVM emit for our kernels; all else is an error that names line and
//! instruction. What it simplifies:
//!
//! - One thread runs everything, in an order that a seed decides, so that every run can be repeated. A launch ends before the
//!   call returns; what it did wrong, the next calls report, as a GPU does.
//! - Lanes that part meet again at the immediate post-dominator. `bar.warp.sync`, shuffles and votes must be reached by all
//!   of their members together; a GPU may let lanes come from different branches.
//! - Races: the lanes of a warp are taken together where a release or acquire orders them with other warps. Among the lanes
//!   of a warp only barriers order a write and a later read; shuffles and votes order a read and a later write, since the value
//!   was there before the exchange. A `bar.warp.sync` of a part of the warp orders nothing. Lanes of one warp may write equal
//!   values to one place. Fences of a block's scope order nothing between blocks. Of bytes in a word, only the last writer's
//!   are remembered.
//! - All contexts share the device's memory, and everything ends with the last of them.
#![allow(clippy::float_cmp, reason = "comparing numbers exactly is what an IEEE simulator does")]
#![allow(clippy::unnecessary_box_returns, reason = "a fault is large and rare, what is returned else small")]
#![allow(clippy::format_push_string, clippy::format_collect, reason = "reports are short")]

mod driver;
mod gpu;
mod program;
mod ptx;
mod simulator;

pub use driver::config;
pub use gpu::{Gpu, Module};
pub use program::{Program, Variant, variants};
pub use ptx::Error;
pub use simulator::{Counts, Device, Dims, Fault, FaultKind, Profile};
