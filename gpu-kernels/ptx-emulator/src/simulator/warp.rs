//! The control flow of a warp, and its runs of instructions that only read and write registers.
//!
//! Lanes that diverge at a branch reconverge at its immediate post-dominator. Until then one side runs after the other.

use super::fault::{Checked, FaultKind, Violation};
pub use super::happens_before::bits as lanes;
use super::happens_before::{Accessor, LaneOrder, Observer, SyncState};
use super::launch::{Checks, Launch};
use super::run::Env;
use super::segment::Segment;
use super::timing::{CLASSES, Timing};
use crate::program::{Action, BarrierReduction, NEVER, Registers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarpState {
    Ready,
    /// A wait at the barrier of this number, for this number of threads, or for all threads of the block.
    AtBarrier(u32, Option<u32>),
    Exited,
}

/// The lanes that run together.
pub(super) struct Path {
    pub(super) pc: usize,
    pub(super) mask: u32,
    /// The instruction at which the path ends, because another path waits there.
    pub(super) reconvergence: usize,
    /// The state that the path restores when it returns from a function.
    pub(super) saved: Option<Box<SavedFrame>>,
}

/// The state of a recursive function before a call of its own.
pub(super) struct SavedFrame {
    /// The index in [`Program::frames`](crate::program::Program).
    pub(super) frame: usize,
    /// The values `[register][lane]`.
    pub(super) registers: Vec<[u64; 32]>,
    /// The bytes of each lane's local memory, `[lane][byte]`.
    pub(super) local: Vec<Vec<u8>>,
}

pub struct Warp {
    pub state: WarpState,
    pub registers: Registers,
    /// The local memory of all lanes, one after the other.
    pub local: Segment,
    pub sync: SyncState,
    /// The order of the lanes' accesses by `bar.warp.sync`.
    pub lane_syncs: LaneOrder,
    /// The order of the lanes' reads before their later writes.
    pub lane_convergences: LaneOrder,
    pub timing: Timing,
    /// The warp as an accessor, with the fields that stay the same in all accesses.
    pub agent: Accessor,
    /// The reconvergence stack. The last path runs.
    pub(super) paths: Vec<Path>,
    /// The reduction of the barrier at which the warp waits, and the lanes whose predicate is true.
    pub reduction: Option<(BarrierReduction, u32)>,
    /// The phase of the cluster's barrier at which the warp has arrived.
    pub(super) cluster_phase: Option<u32>,
    /// The size in bytes of what calls have saved.
    pub(super) saved_bytes: usize,
    /// The instruction that was executed last.
    pub pc: usize,
}

impl Warp {
    /// Returns a warp at the start of a launch's kernel.
    pub fn new(launch: &Launch, agent: Accessor, lanes: u32) -> Self {
        let registers = launch.program.registers.clone();
        let local = Segment::new(launch.program.local_size * 32);
        Self { registers, local, ..Self::without_memory(agent, lanes) }
    }

    fn without_memory(agent: Accessor, lanes: u32) -> Self {
        Self {
            agent,
            state: WarpState::Ready,
            registers: Registers::default(),
            local: Segment::zeroed(0),
            sync: SyncState::default(),
            lane_syncs: LaneOrder::default(),
            lane_convergences: LaneOrder::default(),
            timing: Timing::default(),
            paths: vec![Path { pc: 0, mask: lanes, reconvergence: NEVER, saved: None }],
            saved_bytes: 0,
            reduction: None,
            cluster_phase: None,
            pc: 0,
        }
    }

    /// Takes the warp back to the start of a launch's kernel, as [`Warp::new`] makes it.
    pub fn restart(&mut self, launch: &Launch, agent: Accessor, lanes: u32) {
        let (mut registers, mut local) = (std::mem::take(&mut self.registers), None);
        registers.clone_from(&launch.program.registers);
        if self.local.len() == 32 * launch.program.local_size {
            self.local.clear();
            local = Some(std::mem::replace(&mut self.local, Segment::zeroed(0)));
        }
        let local = local.unwrap_or_else(|| Segment::new(launch.program.local_size * 32));
        *self = Self { registers, local, ..Self::without_memory(agent, lanes) };
    }

    /// Returns the mask of the lanes that have not exited.
    pub fn live(&self) -> u32 {
        self.paths.first().map_or(0, |path| path.mask)
    }

    /// Returns this warp as the accessor of an instruction.
    pub fn accessor(&self, env: &Env, pc: usize, strong: bool) -> Accessor {
        Accessor { epoch: env.block.epoch, pc: pc as u32, strong, ..self.agent }
    }

    /// Returns an accessor with what happened before its access.
    pub(super) fn observer(&self, env: &Env, accessor: Accessor) -> Observer<'_> {
        let lenient = env.run.launch.checks < Checks::Strict;
        let (syncs, convergences) = (&self.lane_syncs, &self.lane_convergences);
        Observer { accessor, clock: &self.sync.clock, syncs, convergences, lenient, isolated: env.run.isolated }
    }

    /// Runs until the warp stops or yields, but at most `quantum` instructions. Returns the number of executed
    /// instructions.
    pub fn run(&mut self, env: &mut Env, quantum: usize) -> Checked<usize> {
        let mut done = 0;
        while done < quantum {
            done += self.compute(env, quantum - done);
            if done < quantum {
                done += 1;
                if self.step(env)? {
                    break;
                }
            }
        }
        Ok(done)
    }

    /// Executes at most `most` instructions that only read and write registers, up to the next instruction of another kind, or
    /// to the end of the path. Returns the number of executed instructions.
    #[inline]
    fn compute(&mut self, env: &mut Env, most: usize) -> usize {
        let Some(path) = self.paths.last_mut() else { return 0 };
        if path.mask == 0 {
            return 0;
        }
        let run = &mut *env.run;
        let (program, start) = (run.launch.program, path.pc);
        let end = path.reconvergence.min(start.saturating_add(most)).min(program.code.len());
        let mut pc = start;
        while pc < end {
            let inst = &program.code[pc];
            let Action::Compute(compute) = &inst.action else { break };
            let mask = path.mask & inst.guard.map_or(u32::MAX, |guard| self.registers.guard(guard));
            let counts = &mut run.profile.instructions[pc];
            counts.executed += 1;
            counts.lanes += u64::from(mask.count_ones());
            if run.launch.timed {
                let (class, is_address) = run.classes[pc];
                self.timing.issue(inst, CLASSES[class].latency);
                env.block.region.issue(self.agent.warp, class, is_address);
            }
            if mask != 0 {
                compute(&mut self.registers, mask);
            }
            pc += 1;
        }
        path.pc = pc;
        pc - start
    }

    /// Executes one instruction, or the end of paths and of the warp, and returns whether other warps should run now.
    #[inline]
    fn step(&mut self, env: &mut Env) -> Checked<bool> {
        while self.paths.pop_if(|path| path.mask == 0 || path.pc == path.reconvergence).is_some() {}
        let Some(path) = self.paths.last_mut() else {
            env.run.changes += 1;
            let cluster = env.run.clusters.rank(env.block.index).0;
            env.run.cluster.exit(cluster);
            self.state = WarpState::Exited;
            return Ok(true);
        };
        let (pc, active) = (path.pc, path.mask);
        self.pc = pc;
        let run = &mut *env.run;
        let inst = &run.launch.program.code[pc];
        let mask = active & inst.guard.map_or(u32::MAX, |guard| self.registers.guard(guard));
        let counts = &mut run.profile.instructions[pc];
        counts.executed += 1;
        counts.lanes += u64::from(mask.count_ones());
        if run.launch.timed {
            let (class, is_address) = run.classes[pc];
            self.timing.issue(inst, CLASSES[class].latency);
            env.block.region.issue(self.agent.warp, class, is_address);
            // Shuffles take the pipe of shared memory (Nsight Compute, Kernel Profiling Guide, "LSU"), a warp a cycle (CUDA
            // C++ Programming Guide, "Arithmetic Instructions").
            if matches!(inst.action, Action::Shuffle(_)) {
                env.block.region.access_shared([1, 0]);
            }
        }
        match &inst.action {
            Action::Branch { target, uniform } => {
                self.branch(env, inst, *uniform, &[(pc + 1, active & !mask), (*target, mask)])?;
            }
            Action::Table { index, targets, uniform } => {
                let mut sides = self.table_sides(*index, targets, mask)?;
                sides.push((pc + 1, active & !mask));
                self.branch(env, inst, *uniform, &sides)?;
            }
            action => {
                path.pc += 1;
                match action {
                    Action::Compute(compute) if mask != 0 => compute(&mut self.registers, mask),
                    Action::Exit => self.paths.iter_mut().for_each(|path| path.mask &= !mask),
                    Action::Barrier(barrier) if mask != 0 => {
                        counts.barriers += 1;
                        if mask != self.live() {
                            let message = format!("only lanes {mask:#x} of {:#x} reach the barrier", self.live());
                            let missing = (self.live() & !mask).trailing_zeros();
                            return Err(Violation::new(FaultKind::Barrier, missing, message));
                        }
                        self.arrive(env, barrier, pc, mask)?;
                        return Ok(true);
                    }
                    Action::ClusterWait if mask != 0 => {
                        if !self.cluster_wait(env, mask)? {
                            // The warp executes the instruction again in its next turn.
                            self.paths.last_mut().expect("a running warp has a path").pc = pc;
                        }
                        return Ok(true);
                    }
                    Action::Return => self.return_from_call(run.launch.program),
                    _ if mask == 0 => {}
                    action => return self.execute(env, action, pc, mask),
                }
            }
        }
        Ok(false)
    }
}
