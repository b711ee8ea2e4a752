//! The addresses of loads, stores and atomics, with the checks of alignment and bounds.
#![allow(clippy::needless_range_loop, reason = "LLVM inlines no iterators into code for other vectors")]

use super::content::contains;
use super::fault::{Checked, FaultKind, Violation};
use super::run::Env;
use super::warp::{Warp, lanes};
use crate::program::lanes::per_lane;
use crate::program::processor::{self, Task};
use crate::program::{Access, CLUSTER_RANK, Register, Registers, WINDOW, window};
use crate::ptx::syntax::Space;

/// The bytes that a lane accesses.
#[derive(Clone, Copy)]
pub(super) struct LaneAccess {
    pub(super) space: Space,
    /// The address in global memory, or the offset in any other state space.
    pub(super) address: u64,
    pub(super) len: usize,
    pub(super) lane: u32,
}

impl LaneAccess {
    pub(super) fn violation(&self, kind: FaultKind, message: String) -> Box<Violation> {
        Violation::new(kind, self.lane, message)
    }
}

/// The bytes that the lanes of a warp access.
pub(super) struct Targets {
    spaces: [Space; 32],
    /// The address of each lane, which is by `origin` larger than in [`LaneAccess`].
    pub(super) addresses: [u64; 32],
    pub(super) origin: u64,
    /// The common properties of all lanes' addresses, if they are in one state space.
    pub(super) together: Option<Together>,
    pub(super) len: usize,
}

/// Addresses of one state space. Inactive lanes have the address of an active one.
#[derive(Clone, Copy)]
pub(super) struct Together {
    pub(super) space: Space,
    /// The smallest and the largest address or offset.
    pub(super) least: u64,
    pub(super) most: u64,
    /// Whether each lane accesses the bytes that follow those of the lane before.
    pub(super) consecutive: bool,
    /// Whether the upper 16 lanes have the addresses of the lower ones.
    pub(super) halves: bool,
}

/// The lanes whose address differs from that of the lane before, and lane 0.
struct Starts<'t>(&'t [u64; 32]);

impl Task for Starts<'_> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        let mut starts = 1;
        for lane in 1..32 {
            starts |= u32::from(self.0[lane] != self.0[lane - 1]) << lane;
        }
        starts
    }
}

impl Targets {
    /// Returns targets of `len` bytes each, without addresses.
    pub(super) fn new(len: usize) -> Self {
        Self { spaces: [Space::Global; 32], addresses: [0; 32], origin: 0, together: None, len }
    }

    /// Calls `f` with the first lane of each group of lanes with one address, and with the lanes of the group. Lanes of one
    /// address may be in several groups.
    #[inline(always)]
    pub(super) fn for_each_group(
        &self,
        together: &Together,
        mask: u32,
        mut f: impl FnMut(u32, u32) -> Checked,
    ) -> Checked {
        let halves = together.halves && together.least != together.most;
        let most = if halves { 16 } else { 32 };
        let mut starts = match together {
            _ if together.least == together.most => 1,
            Together { consecutive: true, .. } => u32::MAX,
            _ => processor::run(Starts(&self.addresses)) & (u32::MAX >> (32 - most)),
        };
        while starts != 0 {
            let first = starts.trailing_zeros();
            starts &= starts - 1;
            // The group ends before the next start.
            let end = if starts == 0 { most } else { starts.trailing_zeros() };
            let group = u32::MAX >> (32 - (end - first)) << first;
            let group = if halves { group | group << 16 } else { group } & mask;
            if group != 0 {
                f(first, group)?;
            }
        }
        Ok(())
    }

    pub(super) fn lane(&self, lane: u32) -> LaneAccess {
        let (space, address) = (self.spaces[lane as usize], self.addresses[lane as usize] - self.origin);
        LaneAccess { space, address, len: self.len, lane }
    }
}

/// Returns the state space of a generic address, and the first generic address of this space.
fn space_of(address: u64) -> (Space, u64) {
    let windows = [Space::Shared, Space::Local, Space::Param];
    let inside = |space: &Space| address / WINDOW == window(*space) / WINDOW;
    let space = windows.into_iter().find(inside).unwrap_or(Space::Global);
    (space, window(space))
}

/// Returns the first address and the size of a state space, for a lane in local memory, or `None` for global memory.
fn bounds(env: &Env, space: Space) -> Option<(u64, u64)> {
    match space {
        Space::Global => None,
        Space::Shared => Some((env.run.shared_base, env.block.shared.len() as u64)),
        Space::Local => Some((0, env.run.launch.program.local_size as u64)),
        _ => Some((0, env.run.params.len() as u64)),
    }
}

/// The computation of the addresses of a warp, of which those of inactive lanes become the address of an active lane.
struct AddressSums<'s> {
    registers: &'s Registers,
    access: &'s Access,
    mask: u32,
    len: usize,
    addresses: &'s mut [u64; 32],
}

/// The union of the bits of a warp's addresses, with the smallest and the largest.
struct Sums {
    bits: u64,
    least: u64,
    most: u64,
    /// As in [`Together`].
    consecutive: bool,
    halves: bool,
}

