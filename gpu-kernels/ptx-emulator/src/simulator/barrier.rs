//! The barriers of a block, for all of its threads or for a part of them.

use super::fault::{Checked, FaultKind, Violation};
use super::happens_before::{Accessor, VectorClock};
use super::launch::Checks;
use super::run::{BlockState, Env, Run};
use super::segment::Segment;
use super::timing::{Cycles, later};
use super::warp::{Warp, WarpState, lanes};
use crate::program::Barrier;

/// A running block.
pub(super) struct Block {
    pub(super) state: BlockState,
    pub(super) warps: Vec<Warp>,
}

/// The memory of a block that has ended, which another block takes.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) warps: Vec<Warp>,
    pub(super) shared: Option<Segment>,
}

impl Block {
    /// Releases the warps of a block that wait at barriers which all awaited threads have reached.
    /// An error has the index of a warp that waits forever.
    pub(super) fn pass_barriers(&mut self, run: &mut Run) -> Result<(), (usize, Box<Violation>)> {
        for id in 0..16 {
            let waits = |warp: &&Warp| matches!(warp.state, WarpState::AtBarrier(at, _) if at == id);
            let Some(first) = self.warps.iter().find(waits) else { continue };
            let WarpState::AtBarrier(_, threads) = first.state else { continue };
            let arrived = self.state.arrived.get(&id).map_or(0, |(arrived, _)| *arrived);
            let complete = match threads {
                Some(threads) => 32 * self.warps.iter().filter(waits).count() as u32 + arrived >= threads,
                // A barrier waits only for threads that have not exited (CUDA C++ Programming Guide, "Independent Thread
                // Scheduling").
                None => self.warps.iter().all(|warp| {
                    warp.state == first.state || run.launch.checks < Checks::Strict && warp.state == WarpState::Exited
                }),
            };
            if complete {
                self.pass(run, id, threads);
            }
        }
        if self.warps.iter().any(|warp| warp.state == WarpState::Ready) {
            return Ok(());
        }
        let Some(waiting) = self.warps.iter().position(|warp| warp.state != WarpState::Exited) else {
            let end = self.warps.iter().map(|warp| warp.timing.end).fold([0, 0], later);
            self.state.end_region(end, run.launch.program.code.len());
            run.profile.end_block(end, &self.state.bound, self.state.index);
            return Ok(());
        };
        let other = self.warps.iter().find(|warp| warp.state != self.warps[waiting].state);
        let message = match other.map(|warp| (warp.agent.warp, warp.state)) {
            Some((warp, WarpState::Exited)) => format!("this warp waits, but warp {warp} has exited"),
            Some((warp, _)) => format!("this warp waits, but warp {warp} waits at another barrier"),
            None => "this warp waits for more threads than the block has".into(),
        };
        Err((waiting, Violation::new(FaultKind::Barrier, None, message)))
    }

    /// Releases the warps that wait at barrier `id`. A barrier of all threads begins a new epoch of the block. Any other
    /// barrier orders the accesses of its threads alone.
    fn pass(&mut self, run: &mut Run, id: u32, threads: Option<u32>) {
        let (state, all) = (&mut self.state, self.warps.len());
        let waits = |warp: &&mut Warp| matches!(warp.state, WarpState::AtBarrier(at, _) if at == id);
        let passing: Vec<_> = self.warps.iter_mut().filter(waits).collect();
        let whole = threads.is_none() || passing.len() == all;
        let (_, mut clock) = state.arrived.remove(&id).unwrap_or_default();
        for warp in &passing {
            let own = Accessor { epoch: state.epoch, ..warp.agent };
            clock.join(&if whole { warp.sync.clock.clone() } else { warp.sync.clock.with_own(&own) });
        }
        let end = passing.iter().map(|warp| warp.timing.end).fold([0, 0], later);
        let votes = passing.iter().filter_map(|warp| warp.reduction.as_ref()).map(|(_, yes)| yes.count_ones()).sum();
        let lanes = passing.iter().map(|warp| warp.live().count_ones()).sum();
        if whole && run.launch.timed {
            state.end_region(end, passing[0].pc);
        }
        for warp in passing {
            warp.agent.time += u32::from(!whole);
            warp.pass_barrier(&clock, end, [votes, lanes]);
        }
        state.epoch += u32::from(whole);
        run.changes += 1;
    }
}

impl Warp {
    /// Arrives at a barrier, and waits there unless it is an arrival alone.
    pub(super) fn arrive(&mut self, env: &mut Env, barrier: &Barrier, pc: usize, mask: u32) -> Checked {
        let first = mask.trailing_zeros();
        let uniform = |warp: &Self, slot: usize| {
            let values = &warp.registers.b32[slot];
            let value = values[first as usize];
            let other = lanes(mask).find(|lane| values[*lane as usize] != value);
            other.map_or(Ok(value), |lane| {
                let message = "the lanes of a warp name different barriers or numbers of threads";
                Err(Violation::new(FaultKind::Barrier, lane, message))
            })
        };
        let id = uniform(self, barrier.id)?;
        let threads = barrier.threads.map(|threads| uniform(self, threads)).transpose()?;
        if id > 15 || threads.is_some_and(|threads| threads == 0 || !threads.is_multiple_of(32)) {
            let message = format!("barrier {id} must be below 16, and its threads a multiple of 32, got {threads:?}");
            return Err(Violation::new(FaultKind::Barrier, first, message));
        }
        if barrier.arrives {
            let accessor = self.accessor(env, pc, true);
            let (arrived, clock) = env.block.arrived.entry(id).or_default();
            *arrived += 32;
            clock.join(&self.sync.clock.with_own(&accessor));
            self.agent.time += 1;
            return Ok(());
        }
        self.reduction = barrier.reduction.map(|reduction| {
            let p = self.registers.predicates[reduction.p] ^ if reduction.negated { u32::MAX } else { 0 };
            (reduction, p & mask)
        });
        self.state = WarpState::AtBarrier(id, threads);
        Ok(())
    }

    /// Continues after a barrier, with all accesses that happened before any warp's arrival.
    fn pass_barrier(&mut self, clock: &VectorClock, end: Cycles, votes: [u32; 2]) {
        self.state = WarpState::Ready;
        if let Some((reduction, _)) = self.reduction.take() {
            let value = (reduction.function)(votes[0], votes[1]);
            lanes(self.live()).for_each(|lane| self.registers.set(reduction.d, lane, value));
        }
        self.sync.clock.join(clock);
        self.lane_syncs.join(u32::MAX, u32::MAX, &mut self.agent.syncs);
        self.lane_convergences.join(u32::MAX, u32::MAX, &mut self.agent.convergences);
        self.timing.wait(end);
    }
}

impl BlockState {
    /// Ends the region at the instruction of index `pc`. The slowest warp has reached the time `end`.
    pub(super) fn end_region(&mut self, end: Cycles, pc: usize) {
        let region = std::mem::take(&mut self.region);
        let cycles = [end[0] - region.start[0], end[1] - region.start[1]];
        self.bound.add(&region, cycles, pc);
        self.region.start = end;
    }
}
