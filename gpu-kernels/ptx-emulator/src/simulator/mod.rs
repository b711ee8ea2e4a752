//! The simulator, which executes the blocks and warps of a launch in a reproducible order.
//!
//! In reading order, `launch` describes the work, `grid` begins it, `threads` divides its blocks among threads, `run` is the state
//! of a thread's part, `turns` and `schedule` order blocks and warps, and `blocks` makes a block. `barrier` joins the warps of a
//! block, and `cluster` and `cluster_turns` the blocks of a cluster. `warp`, `execute`, `branch` and `calls` follow the control
//! flow. `addresses`, `warp_access`, `words`, `memory_access`, `matrix_access`, `texture_access`, `async_barrier` and `shuffle`
//! execute instructions, and `texture` samples textures. `memory`, `segment`, `content`, `view` and `buffer` are the memory.
//! `system` and `format` are the runtime library, `happens_before`, `shadow` (with `shadow_page` and `shadow_simple`) and `word` find races, `profile` reports instruction
//! counts and modelled cycles, and `regions` the bound of a block.

mod addresses;
mod async_barrier;
mod barrier;
mod blocks;
mod branch;
mod buffer;
mod calls;
mod cluster;
mod cluster_turns;
mod content;
mod execute;
mod fault;
mod format;
mod grid;
mod happens_before;
mod launch;
mod matrix_access;
mod memory;
mod memory_access;
mod profile;
mod regions;
mod run;
mod schedule;
mod segment;
mod shadow;
mod shadow_page;
mod shadow_simple;
mod shuffle;
mod system;
mod texture;
mod texture_access;
mod threads;
mod timing;
mod turns;
mod view;
mod warp;
mod warp_access;
mod word;
mod words;

pub use buffer::Buffer;
pub use fault::{Fault, FaultKind};
pub use grid::Simulator;
pub use launch::{Checks, DeviceProperties, Dims, Launch, MAX_THREADS, REGISTERS, Watchdog};
pub use memory::DEVICE_ADDRESSES;
pub use profile::{Counts, Profile};
pub use regions::Bound;
pub use texture::{AddressMode, Channel, Sampler, Texels, Texture};
pub use timing::{CLASSES as INSTRUCTION_CLASSES, Class as InstructionClass, PUBLICATIONS as LATENCY_PUBLICATIONS};
