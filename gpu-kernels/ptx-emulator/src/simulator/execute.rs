//! Instructions with an effect beyond the registers of a lane.

use super::fault::{FaultKind, Violation};
use super::lanes::lanes;
use super::warp::{Env, Warp};
use crate::program::{Action, Order, Scope};

impl Warp {
    /// Executes an action for the lanes of `mask` and returns whether other warps should run now.
    ///
    /// A warp yields after each access that may be part of a spin loop, so that the warp it waits for can run.
    pub fn execute(&mut self, env: &mut Env, action: &Action, pc: usize, mask: u32) -> Result<bool, Box<Violation>> {
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
                if *scope == Scope::Device || env.run.blocks == 1 {
                    let accessor = self.accessor(env, pc, true);
                    self.sync.fence(&accessor);
                    env.block.time += 1;
                }
            }
            Action::WarpSync { members } => {
                let members = self.converge(*members, mask)?;
                self.syncs += u32::from(members == self.live());
            }
            Action::Shuffle(shuffle) => self.shuffle(shuffle, mask)?,
            Action::Vote { d, p, negated, members, mode } => {
                let p = self.registers.predicates[*p] ^ if *negated { u32::MAX } else { 0 };
                self.vote(*d, p, *mode, *members, mask)?;
            }
            Action::ActiveMask { d } => lanes(mask).for_each(|lane| self.registers.b32[*d][lane as usize] = mask),
            Action::Clock { d } => {
                let now = self.timing.now();
                lanes(mask).for_each(|lane| self.registers.set(*d, lane, now));
            }
            Action::Nothing => return Ok(true),
            Action::Trap => return Err(Violation::new(FaultKind::Trap, mask.trailing_zeros(), "the kernel trapped")),
            _ => unreachable!("`Warp::step` executes the other actions"),
        }
        Ok(false)
    }
}
