//! What happened before what: the memory model of the PTX ISA (chapter 8), as far as races need it.
//!
//! Barriers order all that the warps of a block do: they cut its time into epochs. Between blocks, and between the warps
//! of a block within an epoch, order comes only from a release that an acquire observes. A warp's [`Clocks`] say how much
//! of what other warps did it may rely on. The lanes of a warp are taken together.

use std::collections::HashMap;

/// How much a warp may rely on.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    /// For a block: all that it did in epochs before this one.
    blocks: HashMap<u32, u32>,
    /// For a warp of a block: all that it did before this time of its block.
    warps: HashMap<(u32, u32), u32>,
}

impl Clocks {
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Takes over what `other` may rely on.
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

    /// What this warp may rely on, and all that it did itself.
    fn with_own(&self, who: &Who) -> Self {
        let mut all = self.clone();
        all.blocks.insert(who.block, who.epoch);
        all.warps.insert((who.block, who.warp), who.time + 1);
        all
    }

    fn knows_epoch(&self, block: u32, epoch: u32) -> bool {
        self.blocks.get(&block).is_some_and(|known| *known > epoch)
    }

    fn knows_time(&self, block: u32, warp: u32, time: u32) -> bool {
        self.warps.get(&(block, warp)).is_some_and(|known| *known > time)
    }
}

/// A warp at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    pub block: u32,
    pub warp: u32,
    /// Grows at each barrier of the block, from the launch's first epoch on.
    pub epoch: u32,
    /// Grows at each release of a warp of the block.
    pub time: u32,
    /// The warp's `bar.warp.sync`s and barriers: they order its lanes.
    pub syncs: u32,
    /// These, shuffles and votes: after them no lane is still before them.
    pub converged: u32,
    /// The launch's first epoch: all before is ordered.
    pub first_epoch: u32,
    pub pc: u32,
    /// Whether the access is a strong one, which may meet others like it.
    pub strong: bool,
}

/// An access, or several that need not be told apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp {
    /// 0: there is none.
    pub epoch: u32,
    pub time: u32,
    pub block: u32,
    /// Warps of the block.
    pub warps: u32,
    /// Lanes of the last of them.
    pub lanes: u32,
    /// Of the last of them: [`Who::syncs`] for a write, [`Who::converged`] for a read.
    pub syncs: u32,
    pub pc: u32,
    pub strong: bool,
    /// Bytes of the word.
    pub bytes: u8,
}

impl Stamp {
    pub fn new(who: &Who, lanes: u32, bytes: u8, syncs: u32) -> Self {
        Self {
            epoch: who.epoch,
            time: who.time,
            block: who.block,
            warps: 1 << who.warp,
            lanes,
            syncs,
            pc: who.pc,
            strong: who.strong,
            bytes,
        }
    }

    /// Whether other warps than `who`'s have a part in this.
    pub fn by_others(&self, who: &Who) -> bool {
        self.block != who.block || self.warps & !(1 << who.warp) != 0
    }

    /// Whether all of this happened before what `who` does now, apart from what `who`'s warp did itself.
    pub fn before(&self, who: &Who, clocks: &Clocks) -> bool {
        if self.epoch < who.first_epoch || self.block == who.block && self.epoch < who.epoch {
            return true;
        }
        if !self.by_others(who) {
            return true;
        }
        if clocks.is_empty() {
            return false;
        }
        if self.block != who.block && clocks.knows_epoch(self.block, self.epoch) {
            return true;
        }
        let mine = |warp| self.block == who.block && warp == who.warp;
        (0..32)
            .filter(|warp| self.warps >> warp & 1 == 1 && !mine(*warp))
            .all(|warp| clocks.knows_time(self.block, warp, self.time))
    }
}

/// A warp's part in synchronisation.
#[derive(Clone, Debug, Default)]
pub struct Sync {
    pub clocks: Clocks,
    /// What strong reads observed, for the next fence.
    observed: Clocks,
    /// What the last fence made visible to those who observe a later strong write.
    fenced: Option<Clocks>,
}

/// What was released at an address.
#[derive(Debug, Default)]
pub struct Released(HashMap<(u32, u64), Clocks>);

impl Sync {
    /// A fence: what was observed may be relied on; what was done may be released.
    pub fn fence(&mut self, who: &Who) {
        let observed = std::mem::take(&mut self.observed);
        self.clocks.join(&observed);
        self.fenced = Some(self.clocks.with_own(who));
    }

    /// A strong read.
    pub fn read(&mut self, released: &Released, place: (u32, u64), acquire: bool) {
        if let Some(clocks) = released.0.get(&place) {
            if acquire { &mut self.clocks } else { &mut self.observed }.join(clocks);
        }
    }

    /// A strong write; a read-modify-write goes on with what was released before.
    pub fn write(&mut self, released: &mut Released, place: (u32, u64), who: &Who, release: bool, modify: bool) {
        let now = if release { Some(self.clocks.with_own(who)) } else { self.fenced.clone() };
        match (now, modify) {
            (Some(clocks), true) => released.0.entry(place).or_default().join(&clocks),
            (Some(clocks), false) => {
                released.0.insert(place, clocks);
            }
            (None, true) => {}
            (None, false) => {
                released.0.remove(&place);
            }
        }
    }
}

impl Released {
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
