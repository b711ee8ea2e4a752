//! Loads, stores and atomics.

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::{Accessor, Locations};
use super::launch::Checks;
use super::memory::{Segment, contains};
use super::timing::bank_conflicts;
use super::warp::{Env, Warp, lanes};
use crate::program::{Access, Atomic, Order, Scope, WINDOW, window};
use crate::ptx::syntax::Space;

/// The bytes that a lane accesses.
#[derive(Clone, Copy)]
struct LaneAccess {
    space: Space,
    /// The address in global memory, or the offset in any other state space.
    address: u64,
    len: usize,
    lane: u32,
}

impl LaneAccess {
    fn violation(&self, kind: FaultKind, message: String) -> Box<Violation> {
        Violation::new(kind, self.lane, message)
    }
}

impl Env<'_, '_, '_> {
    /// Returns the segment of shared or global memory that contains `target`, and the offset in it.
    fn segment(&mut self, target: &LaneAccess) -> Checked<(&mut Segment, usize)> {
        if target.space == Space::Shared {
            return Ok((&mut self.block.shared, target.address as usize));
        }
        let found = self.run.memory.find(target.address, target.len);
        found.map_err(|message| target.violation(FaultKind::OutOfBounds, message))
    }

    /// Returns the locations through which an access synchronises, or `None` if the access is weak or local.
    fn synchronises(&self, access: &Access, target: &LaneAccess) -> Option<Locations> {
        let device = access.scope == Scope::Device && target.space != Space::Shared;
        let block = self.block.index + 1;
        (access.order != Order::Weak && target.space != Space::Local)
            .then_some([Some((block, target.address)), device.then_some((0, target.address))])
    }

    /// Returns whether races and uninitialised bytes are looked for in a state space.
    fn checks(&self, space: Space) -> bool {
        let level = if space == Space::Shared { Checks::Cuda } else { Checks::Strict };
        self.run.launch.checks >= level
    }

    fn count_access(&mut self, access: &Access, pc: usize, mask: u32, addresses: &[u64; 32]) {
        let len = access.width * access.elements.len();
        let counts = &mut self.run.profile.instructions[pc];
        counts.bytes += u64::from(mask.count_ones()) * len as u64;
        if self.run.launch.timed && access.space == Space::Shared {
            counts.conflicts += bank_conflicts(lanes(mask).map(|lane| addresses[lane as usize]), len);
        }
    }
}

