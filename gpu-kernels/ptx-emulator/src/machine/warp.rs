//! A warp: 32 lanes, of which some are active, and its way through the program.
//!
//! Lanes that part at a branch meet at its immediate post-dominator; the sides run one after the other.

use super::clocks::{Clocks, Released, Sync, Who};
use super::counts::{Counts, Timing};
use super::fault::{Bad, FaultKind};
use super::memory::Memory;
use super::segment::Segment;
use crate::program::{Action, Inst, NEVER, Program, Registers};

/// What the warps of a block share.
pub struct Shared {
    pub segment: Segment,
    /// Grows at each barrier.
    pub epoch: u32,
    /// Grows at each release.
    pub time: u32,
}

/// What a running warp needs beyond itself.
pub struct Env<'a> {
    pub program: &'a Program,
    pub memory: &'a mut Memory,
    pub shared: &'a mut Shared,
    pub params: &'a [u8],
    pub released: &'a mut Released,
    pub counts: &'a mut Counts,
    /// Where shared memory begins.
    pub shared_base: u64,
    pub block: u32,
    pub first_epoch: u32,
    pub single_block: bool,
    /// Grows whenever something changes that another warp can see.
    pub changes: &'a mut u64,
}

/// Why a warp stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It can go on.
    Yield,
    /// It waits at a barrier.
    Barrier(usize),
    /// All of its lanes have left.
    Exit,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    pc: usize,
    mask: u32,
    /// Where this path ends because another waits there.
    meet: usize,
}

/// A warp.
pub struct Warp {
    pub index: u32,
    pub registers: Registers,
    /// Each lane's local memory.
    pub local: Segment,
    pub sync: Sync,
    pub timing: Timing,
    pub state: Stop,
    /// The lanes that exist.
    pub lanes: u32,
    pub(super) syncs: u32,
    pub(super) converged: u32,
    paths: Vec<Path>,
    /// The instruction executed last.
    pub at: usize,
}

impl Warp {
    pub fn new(program: &Program, index: u32, lanes: u32) -> Self {
        Self {
            index,
            registers: program.registers.clone(),
            local: Segment::new(program.local_size * 32),
            sync: Sync::default(),
            timing: Timing::default(),
            state: Stop::Yield,
            lanes,
            syncs: 0,
            converged: 0,
            paths: vec![Path { pc: 0, mask: lanes, meet: NEVER }],
            at: 0,
        }
    }

    /// The lanes that have not left.
    pub(super) fn live(&self) -> u32 {
        self.paths.first().map_or(0, |path| path.mask)
    }

    pub(super) fn who(&self, env: &Env, pc: usize, strong: bool) -> Who {
        Who {
            block: env.block,
            warp: self.index,
            epoch: env.shared.epoch,
            time: env.shared.time,
            syncs: self.syncs,
            converged: self.converged,
            first_epoch: env.first_epoch,
            pc: pc as u32,
            strong,
        }
    }

    /// Goes on after a barrier: what any warp of the block relies on, all of them may.
    pub fn pass_barrier(&mut self, clocks: &Clocks, end: [u64; 2]) {
        self.sync.clocks.join(clocks);
        self.syncs += 1;
        self.converged += 1;
        self.timing.wait(end);
    }

