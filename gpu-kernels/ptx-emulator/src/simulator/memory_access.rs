//! Loads, stores and atomics.

use super::addresses::{LaneAccess, Targets};
use super::fault::{Checked, FaultKind};
use super::happens_before::{Accessor, Locations};
use super::launch::Checks;
use super::run::Env;
use super::segment::Segment;
use super::timing::{shared_rounds, transactions};
use super::warp::{Warp, lanes};
use super::warp_access::JointAccess;
use crate::program::{Access, Atomic, CLUSTER_RANK, Order, Register, Scope};
use crate::ptx::syntax::Space;

/// Splits an address in the shared memory of another block of the cluster into the rank of the block and the offset.
fn split_rank(address: u64) -> (u32, u64) {
    ((address >> CLUSTER_RANK) as u32 - 1, address & ((1 << CLUSTER_RANK) - 1))
}

impl Env<'_, '_, '_> {
    /// Returns the segment of shared or global memory that contains `target`, and the offset in it.
    fn segment(&mut self, target: &LaneAccess) -> Checked<(&mut Segment, usize)> {
        if target.space == Space::Shared {
            if target.address >> CLUSTER_RANK == 0 {
                return Ok((&mut self.block.shared, target.address as usize));
            }
            let (rank, address) = split_rank(target.address);
            let peer = self.run.cluster.peers.get_mut(&rank);
            let peer = peer.ok_or_else(|| {
                let message = format!("block {rank} of the cluster has exited, or is not in the cluster");
                target.violation(FaultKind::OutOfBounds, message)
            })?;
            return Ok((peer, address as usize));
        }
        let found = self.run.memory.find(target.address, target.len);
        found.map_err(|message| target.violation(FaultKind::OutOfBounds, message))
    }

    /// Returns the locations through which an access synchronises, or `None` if the access is weak or local.
    pub(super) fn synchronises(&self, access: &Access, target: &LaneAccess) -> Option<Locations> {
        let device = access.scope == Scope::Device && target.space != Space::Shared;
        let (mut block, mut address) = (self.block.index, target.address);
        if target.space == Space::Shared && address >> CLUSTER_RANK != 0 {
            let (rank, offset) = split_rank(address);
            let clusters = &self.run.clusters;
            (block, address) = (clusters.block(clusters.rank(block).0, rank), offset);
        }
        (access.order != Order::Weak && target.space != Space::Local)
            .then_some([Some((block + 1, address)), device.then_some((0, address))])
    }

    /// Returns whether races and uninitialised bytes are looked for in a state space.
    #[inline]
    pub(super) fn checks(&self, space: Space) -> bool {
        let level = if space == Space::Shared { Checks::Cuda } else { Checks::Strict };
        self.run.launch.checks >= level
    }

    fn count_access(&mut self, access: &Access, pc: usize, mask: u32, addresses: &[u64; 32], is_load: bool) {
        let len = access.width * access.elements.len();
        let counts = &mut self.run.profile.instructions[pc];
        counts.bytes += u64::from(mask.count_ones()) * len as u64;
        if !self.run.launch.timed {
            return;
        }
        let accessed = lanes(mask).map(|lane| addresses[lane as usize]);
        match access.space {
            Space::Shared => {
                let rounds = shared_rounds(accessed, len, is_load);
                counts.conflicts += rounds[1];
                self.block.region.access_shared(rounds);
            }
            Space::Global | Space::Generic => counts.transactions += transactions(accessed, len),
            _ => {}
        }
    }
}

impl Warp {
    pub fn load(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Checked {
        let accessor = self.accessor(env, pc, access.order != Order::Weak);
        let len = access.width * access.elements.len();
        let mut targets = Targets::new(len);
        self.resolve_all(env, access, mask, &mut targets)?;
        env.count_access(access, pc, mask, &targets.addresses, true);
        if access.order == Order::Weak
            && let Some(together) = &targets.together
            && self
                .load_together(env, &JointAccess { access, mask, targets: &targets, together, accessor: &accessor })?
        {
            return Ok(());
        }
        let mut loaded = [0; 32];
        for lane in lanes(mask) {
            let target = targets.lane(lane);
            loaded[lane as usize] = self.load_bytes(env, &target, 1 << lane, &accessor)?;
            if let Some(locations) = env.synchronises(access, &target) {
                self.sync.read(&env.run.released, &locations, access.order == Order::Acquire);
            }
        }
        let unused = 64 - 8 * access.width as u32;
        for (i, d) in access.elements.iter().enumerate() {
            let value = |lane: u32| (loaded[lane as usize] >> (8 * i * access.width)) as u64;
            match *d {
                Register::B32(slot) if unused == 32 => {
                    let register = &mut self.registers.b32[slot];
                    lanes(mask).for_each(|lane| register[lane as usize] = value(lane) as u32);
                }
                d if access.signed => lanes(mask)
                    .for_each(|lane| self.registers.set(d, lane, ((value(lane) << unused) as i64 >> unused) as u64)),
                d => lanes(mask).for_each(|lane| self.registers.set(d, lane, value(lane) << unused >> unused)),
            }
        }
        Ok(())
    }

    pub fn store(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Checked {
        let accessor = self.accessor(env, pc, access.order != Order::Weak);
        let len = access.width * access.elements.len();
        let mut targets = Targets::new(len);
        self.resolve_all(env, access, mask, &mut targets)?;
        env.count_access(access, pc, mask, &targets.addresses, false);
        if access.order == Order::Weak
            && let Some(together) = &targets.together
            && self
                .store_together(env, &JointAccess { access, mask, targets: &targets, together, accessor: &accessor })?
        {
            return Ok(());
        }
        for lane in lanes(mask) {
            let target = targets.lane(lane);
            let mut bytes = [0; 16];
            for (i, source) in access.elements.iter().enumerate() {
                let value = self.registers.get(*source, lane).to_le_bytes();
                bytes[i * access.width..(i + 1) * access.width].copy_from_slice(&value[..access.width]);
            }
            self.store_bytes(env, &target, &bytes[..len], &accessor)?;
            if let Some(locations) = env.synchronises(access, &target) {
                // Only a read-modify-write continues the release sequence of the previous write.
                for location in locations.iter().flatten() {
                    env.run.released.remove(location);
                }
                self.release(env, &locations, &accessor, access.order);
            }
        }
        Ok(())
    }

    /// Executes an atomic, one lane after the other.
    pub fn atomic(&mut self, env: &mut Env, atomic: &Atomic, pc: usize, mask: u32) -> Checked {
        let (access, len) = (&atomic.access, atomic.access.width);
        let accessor = self.accessor(env, pc, true);
        env.run.profile.instructions[pc].bytes += 2 * u64::from(mask.count_ones()) * len as u64;
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, len)?;
            let old = self.load_bytes(env, &target, 1 << lane, &accessor)? as u64;
            let swap = atomic.swap.map_or(0, |swap| self.registers.get(swap, lane));
            let new = (atomic.function)(old, self.registers.get(atomic.operand, lane), swap);
            let locations = env.synchronises(access, &target);
            if let Some(locations) = &locations {
                let acquire = matches!(access.order, Order::Acquire | Order::AcquireRelease);
                self.sync.read(&env.run.released, locations, acquire);
            }
            self.store_bytes(env, &target, &new.to_le_bytes()[..len], &accessor)?;
            if let Some(locations) = &locations {
                self.release(env, locations, &accessor, access.order);
            }
            if let Some(d) = atomic.d {
                self.registers.set(d, lane, old);
            }
        }
        Ok(())
    }

