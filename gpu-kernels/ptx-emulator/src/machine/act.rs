//! What instructions do beyond registers.

use super::clocks::Who;
use super::counts::conflicts;
use super::fault::{Bad, FaultKind};
use super::warp::{Env, Warp};
use crate::program::{Access, Action, Atomic, Order, Register, Scope, VoteMode, window};
use crate::ptx::syntax::Space;

/// The lanes of a mask.
pub(super) fn each(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lane = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (lane < 32).then_some(lane)
    })
}

impl Warp {
    /// Executes an action for the lanes of `mask`; tells whether other warps should run now.
    pub(super) fn act(&mut self, env: &mut Env, action: &Action, pc: usize, mask: u32) -> Result<bool, Box<Bad>> {
        match action {
            Action::Load(access) => {
                self.load(env, access, pc, mask)?;
                return Ok(access.order != Order::Weak);
            }
            Action::Store(access) => self.store(env, access, pc, mask)?,
            Action::Atomic(atomic) => {
                self.atomic(env, atomic, pc, mask)?;
                return Ok(true);
            }
            Action::Fence(scope) => {
                if *scope == Scope::Device || env.single_block {
                    let who = self.who(env, pc, true);
                    self.sync.fence(&who);
                    env.shared.time += 1;
                }
            }
            Action::WarpSync { members } => {
                let all = self.members(*members, mask)?;
                self.converge(all);
                self.syncs += u32::from(all == self.live());
            }
            Action::Shuffle(shuffle) => self.shuffle(shuffle, mask)?,
            Action::Vote { d, p, negated, members, mode } => {
                let all = self.members(*members, mask)?;
                self.converge(all);
                let p = self.registers.predicates[*p] ^ if *negated { u32::MAX } else { 0 };
                let (holds, d) = (p & all, *d);
                let answer = match mode {
                    VoteMode::All => holds == all,
                    VoteMode::Any => holds != 0,
                    VoteMode::Uniform => holds == all || holds == 0,
                    VoteMode::Ballot => {
                        each(mask).for_each(|lane| self.registers.set(d, lane, u64::from(holds)));
                        return Ok(false);
                    }
                };
                if let Register::Predicate(slot) = d {
                    let file = &mut self.registers.predicates[slot];
                    *file = if answer { *file | mask } else { *file & !mask };
                }
            }
            Action::ActiveMask { d } => each(mask).for_each(|lane| self.registers.b32[*d][lane as usize] = mask),
            Action::Clock { d } => {
                let now = self.timing.now();
                each(mask).for_each(|lane| self.registers.set(*d, lane, now));
            }
            Action::Nothing => return Ok(true),
            Action::Trap => return Err(Bad::new(FaultKind::Trap, mask.trailing_zeros(), "the kernel gave up")),
            _ => unreachable!("the warp itself does the others"),
        }
        Ok(false)
    }

    /// The space and address that a lane accesses: generic addresses resolved, alignment checked.
    fn resolve(&self, env: &Env, access: &Access, lane: u32, len: usize) -> Result<(Space, u64), Box<Bad>> {
        let base = access.base.map_or(0, |base| self.registers.get(base, lane));
        let address = base.wrapping_add_signed(access.offset);
        if !address.is_multiple_of(len as u64) {
            let message = format!("address {address:#x} is no multiple of {len}");
            return Err(Bad::new(FaultKind::Misaligned, lane, message));
        }
        let space = match access.space {
            Space::Generic => {
                let windows = [Space::Shared, Space::Local, Space::Param];
                let inside = |space: &&Space| address.wrapping_sub(window(**space)) < 1 << 40;
                windows.iter().find(inside).copied().unwrap_or(Space::Global)
            }
            Space::Const => Space::Global,
            space => space,
        };
        let address = if access.space == Space::Generic { address - window(space) } else { address };
        let (size, start, what) = match space {
            Space::Global => return Ok((space, address)),
            Space::Shared => (env.shared.segment.len() as u64, env.shared_base, "the block's shared memory"),
            Space::Local => (env.program.local_size as u64, 0, "the lane's local memory"),
            _ => (env.params.len() as u64, 0, "the kernel's parameters"),
        };
        if address < start || address - start + len as u64 > size {
            let message = format!("{len} bytes at {address:#x} in {what}, which has {size} bytes from {start:#x} on");
            return Err(Bad::new(FaultKind::OutOfBounds, lane, message));
        }
        let base = if space == Space::Local { u64::from(lane) * env.program.local_size as u64 } else { 0 };
        Ok((space, address - start + base))
    }

