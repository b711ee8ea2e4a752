//! The schedule of a launch, in which blocks become resident, and blocks and warps take turns.

use std::collections::BTreeMap;
use std::time::Instant;

use super::barrier::Block;
use super::cluster::{ClusterState, Clusters};
use super::fault::{Checked, Fault, FaultKind, Violation, coordinates};
use super::happens_before::{Accessor, Released};
use super::launch::{Checks, DeviceProperties, Dims, Launch, MAX_THREADS};
use super::memory::{GlobalMemory, Segment};
use super::profile::Profile;
use super::regions::{Bound, Region, classes};
use super::schedule::{Orders, Waiting};
use super::texture::Textures;
use super::warp::{BlockState, Env, Run, Spare, Warp, WarpState};
use crate::program::{Action, Inst, Order, Program, Scope, Thread};
use crate::ptx::syntax::Space;

/// The limits after which a launch without visible changes is stuck, as instructions per warp and as turns of every
/// warp. The second limit is for waiting warps, which yield after each read of memory.
const IDLE_INSTRUCTIONS: u64 = 1 << 20;
const IDLE_TURNS: u32 = 1 << 12;

/// The numbers of turns, and of turns without visible changes, after which a second block starts beside a block that was
/// running alone.
const MAX_TURNS_ALONE: u32 = 1 << 8;
const MAX_IDLE_TURNS_ALONE: u32 = 1 << 2;

/// The number of blocks whose memory outlives a launch.
const MAX_SPARE: usize = 8;

/// The largest size in bytes of the shared memory, local memory and registers of all running blocks.
const MAX_STATE: usize = 16 << 30;

/// A simulated device with the state that outlives a launch.
pub struct Simulator {
    pub device: DeviceProperties,
    pub memory: GlobalMemory,
    pub textures: Textures,
    next_epoch: u32,
    /// Blocks that have ended, whose memory the next blocks take.
    spare: Vec<Spare>,
    /// The text that kernels have printed.
    pub output: String,
    /// The warnings of the launches.
    pub warnings: Vec<Fault>,
}

impl Simulator {
    pub fn new(device: DeviceProperties) -> Self {
        Self {
            memory: GlobalMemory::new(device.memory),
            device,
            textures: Textures::default(),
            next_epoch: 1,
            spare: Vec::new(),
            output: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Runs a launch with these parameter bytes to its end, or to its first fault. Panics as `Gpu::launch` does.
    pub fn launch<'a>(&mut self, launch: Launch<'a>, params: &[u8]) -> Result<Profile<'a>, Box<Fault>> {
        let program = launch.program;
        assert!(params.len() >= program.param_size, "the kernel's parameters take {} bytes", program.param_size);
        let threads = launch.dims.threads().filter(|n| *n > 0).expect("a block has between 1 and 2^32 - 1 threads");
        self.check_resources(&launch, threads)?;
        let mut launch = launch;
        launch.dims.cluster = program.cluster.unwrap_or(launch.dims.cluster);
        let Some(clusters) = Clusters::of(&launch.dims) else {
            let Dims { grid, cluster, .. } = launch.dims;
            return Err(launch.fault(format!("the grid {grid:?} must be a multiple of the cluster {cluster:?}")));
        };
        let on_clusters =
            |inst: &Inst| inst.mnemonic.starts_with("mapa") || inst.mnemonic.starts_with("barrier.cluster");
        let uses_clusters = clusters.blocks() > 1 || program.code.iter().any(on_clusters);
        let resident =
            self.device.resident_blocks(threads, launch.shared()).saturating_mul(self.device.sms).max(1) as usize;
        let max_live = (MAX_STATE / launch.block_state(threads)).max(1);
        let reserved_shared = self.device.shared_reserved();
        let mut run = Run {
            launch,
            params,
            memory: &mut self.memory,
            textures: &self.textures,
            clusters,
            cluster: ClusterState { active: uses_clusters, ..ClusterState::default() },
            released: Released::default(),
            profile: Profile::new(launch),
            classes: if launch.timed { classes(program) } else { Vec::new() },
            shared_base: if program.reserved_shared { 0 } else { u64::from(reserved_shared) },
            reserved_shared,
            first_epoch: self.next_epoch,
            isolated: !uses_clusters && !communicates(program),
            threads_per_block: threads,
            sms: self.device.sms,
            blocks: launch.dims.blocks().expect("a grid has at most 2^32 - 1 blocks"),
            changes: 0,
            instructions: 0,
            spare: std::mem::take(&mut self.spare),
            output: &mut self.output,
            warnings: Vec::new(),
            start: Instant::now(),
        };
        let mut orders = Orders::new(launch.order);
        let per_cluster = clusters.blocks();
        let mut waiting = Waiting::new(run.blocks / per_cluster);
        let mut live: Vec<Block> = Vec::new();
        let (mut idle_instructions, mut idle_turns) = (0, 0);
        // Without communication, each block runs to its end, which keeps its registers in the processor's cache.
        let together = launch.order != 0 || per_cluster > 1 || communicates(program);
        let mut turns = 0;
        while !live.is_empty() || waiting.len() > 0 {
            turns += 1;
            let starts = together || live.is_empty() || turns > MAX_TURNS_ALONE || idle_turns > MAX_IDLE_TURNS_ALONE;
            if starts
                && live.len() + (per_cluster as usize - 1) < resident.max(per_cluster as usize)
                && let Some(cluster) = waiting.pop(&mut orders)
            {
                if live.len() >= max_live {
                    return Err(
                        launch.fault(format!("{} blocks at once need too much memory of the host", max_live + 1))
                    );
                }
                run.start(cluster, &mut live);
                (idle_instructions, idle_turns, turns) = (0, 0, 0);
            }
            let before = run.changes;
            for i in orders.order(live.len()) {
                if per_cluster > 1 {
                    run.borrow_peers(&mut live, i);
                }
                let executed = run.turn(&mut live[i], &mut orders);
                if per_cluster > 1 {
                    run.return_peers(&mut live, i);
                }
                self.next_epoch = self.next_epoch.max(live[i].state.epoch + 1);
                idle_instructions += executed?;
            }
            let has_ended = |block: &mut Block| block.warps.iter().all(|warp| warp.state == WarpState::Exited);
            let spare = |block: Block| Spare { warps: block.warps, shared: Some(block.state.shared) };
            run.spare.extend(live.extract_if(.., has_ended).map(spare));
            idle_turns += 1;
            if run.changes != before {
                (idle_instructions, idle_turns) = (0, 0);
            }
            let warps: usize = live.iter().map(|block| block.warps.len()).sum();
            let stuck = launch.checks == Checks::Strict
                && (idle_instructions > IDLE_INSTRUCTIONS * warps as u64 || idle_turns > IDLE_TURNS);
            if stuck && (live.len() == resident || waiting.len() == 0) {
                return Err(run.stuck(&live, waiting.len()));
            }
        }
        self.warnings.append(&mut run.warnings);
        run.spare.truncate(MAX_SPARE);
        self.spare = run.spare;
        Ok(run.profile)
    }
}

