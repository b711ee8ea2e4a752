//! The happens-before relation of the PTX memory model (PTX ISA, chapter 8), as far as the race checker needs it.
//!
//! A barrier orders everything that the warps of a block do, so it divides the time of the block into epochs. Between
//! blocks, and between the warps of a block within an epoch, only a release that an acquire observes creates order. The
//! relation treats a warp as one agent.

use std::collections::{BTreeMap, HashMap};

/// The accesses of other warps that happened before.
///
/// A block's entry is the epoch before which the clock includes all accesses of the block. A warp's entry is the time
/// of its block before which the clock includes all accesses of the warp.
#[derive(Clone, Debug, Default)]
pub struct VectorClock(BTreeMap<(u32, Option<u32>), u32>);

impl VectorClock {
    /// Includes the accesses that `other` includes.
    pub fn join(&mut self, other: &Self) {
        for (agent, time) in &other.0 {
            let known = self.0.entry(*agent).or_default();
            *known = (*known).max(*time);
        }
    }

    /// Returns a copy that also includes all accesses of `accessor` so far.
    pub fn with_own(&self, accessor: &Accessor) -> Self {
        let mut all = self.clone();
        all.0.insert((accessor.block, None), accessor.epoch);
        all.0.insert((accessor.block, Some(accessor.warp)), accessor.time + 1);
        all
    }

    fn includes(&self, block: u32, warp: Option<u32>, time: u32) -> bool {
        self.0.get(&(block, warp)).is_some_and(|known| *known > time)
    }
}

/// A warp at the moment of an access.
#[derive(Clone, Copy, Debug, Default)]
pub struct Accessor {
    pub block: u32,
    pub warp: u32,
    /// The number of barriers that the block has passed, counted on from the launch's first epoch.
    pub epoch: u32,
    /// The number of releases by warps of the block so far.
    pub time: u32,
    /// The number of barriers and `bar.warp.sync`s that the warp has passed. Both order the accesses of its lanes.
    pub syncs: u32,
    /// The number in `syncs` plus the number of shuffles and votes. Each of these orders earlier reads before later
    /// writes.
    pub convergences: u32,
    /// The first epoch of the launch, which is at least 1. All accesses of earlier launches happened before.
    pub first_epoch: u32,
    pub pc: u32,
    /// Whether the access is strong. Two strong accesses never race.
    pub strong: bool,
}

/// A record of one access, or of several that the checker can treat as one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRecord {
    pub by: Accessor,
    /// The mask of the block's warps.
    pub warps: u32,
    /// The mask of the last warp's lanes.
    pub lanes: u32,
    /// The mask of the accessed bytes of the word.
    pub bytes: u8,
}

impl AccessRecord {
    /// Returns whether warps other than that of `accessor` took part.
    pub fn by_others(&self, accessor: &Accessor) -> bool {
        self.by.block != accessor.block || self.warps & !(1 << accessor.warp) != 0
    }

    /// Returns whether the warp of `accessor` made the access alone, and in the current epoch.
    pub fn in_epoch_of(&self, accessor: &Accessor) -> bool {
        !self.by_others(accessor) && self.by.epoch == accessor.epoch
    }

    /// Returns whether the record includes any of `bytes`, and the recorded or the current access is weak.
    pub fn conflicts(&self, accessor: &Accessor, bytes: u8) -> bool {
        self.bytes & bytes != 0 && !(self.by.strong && accessor.strong)
    }

    /// Returns whether the accesses of all other warps happened before the current access of `accessor`.
    pub fn happened_before(&self, accessor: &Accessor, clock: &VectorClock) -> bool {
        let Accessor { block, epoch, time, .. } = self.by;
        let same_block = block == accessor.block;
        epoch < accessor.first_epoch
            || same_block && epoch < accessor.epoch
            || !self.by_others(accessor)
            || !same_block && clock.includes(block, None, epoch)
            || (0..32)
                .filter(|warp| self.warps >> warp & 1 == 1 && !(same_block && *warp == accessor.warp))
                .all(|warp| clock.includes(block, Some(warp), time))
    }
}

/// The location of a strong access. The first number is 0 for global memory, or the index of the block plus 1 for
/// shared memory. The second number is the address.
pub type Location = (u32, u64);

/// The clocks that strong writes have released.
pub type Released = HashMap<Location, VectorClock>;

/// The synchronisation state of a warp.
#[derive(Clone, Debug, Default)]
pub struct SyncState {
    pub clock: VectorClock,
    /// The clocks that relaxed reads observed. The next fence joins them.
    observed: VectorClock,
    /// The clock at the last fence, which later relaxed writes release.
    fenced: Option<VectorClock>,
}

impl SyncState {
    /// Executes a fence. Earlier relaxed reads become acquires, and later relaxed writes become releases.
    pub fn fence(&mut self, accessor: &Accessor) {
        let observed = std::mem::take(&mut self.observed);
        self.clock.join(&observed);
        self.fenced = Some(self.clock.with_own(accessor));
    }

    /// Observes the clocks that were released at the location of a strong read.
    pub fn read(&mut self, released: &Released, location: Location, acquire: bool) {
        if let Some(clock) = released.get(&location) {
            if acquire { &mut self.clock } else { &mut self.observed }.join(clock);
        }
    }

    /// Releases at the location of a strong write, in addition to the earlier releases there.
    pub fn write(&self, released: &mut Released, location: Location, accessor: &Accessor, release: bool) {
        let clock = if release { Some(self.clock.with_own(accessor)) } else { self.fenced.clone() };
        if let Some(clock) = clock {
            released.entry(location).or_default().join(&clock);
        }
    }
}