    /// Returns the bytes that one lane reads.
    pub(super) fn read_lane(&self, env: &mut Env, access: &Access, pc: usize, lane: u32, len: usize) -> Checked<u128> {
        let accessor = self.accessor(env, pc, false);
        let target = self.resolve(env, access, lane, len)?;
        self.load_bytes(env, &target, 1 << lane, &accessor)
    }

    /// Writes at most 16 bytes in one lane.
    pub(super) fn write_lane(&mut self, env: &mut Env, access: &Access, pc: usize, lane: u32, bytes: &[u8]) -> Checked {
        let accessor = self.accessor(env, pc, false);
        let target = self.resolve(env, access, lane, bytes.len())?;
        self.store_bytes(env, &target, bytes, &accessor)
    }

    pub(super) fn release(&mut self, env: &mut Env, locations: &Locations, accessor: &Accessor, order: Order) {
        let release = matches!(order, Order::Release | Order::AcquireRelease);
        self.sync.write(&mut env.run.released, locations, accessor, release);
        self.agent.time += u32::from(release);
    }

    /// Loads the bytes of `target` for all lanes of `group`.
    pub(super) fn load_bytes(
        &self,
        env: &mut Env,
        target: &LaneAccess,
        group: u32,
        accessor: &Accessor,
    ) -> Checked<u128> {
        let LaneAccess { space, address, len, .. } = *target;
        let at = address as usize;
        match space {
            Space::Param => {
                let mut bytes = [0; 16];
                bytes[..len].copy_from_slice(&env.run.params[at..at + len]);
                Ok(u128::from_le_bytes(bytes))
            }
            Space::Local => {
                if env.checks(space) && !self.local.is_written(at, len) {
                    self.report_uninitialised(env, target)?;
                }
                Ok(self.local.read(at, len))
            }
            _ => {
                let checks = env.checks(space);
                let observer = self.observer(env, *accessor);
                let (segment, at) = env.segment(target)?;
                let bytes = segment.load(at, len);
                if checks {
                    let written = segment.is_written(at, len);
                    let mut read = segment.shadows.begin_read(accessor);
                    segment.shadows.record_read(&mut read, at..at + len, |_| group, &observer)?;
                    if !written {
                        self.report_uninitialised(env, target)?;
                    }
                }
                Ok(bytes)
            }
        }
    }

    /// Reports a read of uninitialised bytes, at the level of [`Checks::Strict`] as a fault, and otherwise once for each
    /// launch as a warning.
    #[cold]
    fn report_uninitialised(&self, env: &mut Env, target: &LaneAccess) -> Checked {
        let LaneAccess { space, address, len, .. } = target;
        let message = format!("{len} bytes at {address:#x} of {space:?} memory");
        let violation = target.violation(FaultKind::Uninitialised, message);
        if env.run.launch.checks == Checks::Strict {
            return Err(violation);
        }
        // The first block counts, in whatever order they run.
        if env.run.warnings.first().is_none_or(|warning| env.block.index < warning.block) {
            env.run.warnings = vec![*env.run.fault(env.block.index, self, *violation)];
        }
        Ok(())
    }

    pub(super) fn store_bytes(
        &mut self,
        env: &mut Env,
        target: &LaneAccess,
        bytes: &[u8],
        accessor: &Accessor,
    ) -> Checked {
        if target.space == Space::Local {
            self.local.write(target.address as usize, bytes);
            return Ok(());
        }
        let checks = env.checks(target.space);
        let observer = self.observer(env, *accessor);
        let (segment, at) = env.segment(target)?;
        if checks {
            let same = segment.bytes_mut(at, bytes.len())[at..at + bytes.len()] == *bytes;
            let now = segment.shadows.begin(accessor);
            segment.shadows.record_write(now, at..at + bytes.len(), |_| (target.lane, same), &observer)?;
        }
        let changed = segment.write(at, bytes);
        env.run.changes += u64::from(changed);
        Ok(())
    }
}