    fn load(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Result<(), Box<Bad>> {
        let len = access.width * access.elements.len();
        let strong = access.order != Order::Weak;
        let who = self.who(env, pc, strong);
        let (mut addresses, mut spaces) = ([0; 32], [Space::Global; 32]);
        for lane in each(mask) {
            (spaces[lane as usize], addresses[lane as usize]) = self.resolve(env, access, lane, len)?;
        }
        // What several lanes read at one address is read and checked once.
        let twin = |step: usize| mask == u32::MAX && addresses[step..] == addresses[..32 - step];
        let (leaders, lanes) = if twin(1) {
            (1, u32::MAX)
        } else if twin(16) {
            (0xffff, 0x1_0001)
        } else {
            (mask, 1)
        };
        for lane in each(leaders) {
            let (space, address) = (spaces[lane as usize], addresses[lane as usize]);
            let lanes = lanes << lane;
            let bytes = self.load_lanes(env, space, address, len, lanes, &who)?;
            if strong && space != Space::Local && (access.scope == Scope::Device || env.single_block) {
                self.sync.read(env.released, place(space, address, env.block), access.order == Order::Acquire);
            }
            for (i, d) in access.elements.iter().enumerate() {
                let mut raw = [0; 8];
                raw[..access.width].copy_from_slice(&bytes[i * access.width..(i + 1) * access.width]);
                let value = u64::from_le_bytes(raw);
                let unused = 64 - 8 * access.width as u32;
                let value = if access.signed { ((value << unused) as i64 >> unused) as u64 } else { value };
                each(lanes).for_each(|lane| self.registers.set(*d, lane, value));
            }
        }
        count_access(env, access, pc, mask, &addresses, len);
        Ok(())
    }

    fn load_lanes(
        &self,
        env: &mut Env,
        space: Space,
        address: u64,
        len: usize,
        lanes: u32,
        who: &Who,
    ) -> Result<[u8; 16], Box<Bad>> {
        let (at, lane) = (address as usize, lanes.trailing_zeros());
        let nothing = || {
            let message = format!("{len} bytes at {address:#x} of {space:?} memory");
            Bad::new(FaultKind::Uninitialised, lane, message)
        };
        match space {
            Space::Param => {
                let mut bytes = [0; 16];
                bytes[..len].copy_from_slice(&env.params[at..at + len]);
                Ok(bytes)
            }
            Space::Local => {
                if !self.local.is_written(at, len) {
                    return Err(nothing());
                }
                Ok(self.local.read(at, len))
            }
            _ => {
                let (segment, at) = match space {
                    Space::Shared => (&mut env.shared.segment, at),
                    _ => match env.memory.find(address, len) {
                        Some(found) => found,
                        None => return Err(env.memory.outside(address, len, lane)),
                    },
                };
                if !segment.is_written(at, len) {
                    return Err(nothing());
                }
                segment.note_read(at, len, lanes, who, &self.sync.clocks)?;
                Ok(segment.read(at, len))
            }
        }
    }

    fn store(&mut self, env: &mut Env, access: &Access, pc: usize, mask: u32) -> Result<(), Box<Bad>> {
        let len = access.width * access.elements.len();
        let strong = access.order != Order::Weak;
        let who = self.who(env, pc, strong);
        let mut addresses = [0; 32];
        for lane in each(mask) {
            let (space, address) = self.resolve(env, access, lane, len)?;
            addresses[lane as usize] = address;
            let mut bytes = [0; 16];
            for (i, source) in access.elements.iter().enumerate() {
                let value = self.registers.get(*source, lane).to_le_bytes();
                bytes[i * access.width..(i + 1) * access.width].copy_from_slice(&value[..access.width]);
            }
            self.store_lane(env, space, address, &bytes[..len], lane, &who)?;
            if strong && space != Space::Local && (access.scope == Scope::Device || env.single_block) {
                let release = access.order == Order::Release;
                let place = place(space, address, env.block);
                self.sync.write(env.released, place, &who, release, false);
                env.shared.time += u32::from(release);
            }
        }
        count_access(env, access, pc, mask, &addresses, len);
        Ok(())
    }

    fn store_lane(
        &mut self,
        env: &mut Env,
        space: Space,
        address: u64,
        bytes: &[u8],
        lane: u32,
        who: &Who,
    ) -> Result<(), Box<Bad>> {
        let at = address as usize;
        let (segment, at) = match space {
            Space::Local => {
                self.local.write(at, bytes);
                return Ok(());
            }
            Space::Shared => (&mut env.shared.segment, at),
            _ => match env.memory.find(address, bytes.len()) {
                Some(found) => found,
                None => return Err(env.memory.outside(address, bytes.len(), lane)),
            },
        };
        let same = segment.bytes()[at..at + bytes.len()] == *bytes;
        segment.note_write(at, bytes.len(), lane, same, who, &self.sync.clocks)?;
        *env.changes += u64::from(segment.write(at, bytes));
        Ok(())
    }

    /// A read-modify-write of one lane after the other.
    fn atomic(&mut self, env: &mut Env, atomic: &Atomic, pc: usize, mask: u32) -> Result<(), Box<Bad>> {
        let (access, len) = (&atomic.access, atomic.access.width);
        let who = self.who(env, pc, true);
        let synchronises = access.scope == Scope::Device || env.single_block;
        env.counts.bytes[pc] += 2 * u64::from(mask.count_ones()) * len as u64;
        for lane in each(mask) {
            let (space, address) = self.resolve(env, access, lane, len)?;
            let bytes = self.load_lanes(env, space, address, len, 1 << lane, &who)?;
            let old = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
            let swap = atomic.swap.map_or(0, |swap| self.registers.get(swap, lane));
            let new = (atomic.function)(old, self.registers.get(atomic.operand, lane), swap);
            let place = place(space, address, env.block);
            if synchronises {
                let acquire = matches!(access.order, Order::Acquire | Order::AcquireRelease);
                self.sync.read(env.released, place, acquire);
            }
            self.store_lane(env, space, address, &new.to_le_bytes()[..len], lane, &who)?;
            if synchronises {
                let release = matches!(access.order, Order::Release | Order::AcquireRelease);
                self.sync.write(env.released, place, &who, release, true);
                env.shared.time += u32::from(release);
            }
            if let Some(d) = atomic.d {
                self.registers.set(d, lane, old);
            }
        }
        Ok(())
    }
}

fn count_access(env: &mut Env, access: &Access, pc: usize, mask: u32, addresses: &[u64; 32], len: usize) {
    env.counts.bytes[pc] += u64::from(mask.count_ones()) * len as u64;
    if env.counts.timed && access.space == Space::Shared {
        env.counts.conflicts[pc] += conflicts(each(mask).map(|lane| addresses[lane as usize]), len);
    }
}

/// Where something was released; each block has its own shared memory.
fn place(space: Space, address: u64, block: u32) -> (u32, u64) {
    if space == Space::Shared { (block + 1, address) } else { (0, address) }
}
