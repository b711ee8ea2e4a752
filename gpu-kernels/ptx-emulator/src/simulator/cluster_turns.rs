//! The turns of the blocks of a cluster, and their barrier.

use super::barrier::{Block, Spare};
use super::cluster::ClusterBarrier;
use super::fault::{Checked, FaultKind, Violation};
use super::run::{Env, Run};
use super::segment::Segment;
use super::warp::Warp;

impl Run<'_, '_> {
    /// Starts the blocks of a cluster, in the memory of blocks that have ended.
    pub(super) fn start(&mut self, cluster: u32, live: &mut Vec<Block>, spare: &mut Vec<Spare>) {
        let size = self.clusters.blocks();
        if self.cluster.active {
            let warps = size * self.threads_per_block.div_ceil(32);
            self.cluster.barriers.insert(cluster, ClusterBarrier::new(warps));
        }
        let block = |rank| self.block(self.clusters.block(cluster, rank), spare.pop().unwrap_or_default());
        live.extend((0..size).map(block));
    }

    /// Takes the shared memory of the other blocks in the cluster of a block, for the turn of that block.
    pub(super) fn borrow_peers(&mut self, live: &mut [Block], current: usize) {
        let cluster = self.clusters.rank(live[current].state.index).0;
        for (i, block) in live.iter_mut().enumerate() {
            let (other, rank) = self.clusters.rank(block.state.index);
            if other == cluster && i != current {
                let shared = std::mem::replace(&mut block.state.shared, Segment::zeroed(0));
                self.cluster.peers.insert(rank, shared);
            }
        }
    }

    /// Gives the shared memory back.
    pub(super) fn return_peers(&mut self, live: &mut [Block], current: usize) {
        let cluster = self.clusters.rank(live[current].state.index).0;
        for block in live {
            let (other, rank) = self.clusters.rank(block.state.index);
            if other == cluster
                && let Some(segment) = self.cluster.peers.remove(&rank)
            {
                block.state.shared = segment;
            }
        }
    }
}

impl Warp {
    /// Arrives at the barrier of the cluster.
    pub(super) fn cluster_arrive(&mut self, env: &mut Env, releases: bool, pc: usize, mask: u32) -> Checked {
        self.check_all_arrive(mask)?;
        let accessor = self.accessor(env, pc, true);
        let cluster = env.run.clusters.rank(env.block.index).0;
        let barrier = env.run.cluster.barriers.entry(cluster).or_default();
        if self.cluster_phase.is_some() {
            let message = "the warp arrives at the barrier of its cluster twice without a wait";
            return Err(Violation::new(FaultKind::Barrier, None, message));
        }
        self.cluster_phase = Some(barrier.phase());
        barrier.arrive(releases.then(|| self.sync.clock.with_own(&accessor)).as_ref());
        self.agent.time += 1;
        env.run.changes += 1;
        Ok(())
    }

    /// Returns whether the phase at whose barrier the warp arrived is complete.
    pub(super) fn cluster_wait(&mut self, env: &mut Env, mask: u32) -> Checked<bool> {
        self.check_all_arrive(mask)?;
        let cluster = env.run.clusters.rank(env.block.index).0;
        let Some(phase) = self.cluster_phase else {
            let message = "the warp waits at the barrier of its cluster without an arrival";
            return Err(Violation::new(FaultKind::Barrier, None, message));
        };
        let barrier = env.run.cluster.barriers.entry(cluster).or_default();
        if barrier.phase() == phase {
            return Ok(false);
        }
        self.sync.clock.join(barrier.completed());
        self.cluster_phase = None;
        self.synchronise_lanes();
        env.run.changes += 1;
        Ok(true)
    }

    /// Checks that all lanes reach a barrier that have not exited.
    fn check_all_arrive(&self, mask: u32) -> Checked {
        if mask == self.live() {
            return Ok(());
        }
        let message = format!("only lanes {mask:#x} of {:#x} reach the barrier of the cluster", self.live());
        Err(Violation::new(FaultKind::Barrier, (self.live() & !mask).trailing_zeros(), message))
    }
}
