//! Clusters, which are blocks that run at the same time, read each other's shared memory, and have a barrier of their own
//! (PTX ISA, sections 2.2.2 and 9.7.13.3).

use std::collections::HashMap;

use super::happens_before::VectorClock;
use super::launch::Dims;
use super::segment::Segment;

/// The largest number of blocks of a cluster (CUDA C++ Programming Guide, "Thread Block Clusters").
pub const MAX_BLOCKS: u32 = 16;

/// The shape of a grid of clusters.
#[derive(Clone, Copy, Debug)]
pub struct Clusters {
    /// The number of blocks of a cluster along x, y, z.
    pub size: [u32; 3],
    /// The number of clusters along x, y, z.
    pub count: [u32; 3],
}

impl Clusters {
    /// Returns the clusters of a launch, or `None` if they are too large or the grid is no multiple of their size.
    pub fn of(dims: &Dims) -> Option<Self> {
        let size = dims.cluster;
        let fits = dims.grid.iter().zip(size).all(|(grid, size)| size > 0 && grid % size == 0);
        let blocks = size.iter().fold(1u32, |product, size| product.saturating_mul(*size));
        (fits && blocks <= MAX_BLOCKS)
            .then(|| Self { size, count: std::array::from_fn(|axis| dims.grid[axis] / size[axis]) })
    }

    /// Returns the number of blocks of a cluster.
    pub fn blocks(&self) -> u32 {
        self.size.iter().product()
    }

    /// Returns the coordinates of a block in its cluster and of its cluster in the grid.
    pub fn place(&self, block: u32) -> ([u32; 3], [u32; 3]) {
        let grid: [u32; 3] = std::array::from_fn(|axis| self.size[axis] * self.count[axis]);
        let at = [block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]];
        (std::array::from_fn(|axis| at[axis] % self.size[axis]), std::array::from_fn(|axis| at[axis] / self.size[axis]))
    }

    /// Returns the index of a block's cluster, and the rank of the block in it.
    pub fn rank(&self, block: u32) -> (u32, u32) {
        let index = |[x, y, z]: [u32; 3], [width, height, _]: [u32; 3]| x + width * (y + height * z);
        let (own, cluster) = self.place(block);
        (index(cluster, self.count), index(own, self.size))
    }

    /// Returns the index of the block that has a rank in a cluster.
    pub fn block(&self, cluster: u32, rank: u32) -> u32 {
        let coordinates = |index: u32, [x, y, _]: [u32; 3]| [index % x, index / x % y, index / x / y];
        let (at, own) = (coordinates(cluster, self.count), coordinates(rank, self.size));
        let [x, y, z] = std::array::from_fn(|axis| at[axis] * self.size[axis] + own[axis]);
        x + self.size[0] * self.count[0] * (y + self.size[1] * self.count[1] * z)
    }
}

/// The barrier of a running cluster.
#[derive(Default)]
pub struct ClusterBarrier {
    /// The number of warps that have not exited.
    live: u32,
    arrived: u32,
    /// The number of completed phases.
    phase: u32,
    /// The accesses before the arrivals of the current phase, and before those of the last one.
    arriving: VectorClock,
    completed: VectorClock,
}

impl ClusterBarrier {
    /// Returns the barrier of a cluster that starts with `live` warps.
    pub fn new(live: u32) -> Self {
        Self { live, ..Self::default() }
    }

    /// Returns the current phase.
    pub fn phase(&self) -> u32 {
        self.phase
    }

    /// Returns the accesses before the arrivals of the last phase.
    pub fn completed(&self) -> &VectorClock {
        &self.completed
    }

    /// Counts a warp that arrives, with the accesses that it releases.
    pub fn arrive(&mut self, released: Option<&VectorClock>) {
        if let Some(clock) = released {
            self.arriving.join(clock);
        }
        self.arrived += 1;
        self.advance();
    }

    /// Completes the phase if all warps have arrived that have not exited.
    fn advance(&mut self) {
        if self.arrived > 0 && self.arrived >= self.live {
            self.completed = std::mem::take(&mut self.arriving);
            (self.arrived, self.phase) = (0, self.phase + 1);
        }
    }
}

/// The state that the blocks of clusters share.
#[derive(Default)]
pub struct ClusterState {
    /// Whether clusters have several blocks, or the kernel has instructions on clusters.
    pub active: bool,
    /// The barrier of each running cluster.
    pub barriers: HashMap<u32, ClusterBarrier>,
    /// The shared memory of the other blocks of the cluster whose block runs now, by rank.
    pub peers: HashMap<u32, Segment>,
}

impl ClusterState {
    /// Counts a warp that has exited.
    pub fn exit(&mut self, cluster: u32) {
        if let Some(barrier) = self.barriers.get_mut(&cluster) {
            barrier.live -= 1;
            barrier.advance();
            if barrier.live == 0 {
                self.barriers.remove(&cluster);
            }
        }
    }
}
