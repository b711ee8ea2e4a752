//! The instructions of a warp that are not control flow, each by the file of its kind.

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::groups;
use super::run::Env;
use super::warp::{Warp, lanes};
use crate::program::{Action, Order};

impl Warp {
    /// Executes an action for the lanes of `mask` and returns whether other warps should run now. A warp yields after
    /// each access that may be part of a spin loop, so that the awaited warp can run.
    pub(super) fn execute(&mut self, env: &mut Env, action: &Action, pc: usize, mask: u32) -> Checked<bool> {
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
            Action::Matrix(function) => {
                Self::check_whole(mask)?;
                function(&mut self.registers);
            }
            Action::MatrixAccess(access) => self.matrix_access(env, access, pc, mask)?,
            Action::CopyAsync(copy) => self.copy_async(env, copy, pc, mask)?,
            Action::AsyncBarrier(barrier) => {
                self.async_barrier(env, barrier, pc, mask)?;
                return Ok(true);
            }
            Action::ClusterArrive { releases } => self.cluster_arrive(env, *releases, pc, mask)?,
            Action::Elect { d, p, members } => self.elect(*d, *p, *members, mask)?,
            Action::Texture(access) => self.texture(env, access, mask)?,
            Action::Atomics(atomics) => {
                for atomic in atomics {
                    self.atomic(env, atomic, pc, mask)?;
                }
                return Ok(true);
            }
            Action::Fence(scope) => {
                let accessor = self.accessor(env, pc, true);
                self.sync.fence(&accessor, *scope);
                self.agent.time += 1;
            }
            Action::WarpSync { members } => {
                let (members, live) = (self.converge(*members, mask)?, self.live());
                for members in groups(&members, mask) {
                    self.lane_syncs.join(members, live, &mut self.agent.syncs);
                }
            }
            Action::Shuffle(shuffle) => self.shuffle(shuffle, env.run.launch.checks, mask)?,
            Action::Reduce { d, a, members, function } => self.reduce(*d, *a, *function, *members, mask)?,
            Action::Match { d, p, a, members, all } => self.find_equal((*d, *p), *a, *members, *all, mask)?,
            Action::Vote { d, p, negated, members, function } => {
                let p = self.registers.predicates[*p] ^ if *negated { u32::MAX } else { 0 };
                self.vote(*d, p, *function, *members, mask)?;
            }
            Action::ActiveMask { d } => lanes(mask).for_each(|lane| self.registers.b32[*d][lane as usize] = mask),
            Action::Clock { d } => {
                let now = self.timing.now();
                lanes(mask).for_each(|lane| self.registers.set(*d, lane, now));
            }
            Action::Call { target, frame } => self.call(env.run.launch.program, &[(*target, mask)], *frame)?,
            Action::CallPointer { register, frame } => {
                let callees = self.callees(env.run.launch.program, *register, mask)?;
                self.call(env.run.launch.program, &callees, *frame)?;
            }
            Action::Copy { from, to, len } => {
                let size = env.run.launch.program.local_size;
                for start in lanes(mask).map(|lane| lane as usize * size) {
                    self.local.copy(start + *from as usize, start + *to as usize, *len);
                }
            }
            Action::System { system, arguments } => self.system(env, *system, arguments, pc, mask)?,
            Action::Nothing => return Ok(true),
            Action::Trap => return Err(Violation::new(FaultKind::Trap, mask.trailing_zeros(), "the kernel trapped")),
            _ => unreachable!("`Warp::step` executes the other actions"),
        }
        Ok(false)
    }
}
