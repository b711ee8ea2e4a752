//! Barriers in shared memory, and asynchronous copies.

use super::fault::{Checked, FaultKind, Violation};
use super::run::Env;
use super::warp::{Warp, lanes};
use crate::program::{AsyncBarrier, AsyncOperation, CopyAsync, Order, Register};

/// The state of a barrier, which is eight bytes of shared memory. Its layout is ours, because the manual leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// The arrivals that the current phase waits for, of 20 bits.
    pending: u32,
    /// The arrivals that each phase waits for, of 20 bits.
    expected: u32,
    /// The bytes that the current phase waits for, of 23 bits with a sign.
    bytes: i32,
    /// The parity of the current phase.
    parity: u64,
}

/// The number of bits of the counts of arrivals.
const COUNT: u32 = 20;

impl State {
    fn of(bits: u64) -> Self {
        let count = |at: u32| (bits >> at) as u32 & ((1 << COUNT) - 1);
        let bytes = ((bits << 1) as i64 >> (2 * COUNT + 1)) as i32;
        Self { pending: count(0), expected: count(COUNT), bytes, parity: bits >> 63 }
    }

    fn bits(self) -> u64 {
        let bytes = (self.bytes as u64) << (2 * COUNT) & (u64::MAX >> 1);
        u64::from(self.pending) | u64::from(self.expected) << COUNT | bytes | self.parity << 63
    }

    /// Begins the next phase if nothing is pending.
    fn advanced(self) -> Self {
        match (self.pending, self.bytes) {
            (0, 0) => Self { pending: self.expected, parity: self.parity ^ 1, ..self },
            _ => self,
        }
    }

    /// Counts arrivals, or returns `None` if fewer are pending.
    fn arrived(self, count: u32) -> Option<Self> {
        Some(Self { pending: self.pending.checked_sub(count)?, ..self }.advanced())
    }
}

impl Warp {
    /// Executes an operation on a barrier, one lane after the other.
    pub(super) fn async_barrier(&mut self, env: &mut Env, barrier: &AsyncBarrier, pc: usize, mask: u32) -> Checked {
        let AsyncBarrier { access, operation, operand, d } = barrier;
        let accessor = self.accessor(env, pc, true);
        let mut passed = 0;
        for lane in lanes(mask) {
            let target = self.resolve(env, access, lane, 8)?;
            let value = self.registers.get(*operand, lane);
            let locations = env.synchronises(access, &target);
            if *operation == AsyncOperation::Initialise {
                let count = value as u32 & ((1 << COUNT) - 1);
                let state = State { pending: count, expected: count, bytes: 0, parity: 0 };
                self.store_bytes(env, &target, &state.bits().to_le_bytes(), &accessor)?;
                continue;
            }
            let bits = self.load_bytes(env, &target, 1 << lane, &accessor)? as u64;
            let state = State::of(bits);
            if let AsyncOperation::Wait | AsyncOperation::WaitParity = operation {
                let parity = if *operation == AsyncOperation::Wait { value >> 63 } else { value & 1 };
                let complete = state.parity != parity;
                if let Some(locations) = locations.filter(|_| complete) {
                    self.sync.read(&env.run.released, &locations, access.order == Order::Acquire);
                }
                passed |= u32::from(complete) << lane;
                continue;
            }
            let next = match operation {
                AsyncOperation::Expect => Some(State { bytes: state.bytes.wrapping_add(value as i32), ..state }),
                AsyncOperation::Complete => {
                    Some(State { bytes: state.bytes.wrapping_sub(value as i32), ..state }.advanced())
                }
                AsyncOperation::Arrive => state.arrived(value as u32),
                AsyncOperation::ArriveExpect => {
                    State { bytes: state.bytes.wrapping_add(value as i32), ..state }.arrived(1)
                }
                AsyncOperation::DropExpect => {
                    let bytes = state.bytes.wrapping_add(value as i32);
                    State { bytes, expected: state.expected.saturating_sub(1), ..state }.arrived(1)
                }
                _ => {
                    let expected = state.expected.saturating_sub(value as u32);
                    State { expected, ..state }.arrived(value as u32)
                }
            };
            let next = next.ok_or_else(|| {
                let message = format!("{value} threads arrive, but the barrier waits for {} only", state.pending);
                Violation::new(FaultKind::Barrier, lane, message)
            })?;
            self.store_bytes(env, &target, &next.bits().to_le_bytes(), &accessor)?;
            if let Some(locations) = &locations {
                self.release(env, locations, &accessor, access.order);
            }
            if let Some(d) = d {
                self.registers.set(*d, lane, bits);
            }
        }
        if let Some(Register::Predicate(p)) = d {
            self.registers.set_predicate(*p, mask, passed);
        }
        if passed != 0 {
            // The barrier also orders the accesses of the lanes of this warp.
            self.synchronise_lanes();
        }
        Ok(())
    }

    /// Orders all accesses of the warp's lanes so far before their later ones.
    pub(super) fn synchronise_lanes(&mut self) {
        self.lane_syncs.join(u32::MAX, u32::MAX, &mut self.agent.syncs);
        self.lane_convergences.join(u32::MAX, u32::MAX, &mut self.agent.convergences);
    }

    /// Copies bytes from global to shared memory in each lane of `mask`.
    pub(super) fn copy_async(&mut self, env: &mut Env, copy: &CopyAsync, pc: usize, mask: u32) -> Checked {
        for lane in lanes(mask) {
            let count = match copy.bytes {
                Some(Register::Predicate(slot)) if self.registers.predicates[slot] >> lane & 1 == 1 => 0,
                None | Some(Register::Predicate(_)) => copy.len,
                Some(bytes) => copy.len.min(self.registers.get(bytes, lane) as usize),
            };
            let mut bytes = [0; 16];
            if count == copy.len {
                bytes = self.read_lane(env, &copy.from, pc, lane, count)?.to_le_bytes();
            } else {
                for (at, byte) in bytes.iter_mut().enumerate().take(count) {
                    let place = self.moved(&copy.from, lane, at);
                    *byte = self.read_lane(env, &place, pc, lane, 1)? as u8;
                }
            }
            self.write_lane(env, &copy.to, pc, lane, &bytes[..copy.len])?;
        }
        Ok(())
    }
}