impl Warp {
    pub fn load(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Checked {
        let accessor = self.accessor(env, pc, access.order != Order::Weak);
        let (mut addresses, mut spaces) = ([0; 32], [Space::Global; 32]);
        let len = access.width * access.elements.len();
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, len)?;
            (spaces[lane as usize], addresses[lane as usize]) = (target.space, target.address);
        }
        // Often all lanes have one address, or both half-warps have the same addresses. Lanes with one address are
        // loaded and checked together.
        let repeats = |step: usize| mask == u32::MAX && addresses[step..] == addresses[..32 - step];
        let (leaders, group) = if repeats(1) {
            (1, u32::MAX)
        } else if repeats(16) {
            (0xffff, 0x1_0001)
        } else {
            (mask, 1)
        };
        for lane in lanes(leaders) {
            let target = LaneAccess { space: spaces[lane as usize], address: addresses[lane as usize], len, lane };
            let group = group << lane;
            let bytes = self.load_bytes(env, &target, group, &accessor)?;
            if let Some(locations) = env.synchronises(access, &target) {
                self.sync.read(&env.run.released, &locations, access.order == Order::Acquire);
            }
            for (i, d) in access.elements.iter().enumerate() {
                let mut raw = [0; 8];
                raw[..access.width].copy_from_slice(&bytes[i * access.width..(i + 1) * access.width]);
                let value = u64::from_le_bytes(raw);
                let unused = 64 - 8 * access.width as u32;
                let value = if access.signed { ((value << unused) as i64 >> unused) as u64 } else { value };
                lanes(group).for_each(|lane| self.registers.set(*d, lane, value));
            }
        }
        env.count_access(access, pc, mask, &addresses);
        Ok(())
    }

    pub fn store(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Checked {
        let accessor = self.accessor(env, pc, access.order != Order::Weak);
        let mut addresses = [0; 32];
        let len = access.width * access.elements.len();
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, len)?;
            addresses[lane as usize] = target.address;
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
        env.count_access(access, pc, mask, &addresses);
        Ok(())
    }

    /// Executes an atomic, one lane after the other.
    pub fn atomic(&mut self, env: &mut Env, atomic: &Atomic, pc: usize, mask: u32) -> Checked {
        let (access, len) = (&atomic.access, atomic.access.width);
        let accessor = self.accessor(env, pc, true);
        env.run.profile.instructions[pc].bytes += 2 * u64::from(mask.count_ones()) * len as u64;
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, len)?;
            let bytes = self.load_bytes(env, &target, 1 << lane, &accessor)?;
            let old = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
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
    pub(super) fn read_lane(
        &self,
        env: &mut Env,
        access: &Access,
        pc: usize,
        lane: u32,
        len: usize,
    ) -> Checked<[u8; 16]> {
        let accessor = self.accessor(env, pc, false);
        let target = self.resolve(env, access, lane, len)?;
        self.load_bytes(env, &target, 1 << lane, &accessor)
    }

    fn release(&mut self, env: &mut Env, locations: &Locations, accessor: &Accessor, order: Order) {
        let release = matches!(order, Order::Release | Order::AcquireRelease);
        self.sync.write(&mut env.run.released, locations, accessor, release);
        self.agent.time += u32::from(release);
    }

    /// Computes the bytes that a lane accesses. Checks the alignment and, except for global memory, the bounds.
    fn resolve(&self, env: &Env, access: &Access, lane: u32, len: usize) -> Checked<LaneAccess> {
        let base = access.base.map_or(0, |base| self.registers.get(base, lane));
        let address = base.wrapping_add_signed(access.offset);
        // All lengths are powers of two, and a division takes longer.
        if address & (len as u64 - 1) != 0 {
            let message = format!("address {address:#x} must be a multiple of {len}");
            return Err(Violation::new(FaultKind::Misaligned, lane, message));
        }
        let space = match access.space {
            Space::Generic => {
                let windows = [Space::Shared, Space::Local, Space::Param];
                let inside = |space: &&Space| address.wrapping_sub(window(**space)) < WINDOW;
                windows.iter().find(inside).copied().unwrap_or(Space::Global)
            }
            Space::Const => Space::Global,
            space => space,
        };
        let address = if access.space == Space::Generic { address - window(space) } else { address };
        let local_size = env.run.launch.program.local_size as u64;
        let (size, start, what) = match space {
            Space::Global => return Ok(LaneAccess { space, address, len, lane }),
            Space::Shared => (env.block.shared.bytes().len() as u64, env.run.shared_base, "the block's shared memory"),
            Space::Local => (local_size, 0, "the lane's local memory"),
            _ => (env.run.params.len() as u64, 0, "the kernel's parameters"),
        };
        let offset = address.checked_sub(start).filter(|offset| contains(size, *offset, len));
        let Some(offset) = offset else {
            let message = format!("{len} bytes at {address:#x} in {what}, which has {size} bytes from {start:#x} on");
            return Err(Violation::new(FaultKind::OutOfBounds, lane, message));
        };
        let base = if space == Space::Local { u64::from(lane) * local_size } else { 0 };
        Ok(LaneAccess { space, address: offset + base, len, lane })
    }

    /// Loads the bytes of `target` for all lanes of `group`.
    fn load_bytes(&self, env: &mut Env, target: &LaneAccess, group: u32, accessor: &Accessor) -> Checked<[u8; 16]> {
        let LaneAccess { space, address, len, .. } = *target;
        let at = address as usize;
        match space {
            Space::Param => {
                let mut bytes = [0; 16];
                bytes[..len].copy_from_slice(&env.run.params[at..at + len]);
                Ok(bytes)
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
                let bytes = segment.read(at, len);
                if checks {
                    let written = segment.is_written(at, len);
                    segment.shadows.record_read(at..at + len, group, &observer)?;
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
        if env.run.warnings.is_empty() {
            env.run.warnings.push(*env.run.fault(env.block.index, self, *violation));
        }
        Ok(())
    }

    fn store_bytes(&mut self, env: &mut Env, target: &LaneAccess, bytes: &[u8], accessor: &Accessor) -> Checked {
        if target.space == Space::Local {
            self.local.write(target.address as usize, bytes);
            return Ok(());
        }
        let checks = env.checks(target.space);
        let observer = self.observer(env, *accessor);
        let (segment, at) = env.segment(target)?;
        if checks {
            let same = segment.bytes()[at..at + bytes.len()] == *bytes;
            segment.shadows.record_write(at..at + bytes.len(), target.lane, same, &observer)?;
        }
        let changed = segment.write(at, bytes);
        env.run.changes += u64::from(changed);
        Ok(())
    }
}
