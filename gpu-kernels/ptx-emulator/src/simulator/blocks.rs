//! Blocks at the start of a kernel.

use std::collections::BTreeMap;

use super::barrier::{Block, Spare};
use super::fault::coordinates;
use super::happens_before::Accessor;
use super::launch::Dims;
use super::regions::{Bound, Region};
use super::run::{BlockState, Run};
use super::segment::Segment;
use super::warp::Warp;
use crate::program::Thread;

impl Run<'_, '_> {
    /// Returns block `index` at the start of the kernel, in the memory of a block that has ended.
    pub(super) fn block(&self, index: u32, spare: Spare) -> Block {
        let Spare { mut warps, shared } = spare;
        let count = self.threads_per_block.div_ceil(32);
        warps.truncate(count as usize);
        for w in 0..count {
            let left = self.threads_per_block - 32 * w;
            let agent = Accessor { block: index, warp: w, first_epoch: self.first_epoch, ..Accessor::default() };
            let lanes = if left >= 32 { u32::MAX } else { (1 << left) - 1 };
            match warps.get_mut(w as usize) {
                Some(warp) => warp.restart(&self.launch, agent, lanes),
                None => warps.push(Warp::new(&self.launch, agent, lanes)),
            }
            self.set_specials(index, &mut warps[w as usize]);
        }
        let reserved = if self.launch.program.reserved_shared { self.reserved_shared as usize } else { 0 };
        let size = self.launch.shared() + reserved;
        let mut shared = match shared.filter(|shared| shared.len() == size) {
            Some(mut shared) => {
                shared.clear();
                shared
            }
            None => Segment::new(size),
        };
        shared.fill(0, &vec![0; reserved]);
        Block {
            warps,
            state: BlockState {
                index,
                shared,
                epoch: self.first_epoch,
                arrived: BTreeMap::new(),
                region: Region::default(),
                bound: Bound::default(),
            },
        }
    }

    /// Sets the special registers of a warp of block `index`.
    fn set_specials(&self, index: u32, warp: &mut Warp) {
        let first = 32 * warp.agent.warp;
        let mut thread = self.thread(index, first);
        for lane in 0..32 {
            (thread.tid, thread.laneid) = (coordinates(first + lane, self.launch.dims.block), lane);
            for (slot, (_, value)) in &self.launch.program.specials {
                warp.registers.b32[*slot][lane as usize] = value(&thread);
            }
        }
    }

    /// Returns the special registers of the thread `thread` in the block `block`.
    fn thread(&self, block: u32, thread: u32) -> Thread {
        let Dims { grid: nctaid, block: ntid, shared, cluster } = self.launch.dims;
        let (cluster_ctaid, clusterid) = self.clusters.place(block);
        Thread {
            tid: coordinates(thread, ntid),
            ntid,
            ctaid: coordinates(block, nctaid),
            nctaid,
            laneid: thread % 32,
            warpid: thread / 32,
            nwarpid: self.threads_per_block.div_ceil(32),
            cluster_ctaid,
            clusterid,
            cluster_nctaid: cluster,
            nclusterid: self.clusters.count,
            cluster_rank: self.clusters.rank(block).1,
            smid: block % self.sms,
            nsmid: self.sms,
            total_shared: self.launch.shared() as u32,
            reserved_shared: self.reserved_shared,
            dynamic_shared: shared as u32,
        }
    }
}
