//! The state of a running launch.

use std::collections::BTreeMap;
use std::time::Instant;

use super::cluster::{ClusterState, Clusters};
use super::fault::Fault;
use super::happens_before::{Released, VectorClock};
use super::launch::Launch;
use super::memory::GlobalMemory;
use super::profile::Profile;
use super::regions::{Bound, Region};
use super::segment::Segment;
use super::texture::Textures;

/// The description of a launch, from which each thread makes its [`Run`].
pub struct Job<'r, 'a> {
    pub launch: Launch<'a>,
    pub params: &'r [u8],
    pub textures: &'r Textures,
    pub clusters: Clusters,
    /// Whether clusters have several blocks, or the kernel has instructions on clusters.
    pub uses_clusters: bool,
    /// Whether no block can be ordered with another one.
    pub isolated: bool,
    /// The class of each instruction, and whether the instruction computes addresses alone. It is empty in a launch
    /// without timing.
    pub classes: &'r [(usize, bool)],
    /// The address of the first usable byte of shared memory.
    pub shared_base: u64,
    /// The size in bytes of the shared memory that the system reserves.
    pub reserved_shared: u32,
    pub first_epoch: u32,
    pub threads_per_block: u32,
    /// The number of multiprocessors.
    pub sms: u32,
    pub blocks: u32,
    /// The time at which the launch started.
    pub start: Instant,
}

impl<'a> Job<'_, 'a> {
    /// Returns the state of the launch before its first block starts.
    pub fn run<'s>(&'s self, memory: &'s mut GlobalMemory, output: &'s mut String) -> Run<'s, 'a> {
        Run {
            launch: self.launch,
            params: self.params,
            memory,
            textures: self.textures,
            clusters: self.clusters,
            cluster: ClusterState { active: self.uses_clusters, ..ClusterState::default() },
            released: Released::default(),
            profile: Profile::new(self.launch),
            classes: self.classes,
            shared_base: self.shared_base,
            reserved_shared: self.reserved_shared,
            first_epoch: self.first_epoch,
            isolated: self.isolated,
            threads_per_block: self.threads_per_block,
            sms: self.sms,
            changes: 0,
            instructions: 0,
            output,
            warnings: Vec::new(),
            start: self.start,
            next_epoch: self.first_epoch,
        }
    }
}

/// The state that all warps of a running launch share.
pub struct Run<'r, 'a> {
    pub launch: Launch<'a>,
    pub params: &'r [u8],
    pub memory: &'r mut GlobalMemory,
    pub textures: &'r Textures,
    pub clusters: Clusters,
    pub cluster: ClusterState,
    pub released: Released,
    pub profile: Profile<'a>,
    /// The class of each instruction, and whether the instruction computes addresses alone. It is empty in a launch
    /// without timing.
    pub classes: &'r [(usize, bool)],
    /// The address of the first usable byte of shared memory.
    pub shared_base: u64,
    /// The size in bytes of the shared memory that the system reserves.
    pub reserved_shared: u32,
    pub first_epoch: u32,
    /// Whether no block can be ordered with another one.
    pub isolated: bool,
    pub threads_per_block: u32,
    /// The number of multiprocessors.
    pub sms: u32,
    /// The number of changes that other warps can see.
    pub changes: u64,
    /// The number of executed instructions, summed over all warps.
    pub instructions: u64,
    /// The text that the kernel has printed.
    pub output: &'r mut String,
    /// The warnings of the launch.
    pub warnings: Vec<Fault>,
    /// The time at which the launch started.
    pub start: Instant,
    /// The first epoch after those of the blocks.
    pub next_epoch: u32,
}

/// The state that the warps of a block share.
pub struct BlockState {
    pub index: u32,
    pub shared: Segment,
    /// The number of barriers that the block has passed, counted on from the launch's first epoch.
    pub epoch: u32,
    /// The threads that have arrived at each barrier without waiting, and what happened before.
    pub arrived: BTreeMap<u32, (u32, VectorClock)>,
    /// The work since the last barrier of all threads.
    pub region: Region,
    /// The bound of the work before.
    pub bound: Bound,
}

/// The state around a running warp.
pub struct Env<'e, 'r, 'a> {
    pub run: &'e mut Run<'r, 'a>,
    pub block: &'e mut BlockState,
}
