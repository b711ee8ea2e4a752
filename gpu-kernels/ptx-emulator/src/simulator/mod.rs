//! The simulator executes launches: all blocks and warps of a grid, in one thread and a reproducible order.
//!
//! In reading order: `launch` and `device` describe the work, `grid` schedules blocks and warps, `warp` follows the
//! control flow, `execute`, `memory_access` and `shuffle` execute instructions, `happens_before` and `segment` find
//! races, and `profile` reports instruction counts and modelled cycles.

mod device;
mod execute;
mod fault;
mod grid;
mod happens_before;
mod lanes;
mod launch;
mod memory;
mod memory_access;
mod ops;
mod profile;
mod segment;
mod shuffle;
mod timing;
mod warp;

pub use device::Device;
pub use fault::{Fault, FaultKind};
pub use grid::Simulator;
pub use launch::{Dims, Launch};
pub use profile::{Counts, Profile};
