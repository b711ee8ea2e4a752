//! The turns of the blocks of a launch and of their warps.

use std::ops::Range;

use super::barrier::{Block, Spare};
use super::fault::{Checked, Fault, FaultKind, Violation};
use super::launch::Checks;
use super::run::{Env, Run};
use super::schedule::{Orders, Waiting};
use super::warp::{Warp, WarpState};

/// The limits after which a launch without visible changes is stuck, as instructions per warp and as turns of every
/// warp. The second limit is for waiting warps, which yield after each read of memory.
const IDLE_INSTRUCTIONS: u64 = 1 << 20;
const IDLE_TURNS: u32 = 1 << 12;

/// The number of turns without visible changes after which a block that was running alone seems to wait for another one.
const MAX_IDLE_TURNS_ALONE: u32 = 1 << 6;

/// The blocks that run at the same time.
#[derive(Clone, Copy)]
pub(super) struct Residency {
    /// Whether as many blocks as possible take turns. Otherwise each block runs to its end, which keeps its registers in the
    /// processor's cache.
    pub(super) together: bool,
    /// The largest number of blocks that fit on the device, and that the memory of the host allows.
    pub(super) resident: usize,
    pub(super) max_live: usize,
    /// Whether other threads run other blocks, so that no block may wait for another one.
    pub(super) parallel: bool,
}

impl Run<'_, '_> {
    /// Runs the blocks of some clusters to their ends, or to the first fault. `spare` is the memory of blocks that have ended.
    pub(super) fn execute(
        &mut self,
        clusters: Range<u32>,
        residency: Residency,
        spare: &mut Vec<Spare>,
    ) -> Result<(), Box<Fault>> {
        let per_cluster = self.clusters.blocks() as usize;
        let mut orders = Orders::new(self.launch.order);
        let mut waiting = Waiting::new(clusters);
        let mut live: Vec<Block> = Vec::new();
        let (mut idle_instructions, mut idle_turns) = (0, 0);
        while !live.is_empty() || waiting.len() > 0 {
            let seems_to_wait = |idle_turns| idle_turns > MAX_IDLE_TURNS_ALONE;
            if residency.parallel && seems_to_wait(idle_turns) {
                return Err(self.stuck(&live, waiting.len()));
            }
            // Blocks that take turns start together, as on a device.
            while (residency.together || live.is_empty() || seems_to_wait(idle_turns))
                && live.len() + (per_cluster - 1) < residency.resident.max(per_cluster)
                && let Some(cluster) = waiting.pop(&mut orders)
            {
                if live.len() >= residency.max_live {
                    let message = format!("{} blocks at once need too much memory of the host", residency.max_live + 1);
                    return Err(self.launch.fault(message));
                }
                self.start(cluster, &mut live, spare);
                (idle_instructions, idle_turns) = (0, 0);
            }
            let before = self.changes;
            for i in orders.order(live.len()) {
                if per_cluster > 1 {
                    self.borrow_peers(&mut live, i);
                }
                let executed = self.turn(&mut live[i], &mut orders);
                if per_cluster > 1 {
                    self.return_peers(&mut live, i);
                }
                self.next_epoch = self.next_epoch.max(live[i].state.epoch + 1);
                idle_instructions += executed?;
            }
            let has_ended = |block: &mut Block| block.warps.iter().all(|warp| warp.state == WarpState::Exited);
            let memory = |block: Block| Spare { warps: block.warps, shared: Some(block.state.shared) };
            spare.extend(live.extract_if(.., has_ended).map(memory));
            idle_turns += 1;
            if self.changes != before {
                (idle_instructions, idle_turns) = (0, 0);
            }
            let warps: usize = live.iter().map(|block| block.warps.len()).sum();
            let stuck = self.launch.checks == Checks::Strict
                && (idle_instructions > IDLE_INSTRUCTIONS * warps as u64 || idle_turns > IDLE_TURNS);
            if stuck && (live.len() == residency.resident || waiting.len() == 0) {
                return Err(self.stuck(&live, waiting.len()));
            }
        }
        Ok(())
    }

    /// Gives each ready warp of a block a turn and returns the number of executed instructions.
    fn turn(&mut self, block: &mut Block, orders: &mut Orders) -> Result<u64, Box<Fault>> {
        // An empty turn counts too, so that a launch without a ready warp ends.
        let mut instructions = 1;
        for w in orders.order(block.warps.len()) {
            if block.warps[w].state != WarpState::Ready {
                continue;
            }
            let mut env = Env { run: self, block: &mut block.state };
            let result = block.warps[w].run(&mut env, orders.quantum()).and_then(|done| {
                instructions += done as u64;
                self.watch(done as u64)
            });
            result.map_err(|violation| self.fault(block.state.index, &block.warps[w], *violation))?;
        }
        let passed = block.pass_barriers(self);
        passed.map_err(|(warp, violation)| self.fault(block.state.index, &block.warps[warp], *violation))?;
        Ok(instructions)
    }

    /// Counts the instructions of a turn, and fails if the launch exceeds a limit.
    fn watch(&mut self, instructions: u64) -> Checked {
        self.instructions += instructions;
        let limits = self.launch.watchdog;
        let message = if self.instructions > limits.instructions {
            format!("the launch has executed {} instructions, more than {}", self.instructions, limits.instructions)
        } else if self.start.elapsed() > limits.time {
            format!("the launch takes more than {} seconds", limits.time.as_secs_f32())
        } else {
            return Ok(());
        };
        Err(Violation::new(FaultKind::Timeout, None, message))
    }

    /// Returns the fault of a launch whose live blocks make no progress while `waiting` blocks have not started.
    fn stuck(&self, live: &[Block], waiting: usize) -> Box<Fault> {
        let block = &live[0];
        let warp = block.warps.iter().find(|warp| warp.state == WarpState::Ready).unwrap_or(&block.warps[0]);
        let violation = if waiting > 0 {
            let message = format!(
                "the running blocks wait for blocks that cannot start: only {} of {} blocks can be resident at once",
                live.len(),
                live.len() + waiting
            );
            Violation::new(FaultKind::Residency, None, message)
        } else {
            Violation::new(FaultKind::NoProgress, None, "every warp waits for a change that no warp will make")
        };
        self.fault(block.state.index, warp, *violation)
    }

    /// Returns the fault of a violation by a warp's last instruction.
    pub(super) fn fault(&self, block: u32, warp: &Warp, violation: Violation) -> Box<Fault> {
        let mut location = self.launch.describe(warp.pc);
        if let Some(other) = violation.other {
            location = format!("{location}\n  the other access: {}", self.launch.describe(other));
        }
        Box::new(Fault {
            kind: violation.kind,
            kernel: self.launch.program.name.clone(),
            dims: self.launch.dims,
            block,
            warp: warp.agent.warp,
            lane: violation.lane,
            line: self.launch.program.code[warp.pc].line,
            location,
            message: violation.message,
        })
    }
}
