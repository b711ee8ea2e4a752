//! The happens-before relation of the PTX memory model (PTX ISA, chapter 8), as far as the race checker needs it.
//!
//! A barrier orders everything that the warps of a block do, so it divides the time of the block into epochs. Between
//! blocks, and between the warps of a block within an epoch, only a release that an acquire observes creates order. The
//! relation treats a warp as one agent.

use std::collections::{BTreeMap, HashMap};

use crate::program::Scope;

/// The accesses of other warps that happened before.
///
/// A block's entry is the epoch before which the clock includes all accesses of the block. A warp's entry is its time
/// before which the clock includes all accesses of the warp.
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
    /// The number of releases by the warp so far.
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

/// An accessor with what happened before its access.
#[derive(Clone, Copy)]
pub struct Observer<'o> {
    pub accessor: Accessor,
    pub clock: &'o VectorClock,
    /// The order of the lanes of the warp by `bar.warp.sync`.
    pub syncs: &'o LaneOrder,
    /// The order of reads before later writes, which shuffles and votes create too.
    pub convergences: &'o LaneOrder,
    /// Whether warps may write equal values to one location, and the lanes of a store any values.
    pub lenient: bool,
    /// Whether no block of the launch can be ordered with another one.
    pub isolated: bool,
}

/// The order of the accesses of a warp's lanes. Times are counted in synchronisations of lanes.
#[derive(Clone, Default)]
pub struct LaneOrder {
    /// The time before which all accesses are ordered.
    floor: u32,
    /// For each lane, the time before which the accesses of each other lane are ordered. It is `None` until a part of the
    /// lanes synchronises.
    seen: Option<Box<[[u32; 32]; 32]>>,
}

impl LaneOrder {
    /// Orders the accesses of `members` so far before their later ones. `live` are all lanes that have not exited.
    pub fn join(&mut self, members: u32, live: u32, time: &mut u32) {
        *time += 1;
        if members == live {
            *self = Self { floor: *time, seen: None };
            return;
        }
        let seen = self.seen.get_or_insert_with(|| Box::new([[0; 32]; 32]));
        let mut joined = [0; 32];
        for lane in bits(members) {
            for (joined, seen) in joined.iter_mut().zip(seen[lane as usize]) {
                *joined = seen.max(*joined);
            }
        }
        bits(members).for_each(|lane| joined[lane as usize] = *time);
        bits(members).for_each(|lane| seen[lane as usize] = joined);
    }

    /// Returns those of `lanes` for which accesses of other lanes in `others` at `time` are not ordered.
    #[inline]
    pub fn unordered(&self, lanes: u32, others: u32, time: u32) -> u32 {
        if time < self.floor {
            return 0;
        }
        let lanes = match others {
            0 => 0,
            one if one.is_power_of_two() => lanes & !one,
            _ => lanes,
        };
        let Some(seen) = &self.seen else { return lanes };
        let unseen = |lane: &u32| bits(others & !(1 << lane)).any(|other| seen[*lane as usize][other as usize] <= time);
        bits(lanes).filter(unseen).fold(0, |all, lane| all | 1 << lane)
    }
}

/// Iterates over the set bits of a mask.
pub fn bits(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit)
    })
}

/// Iterates over the different groups of members that the lanes of `mask` name.
pub fn groups(members: &[u32; 32], mask: u32) -> impl Iterator<Item = u32> {
    let first = |lane: &u32| members[*lane as usize].trailing_zeros() >= *lane;
    bits(mask).filter(first).map(|lane| members[lane as usize])
}

/// A record of one access, or of several that the checker can treat as one.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccessRecord {
    /// The last of the accesses.
    pub by: Accessor,
    /// The mask of the block's warps, or 0 if there is no access.
    pub warps: u32,
    /// The warps with a weak access.
    pub weak_warps: u32,
    /// The mask of the last warp's lanes.
    pub lanes: u32,
    /// The lanes of the last warp with a weak access.
    pub weak_lanes: u32,
    /// Whether warps wrote one value without an order between them.
    pub equal: bool,
}

impl AccessRecord {
    /// Returns the record of an access by `lanes`.
    #[inline(always)]
    pub fn new(by: Accessor, lanes: u32) -> Self {
        let (warps, weak) = (1 << by.warp, if by.strong { 0 } else { u32::MAX });
        Self { by, warps, weak_warps: warps & weak, lanes, weak_lanes: lanes & weak, equal: false }
    }