impl Task for AddressSums<'_> {
    type Output = Sums;

    #[inline(always)]
    fn run(self) -> Sums {
        let Self { registers, access, mask, len, addresses } = self;
        let offset = access.offset as u64;
        /// Stores the sums of a type of integers as the addresses.
        macro_rules! sums {
            ($sums:expr) => {{
                let mut sums = $sums;
                let first = sums[mask.trailing_zeros() as usize];
                if mask != u32::MAX {
                    for lane in 0..32 {
                        sums[lane] = if mask >> lane & 1 == 1 { sums[lane] } else { first };
                    }
                }
                let (mut bits, mut least, mut most) = (0, first, first);
                // The first address without the offset of each lane is the same.
                let (mut apart, mut unequal) = (0, 0);
                for lane in 0..32 {
                    let sum = sums[lane];
                    (bits, least, most) = (bits | sum, least.min(sum), most.max(sum));
                    apart |= sum.wrapping_sub((lane * len) as _) ^ sums[0];
                }
                for lane in 0..16 {
                    unequal |= sums[lane] ^ sums[lane + 16];
                }
                *addresses = per_lane(|lane| sums[lane].into());
                let (consecutive, halves) = (apart == 0, unequal == 0);
                Sums { bits: bits.into(), least: least.into(), most: most.into(), consecutive, halves }
            }};
        }
        match access.base {
            None => sums!([offset; 32]),
            Some(Register::B64(slot)) => {
                let bases = &registers.b64[slot];
                sums!(per_lane(|lane| bases[lane].wrapping_add(offset)))
            }
            Some(base) => {
                // ptxas adds constants to addresses of 32 bits without regard to their signs, so sums are modulo 2^32.
                let bases = &registers.b32[base.slot()];
                sums!(per_lane(|lane| bases[lane].wrapping_add(offset as u32)))
            }
        }
    }
}

impl Warp {
    /// Computes the bytes that each lane of `mask` accesses, with the checks of [`Warp::resolve`]. `targets` are empty and
    /// have the length of the access.
    #[inline]
    pub(super) fn resolve_all(&self, env: &Env, access: &Access, mask: u32, targets: &mut Targets) -> Checked {
        targets.together = self.resolve_together(env, access, mask, targets);
        if targets.together.is_some() {
            return Ok(());
        }
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, targets.len)?;
            (targets.spaces[lane as usize], targets.addresses[lane as usize]) = (target.space, target.address);
        }
        Ok(())
    }

    /// Computes the bytes of all lanes of `mask` at once, or returns `None` if a check fails or if the lanes access
    /// different state spaces.
    #[inline]
    fn resolve_together(&self, env: &Env, access: &Access, mask: u32, targets: &mut Targets) -> Option<Together> {
        let (registers, len, addresses) = (&self.registers, targets.len, &mut targets.addresses);
        let Sums { bits, least, most, consecutive, halves } =
            processor::run(AddressSums { registers, access, mask, len, addresses });
        let (space, base) = match access.space {
            Space::Generic if least / WINDOW == most / WINDOW => space_of(least),
            Space::Generic => return None,
            Space::Const => (Space::Global, 0),
            space => (space, 0),
        };
        let (start, size) = bounds(env, space).unwrap_or((0, u64::MAX));
        let contained = least - base >= start && contains(size, most - base - start, len);
        if bits & (len as u64 - 1) != 0 || !contained {
            return None;
        }
        let (start, stride) = (base + start, if space == Space::Local { size } else { 0 });
        targets.origin = start;
        if stride != 0 {
            (0..).zip(&mut targets.addresses).for_each(|(lane, address)| *address += lane * stride);
        }
        targets.spaces = [space; 32];
        let (least, most) = (least - start, most - start + 31 * stride);
        Some(Together { space, least, most, consecutive: consecutive && stride == 0, halves: halves && stride == 0 })
    }

    /// Computes the bytes that a lane accesses. Checks the alignment and, except for global memory, the bounds.
    pub(super) fn resolve(&self, env: &Env, access: &Access, lane: u32, len: usize) -> Checked<LaneAccess> {
        let base = access.base.map_or(0, |base| self.registers.get(base, lane));
        let mut address = base.wrapping_add_signed(access.offset);
        if matches!(access.base, Some(Register::B32(_))) {
            address &= u64::from(u32::MAX);
        }
        // All lengths are powers of two, and a division takes longer.
        if address & (len as u64 - 1) != 0 {
            let message = format!("address {address:#x} must be a multiple of {len}");
            return Err(Violation::new(FaultKind::Misaligned, lane, message));
        }
        let (space, window) = match access.space {
            Space::Generic => space_of(address),
            Space::Const => (Space::Global, 0),
            space => (space, 0),
        };
        let mut address = address - window;
        let mut rank = 0;
        if space == Space::Shared && env.run.cluster.active && address >> 32 == 0 {
            rank = address >> CLUSTER_RANK;
            address &= (1 << CLUSTER_RANK) - 1;
            if rank == u64::from(env.run.clusters.rank(env.block.index).1) + 1 {
                rank = 0;
            }
        }
        let Some((start, size)) = bounds(env, space) else { return Ok(LaneAccess { space, address, len, lane }) };
        let offset = address.checked_sub(start).filter(|offset| contains(size, *offset, len));
        let Some(offset) = offset else {
            let what = match space {
                Space::Shared => "the block's shared memory",
                Space::Local => "the lane's local memory",
                _ => "the kernel's parameters",
            };
            let message = format!("{len} bytes at {address:#x} in {what}, which has {size} bytes from {start:#x} on");
            return Err(Violation::new(FaultKind::OutOfBounds, lane, message));
        };
        let base = if space == Space::Local { u64::from(lane) * size } else { 0 };
        Ok(LaneAccess { space, address: (offset + base) | (rank << CLUSTER_RANK), len, lane })
    }
}