    /// Runs up to `quantum` instructions.
    pub fn run(&mut self, env: &mut Env, quantum: usize) -> Result<(Stop, usize), Box<Bad>> {
        let program = env.program;
        for done in 0..quantum {
            while let Some(path) = self.paths.last() {
                if path.mask != 0 && path.pc != path.meet {
                    break;
                }
                self.paths.pop();
            }
            let Some(path) = self.paths.last_mut() else {
                *env.changes += 1;
                return Ok((Stop::Exit, done));
            };
            let (pc, active) = (path.pc, path.mask);
            self.at = pc;
            let inst = &program.code[pc];
            let mask = match inst.guard {
                None => active,
                Some((p, negated)) => active & (self.registers.predicates[p] ^ if negated { u32::MAX } else { 0 }),
            };
            env.counts.executed[pc] += 1;
            env.counts.lanes[pc] += u64::from(mask.count_ones());
            if env.counts.timed {
                self.timing.issue(inst, env.counts.latencies[pc]);
            }
            match &inst.action {
                Action::Compute(compute) => {
                    path.pc += 1;
                    if mask != 0 {
                        compute(&mut self.registers, mask);
                    }
                }
                Action::Branch { target, uniform } => self.branch(env, inst, mask, *target, *uniform)?,
                Action::Table { index, targets, uniform } => self.table(env, inst, mask, *index, targets, *uniform)?,
                Action::Exit => {
                    path.pc += 1;
                    self.paths.iter_mut().for_each(|path| path.mask &= !mask);
                }
                Action::Barrier(id) => {
                    path.pc += 1;
                    if mask != self.live() {
                        let message = format!("only lanes {mask:#x} of {:#x} reach the barrier", self.live());
                        let missing = (self.live() & !mask).trailing_zeros();
                        return Err(Bad::new(FaultKind::Barrier, missing, message));
                    }
                    return Ok((Stop::Barrier(*id), done + 1));
                }
                action => {
                    path.pc += 1;
                    // A lane that waits for others looks at memory again and again: let them run.
                    if mask != 0 && self.act(env, action, pc, mask)? {
                        return Ok((Stop::Yield, done + 1));
                    }
                }
            }
        }
        Ok((Stop::Yield, quantum))
    }

    fn branch(&mut self, env: &mut Env, inst: &Inst, mask: u32, target: usize, uniform: bool) -> Result<(), Box<Bad>> {
        let path = self.paths.last_mut().expect("a warp that runs has a path");
        let stay = path.mask & !mask;
        if mask == 0 || stay == 0 {
            path.pc = if mask == 0 { path.pc + 1 } else { target };
            return Ok(());
        }
        if uniform {
            let message = format!("`.uni`, but lanes {mask:#x} branch and lanes {stay:#x} do not");
            return Err(Bad::new(FaultKind::Branch, None, message));
        }
        env.counts.divergent[path.pc] += 1;
        let next = path.pc + 1;
        self.part(inst.reconvergence, &[(next, stay), (target, mask)]);
        Ok(())
    }

    fn table(
        &mut self,
        env: &mut Env,
        inst: &Inst,
        mask: u32,
        index: usize,
        targets: &[usize],
        uniform: bool,
    ) -> Result<(), Box<Bad>> {
        let path = self.paths.last_mut().expect("a warp that runs has a path");
        let (pc, stay) = (path.pc, path.mask & !mask);
        let mut sides: Vec<(usize, u32)> = if stay == 0 { Vec::new() } else { vec![(pc + 1, stay)] };
        for lane in (0..32).filter(|lane| mask >> lane & 1 == 1) {
            let index = self.registers.b32[index][lane as usize];
            let Some(target) = targets.get(index as usize) else {
                let message = format!("index {index} in a table of {} branches", targets.len());
                return Err(Bad::new(FaultKind::Branch, lane, message));
            };
            match sides.iter_mut().find(|(side, _)| side == target) {
                Some((_, lanes)) => *lanes |= 1 << lane,
                None => sides.push((*target, 1 << lane)),
            }
        }
        if let [(target, _)] = sides[..] {
            path.pc = target;
            return Ok(());
        }
        if uniform {
            return Err(Bad::new(FaultKind::Branch, None, "`.uni`, but lanes branch differently"));
        }
        env.counts.divergent[pc] += 1;
        self.part(inst.reconvergence, &sides);
        Ok(())
    }

    /// Replaces the current path by one for each side, the last of which runs first, and one for where they meet.
    fn part(&mut self, meet: usize, sides: &[(usize, u32)]) {
        let path = self.paths.last_mut().expect("a warp that parts has a path");
        if path.meet == meet {
            self.paths.pop();
        } else {
            path.pc = meet;
        }
        let sides = sides.iter().filter(|(pc, _)| *pc != meet);
        self.paths.extend(sides.map(|(pc, mask)| Path { pc: *pc, mask: *mask, meet }));
    }
}
