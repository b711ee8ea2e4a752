//! Executes launches: all blocks and warps of a grid, in one thread and a reproducible order.

mod act;
mod clocks;
pub mod counts;
mod device;
mod exchange;
mod fault;
mod grid;
mod memory;
mod segment;
mod stages;
mod warp;

pub use device::Device;
pub use fault::{Fault, FaultKind};
pub use grid::{Launch, Machine};
pub use memory::Memory;