impl Simulator {
    /// Checks that a block of `threads` threads fits into a multiprocessor.
    fn check_resources(&self, launch: &Launch, threads: u32) -> Result<(), Box<Fault>> {
        let (shared, most) = (launch.shared(), self.device.shared_per_block_optin() as usize);
        let message = if threads > MAX_THREADS {
            format!("a block has at most {MAX_THREADS} threads, got {threads}")
        } else if shared > most {
            format!("a block has at most {most} bytes of shared memory, got {shared}")
        } else {
            return Ok(());
        };
        Err(launch.fault(message))
    }
}

/// Returns whether blocks of a kernel may wait for each other, or have effects whose order is visible.
fn communicates(program: &Program) -> bool {
    program.code.iter().any(|inst| match &inst.action {
        Action::Load(access) | Action::Store(access) => access.order != Order::Weak && access.space != Space::Shared,
        Action::Atomic(atomic) => atomic.access.space != Space::Shared,
        Action::Atomics(_)
        | Action::Fence(Scope::Device)
        | Action::AsyncBarrier(_)
        | Action::ClusterArrive { .. }
        | Action::ClusterWait
        | Action::System { .. } => true,
        _ => false,
    })
}

impl Run<'_, '_> {
    /// Returns block `index` at the start of the kernel, in the memory of a block that has ended if there is one.
    pub(super) fn block(&mut self, index: u32) -> Block {
        let Spare { mut warps, shared } = self.spare.pop().unwrap_or_default();
        let count = self.threads_per_block.div_ceil(32);
        warps.truncate(count as usize);
        for w in 0..count {
            let left = self.threads_per_block - 32 * w;
            let agent = Accessor { block: index, warp: w, first_epoch: self.first_epoch, ..Accessor::default() };
            let lanes = if left >= 32 { u32::MAX } else { (1 << left) - 1 };
            match warps.get_mut(w as usize) {
                Some(warp) => warp.restart(&self.launch, agent, lanes),
                None => warps.push(Warp::new(&self.launch, agent, lanes)),
            }
            self.set_specials(index, &mut warps[w as usize]);
        }
        let reserved = if self.launch.program.reserved_shared { self.reserved_shared as usize } else { 0 };
        let size = self.launch.shared() + reserved;
        let mut shared = match shared.filter(|shared| shared.bytes().len() == size) {
            Some(mut shared) => {
                shared.clear();
                shared
            }
            None => Segment::new(size),
        };
        shared.fill(0, &vec![0; reserved]);
        Block {
            warps,
            state: BlockState {
                index,
                shared,
                epoch: self.first_epoch,
                arrived: BTreeMap::new(),
                region: Region::default(),
                bound: Bound::default(),
            },
        }
    }

    /// Sets the special registers of a warp of block `index`.
    fn set_specials(&self, index: u32, warp: &mut Warp) {
        let first = 32 * warp.agent.warp;
        let mut thread = self.thread(index, first);
        for lane in 0..32 {
            (thread.tid, thread.laneid) = (coordinates(first + lane, self.launch.dims.block), lane);
            for (slot, (_, value)) in &self.launch.program.specials {
                warp.registers.b32[*slot][lane as usize] = value(&thread);
            }
        }
    }

    /// Returns the special registers of the thread `thread` in the block `block`.
    fn thread(&self, block: u32, thread: u32) -> Thread {
        let Dims { grid: nctaid, block: ntid, shared, cluster } = self.launch.dims;
        let (cluster_ctaid, clusterid) = self.clusters.place(block);
        Thread {
            tid: coordinates(thread, ntid),
            ntid,
            ctaid: coordinates(block, nctaid),
            nctaid,
            laneid: thread % 32,
            warpid: thread / 32,
            nwarpid: self.threads_per_block.div_ceil(32),
            cluster_ctaid,
            clusterid,
            cluster_nctaid: cluster,
            nclusterid: self.clusters.count,
            cluster_rank: self.clusters.rank(block).1,
            smid: block % self.sms,
            nsmid: self.sms,
            total_shared: self.launch.shared() as u32,
            reserved_shared: self.reserved_shared,
            dynamic_shared: shared as u32,
        }
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
