//! The happens-before relation of the PTX memory model (PTX ISA, chapter 8), as far as the race checker needs it.
//!
//! A barrier orders everything that the warps of a block do, so it divides the time of the block into epochs. Between
//! blocks, and between the warps of a block within an epoch, only a release that an acquire observes creates order. A
//! [`VectorClock`] holds the accesses of other warps that are ordered before the next access of this warp. It treats a
//! warp as one agent.

use std::collections::HashMap;

/// The accesses of other warps that happened before.
#[derive(Clone, Debug, Default)]
pub struct VectorClock {
    /// For each block, the epoch before which all of its accesses are included.
    blocks: HashMap<u32, u32>,
    /// For each block and warp, the time of the block before which all accesses of the warp are included.
    warps: HashMap<(u32, u32), u32>,
}

impl VectorClock {
    /// Returns whether the clock includes no access.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Includes the accesses that `other` includes.
    pub fn join(&mut self, other: &Self) {
        for (block, epoch) in &other.blocks {
            let known = self.blocks.entry(*block).or_default();
            *known = (*known).max(*epoch);
        }
        for (warp, time) in &other.warps {
            let known = self.warps.entry(*warp).or_default();
            *known = (*known).max(*time);
        }
    }

    /// Returns a copy that also includes all accesses of `accessor` so far.
    fn with_own(&self, accessor: &Accessor) -> Self {
        let mut all = self.clone();
        all.blocks.insert(accessor.block, accessor.epoch);
        all.warps.insert((accessor.block, accessor.warp), accessor.time + 1);
        all
    }

    fn includes_epoch(&self, block: u32, epoch: u32) -> bool {
        self.blocks.get(&block).is_some_and(|known| *known > epoch)
    }

    fn includes_time(&self, block: u32, warp: u32, time: u32) -> bool {
        self.warps.get(&(block, warp)).is_some_and(|known| *known > time)
    }
}

/// A warp at the moment of an access.
#[derive(Clone, Copy, Debug)]
pub struct Accessor {
    pub block: u32,
    pub warp: u32,
    /// The barriers that the block has passed, counted on from the launch's first epoch.
    pub epoch: u32,
    /// The releases by warps of the block so far.
    pub time: u32,
    /// The barriers and `bar.warp.sync`s that the warp has passed. They order the accesses of its lanes.
    pub syncs: u32,
    /// The same, plus shuffles and votes. Each of these orders a read before it and a write after it.
    pub convergences: u32,
    /// The first epoch of the launch. All accesses of earlier launches happened before.
    pub first_epoch: u32,
    pub pc: u32,
    /// Whether the access is strong. Two strong accesses never race.
    pub strong: bool,
}

/// A record of one access, or of several that the checker can treat as one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRecord {
    /// The epoch of the access, or 0 if there was none.
    pub epoch: u32,
    pub time: u32,
    pub block: u32,
    /// The mask of the block's warps.
    pub warps: u32,
    /// The mask of the last warp's lanes.
    pub lanes: u32,
    /// [`Accessor::syncs`] of the last warp for a write, [`Accessor::convergences`] for a read.
    pub syncs: u32,
    pub pc: u32,
    pub strong: bool,
    /// The mask of the accessed bytes of the word.
    pub bytes: u8,
}

impl AccessRecord {
    /// Returns the record of an access by `lanes` to `bytes`.
    pub fn new(accessor: &Accessor, lanes: u32, bytes: u8, syncs: u32) -> Self {
        Self {
            epoch: accessor.epoch,
            time: accessor.time,
            block: accessor.block,
            warps: 1 << accessor.warp,
            lanes,
            syncs,
            pc: accessor.pc,
            strong: accessor.strong,
            bytes,
        }
    }

    /// Returns whether warps other than that of `accessor` took part.
    pub fn by_others(&self, accessor: &Accessor) -> bool {
        self.block != accessor.block || self.warps & !(1 << accessor.warp) != 0
    }

    /// Returns whether the accesses of all other warps happened before the current access of `accessor`.
    pub fn happened_before(&self, accessor: &Accessor, clock: &VectorClock) -> bool {
        if self.epoch < accessor.first_epoch || self.block == accessor.block && self.epoch < accessor.epoch {
            return true;
        }
        if !self.by_others(accessor) {
            return true;
        }
        if clock.is_empty() {
            return false;
        }
        if self.block != accessor.block && clock.includes_epoch(self.block, self.epoch) {
            return true;
        }
        let own = |warp| self.block == accessor.block && warp == accessor.warp;
        (0..32)
            .filter(|warp| self.warps >> warp & 1 == 1 && !own(*warp))
            .all(|warp| clock.includes_time(self.block, warp, self.time))
    }
}

/// The location of a strong access: 0 for global memory or the block's index plus 1 for its shared memory, and the
/// address.
pub type Location = (u32, u64);

/// The clocks that strong writes have released, by location.
#[derive(Debug, Default)]
pub struct Released(HashMap<Location, VectorClock>);

impl Released {
    /// Forgets all releases.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

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
    /// Executes a fence: earlier relaxed reads become acquires, and later relaxed writes become releases.
    pub fn fence(&mut self, accessor: &Accessor) {
        let observed = std::mem::take(&mut self.observed);
        self.clock.join(&observed);
        self.fenced = Some(self.clock.with_own(accessor));
    }

    /// Observes what was released at the location of a strong read.
    pub fn read(&mut self, released: &Released, location: Location, acquire: bool) {
        if let Some(clock) = released.0.get(&location) {
            if acquire { &mut self.clock } else { &mut self.observed }.join(clock);
        }
    }

    /// Releases at the location of a strong write. A read-modify-write continues the release sequence, so it keeps what
    /// was released there before.
    pub fn write(&self, released: &mut Released, location: Location, accessor: &Accessor, kind: StrongWrite) {
        let clock = if kind.release { Some(self.clock.with_own(accessor)) } else { self.fenced.clone() };
        if !kind.modify {
            released.0.remove(&location);
        }
        if let Some(clock) = clock {
            released.0.entry(location).or_default().join(&clock);
        }
    }
}

/// The kind of a strong write.
#[derive(Clone, Copy)]
pub struct StrongWrite {
    /// Whether the write has release semantics of its own.
    pub release: bool,
    /// Whether the write is part of a read-modify-write.
    pub modify: bool,
}