    /// Returns whether the last access is by the warp of `accessor` in the current epoch.
    #[inline]
    pub fn in_epoch_of(&self, accessor: &Accessor) -> bool {
        let by = &self.by;
        by.block == accessor.block && by.warp == accessor.warp && by.epoch == accessor.epoch
    }

    /// Returns the mask of the other warps whose accesses conflict with one of `accessor`. Two strong accesses do not.
    #[inline]
    pub fn conflicting_warps(&self, accessor: &Accessor) -> u32 {
        let warps = if accessor.strong { self.weak_warps } else { self.warps };
        if self.by.block == accessor.block { warps & !(1 << accessor.warp) } else { warps }
    }

    /// Returns the mask of the last warp's lanes whose accesses conflict with one of `accessor`.
    #[inline]
    pub fn conflicting_lanes(&self, accessor: &Accessor) -> u32 {
        if accessor.strong { self.weak_lanes } else { self.lanes }
    }

    /// Returns whether the accesses of `warps` happened before the current access of `observer`.
    #[inline]
    pub fn ordered(&self, warps: u32, observer: &Observer) -> bool {
        let (Accessor { block, epoch, time, .. }, now) = (self.by, &observer.accessor);
        let same_block = block == now.block;
        warps == 0
            || epoch < now.first_epoch
            || same_block && epoch < now.epoch
            || !same_block && observer.clock.includes(block, None, epoch)
            || bits(warps).all(|warp| observer.clock.includes(block, Some(warp), time))
    }

    /// Returns whether the record can include another one.
    #[inline(always)]
    pub fn joins(&self, other: &Self) -> bool {
        let key = |by: &Accessor| (by.block, by.epoch, by.time);
        key(&self.by) == key(&other.by)
    }

    /// Includes a later access.
    #[inline(always)]
    pub fn join(&mut self, later: &Self) {
        let mut all = *later;
        if self.by.warp == later.by.warp && self.by.convergences == later.by.convergences {
            all.lanes |= self.lanes;
            all.weak_lanes |= self.weak_lanes;
        }
        all.warps |= self.warps;
        all.weak_warps |= self.weak_warps;
        *self = all;
    }

    /// Removes the accesses of a warp that `later`, by the same warp, makes superfluous. What happens after the later
    /// access also happens after the earlier one.
    pub fn forget(&mut self, later: &Self) {
        self.warps &= !(later.warps & (later.weak_warps | !self.weak_warps));
        self.weak_warps &= self.warps;
    }
}

/// The locations through which a strong access synchronises, the threads of its block and those of the device. The first
/// number of a location is 0 for the device, or the index of the block plus 1. The second number is the address.
pub type Locations = [Option<(u32, u64)>; 2];

/// The clocks that strong writes have released.
pub type Released = HashMap<(u32, u64), VectorClock>;

/// The synchronisation state of a warp. The arrays have an entry for each [`Scope`].
#[derive(Clone, Debug, Default)]
pub struct SyncState {
    pub clock: VectorClock,
    /// The clocks that relaxed reads observed. The next fence joins them.
    observed: [VectorClock; 2],
    /// The clock at the last fence, which later relaxed writes release.
    fenced: [Option<VectorClock>; 2],
}

impl SyncState {
    /// Executes a fence. Earlier relaxed reads become acquires, and later relaxed writes become releases.
    pub fn fence(&mut self, accessor: &Accessor, scope: Scope) {
        for scope in 0..=scope as usize {
            let observed = std::mem::take(&mut self.observed[scope]);
            self.clock.join(&observed);
        }
        for scope in 0..=scope as usize {
            self.fenced[scope] = Some(self.clock.with_own(accessor));
        }
    }

    /// Observes the clocks that were released at the locations of a strong read.
    pub fn read(&mut self, released: &Released, locations: &Locations, acquire: bool) {
        for (observed, location) in self.observed.iter_mut().zip(locations) {
            if let Some(clock) = location.and_then(|location| released.get(&location)) {
                if acquire { &mut self.clock } else { observed }.join(clock);
            }
        }
    }

    /// Releases at the locations of a strong write, in addition to the earlier releases there.
    pub fn write(&self, released: &mut Released, locations: &Locations, accessor: &Accessor, release: bool) {
        for (fenced, location) in self.fenced.iter().zip(locations) {
            let clock = if release { Some(self.clock.with_own(accessor)) } else { fenced.clone() };
            if let (Some(location), Some(clock)) = (location, clock) {
                released.entry(*location).or_default().join(&clock);
            }
        }
    }
}
