//! Blocks and warps take turns.

use std::collections::HashMap;

use super::clocks::{Clocks, Released};
use super::counts::Counts;
use super::device::Device;
use super::fault::{Bad, Fault, FaultKind, describe};
use super::memory::Memory;
use super::segment::Segment;
use super::warp::{Env, Shared, Stop, Warp};
use crate::program::{Program, Special};

/// Instructions that a warp runs before another one's turn, where no seed says otherwise.
const QUANTUM: usize = 1 << 14;

/// Without any change that others could see, nothing is hoped for after so many instructions for each warp, or so many turns
/// of every warp: a warp that waits gives up its turn whenever it looks.
const PATIENCE: u64 = 1 << 20;
const PATIENT_TURNS: u32 = 1 << 12;

/// A launch.
pub struct Launch<'a> {
    /// The kernel.
    pub program: &'a Program,
    /// `.file` paths, for reports.
    pub files: &'a HashMap<u32, String>,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub dynamic_shared: usize,
    /// The parameters' bytes.
    pub params: &'a [u8],
}

/// What goes from launch to launch.
pub struct Machine {
    /// The device that it pretends to be.
    pub device: Device,
    /// Global memory.
    pub memory: Memory,
    /// 0: blocks and warps in ascending order; any other number seeds permuted orders.
    pub order: u64,
    /// Whether bank conflicts and cycles are counted.
    pub timed: bool,
    next_epoch: u32,
    released: Released,
}

struct Block {
    index: u32,
    warps: Vec<Warp>,
    shared: Shared,
}

/// A generator of orders: an xorshift (Marsaglia, "Xorshift RNGs", 2003).
struct Orders(u64);

impl Orders {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % n.max(1) as u64) as usize
    }

    /// The numbers below `n`: ascending, or permuted if there is a seed.
    fn order(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        if self.0 != 0 {
            for i in (1..n).rev() {
                order.swap(i, self.below(i + 1));
            }
        }
        order
    }

    fn quantum(&mut self) -> usize {
        if self.0 == 0 { QUANTUM } else { 1 + self.below(256) }
    }
}

impl Machine {
    /// A machine with nothing in its memory.
    pub fn new(device: Device) -> Self {
        let memory = Memory::new(device.memory);
        Self { device, memory, order: 0, timed: false, next_epoch: 1, released: Released::default() }
    }

    /// Runs a launch to its end.
    ///
    /// # Errors
    /// The first fault that is found.
    ///
    /// # Panics
    /// If the block has no thread, or the parameters are fewer bytes than the kernel declares.
    pub fn launch(&mut self, launch: &Launch) -> Result<Counts, Box<Fault>> {
        assert!(launch.params.len() >= launch.program.param_size && launch.block.iter().all(|n| *n > 0));
        self.released.clear();
        let threads: u32 = launch.block.iter().product();
        let shared = launch.program.shared_size + launch.dynamic_shared;
        let resident = (self.device.resident(threads, shared as u32) * self.device.sms).max(1) as usize;
        let total: u32 = launch.grid.iter().product();
        let mut run = Run {
            launch,
            counts: Counts::new(launch.program, self.timed),
            orders: Orders(self.order),
            first_epoch: self.next_epoch,
            changes: 0,
            machine: self,
        };
        let mut waiting: Vec<usize> = run.orders.order(total as usize);
        waiting.reverse();
        let mut live: Vec<Block> = Vec::new();
        let (mut idle, mut idle_turns) = (0, 0);
        while !live.is_empty() || !waiting.is_empty() {
            if live.len() < resident
                && let Some(index) = waiting.pop()
            {
                live.push(run.block(index as u32));
                (idle, idle_turns) = (0, 0);
            }
            let before = run.changes;
            for i in run.orders.order(live.len()) {
                idle += run.turn(&mut live[i])?;
            }
            live.retain(|block| block.warps.iter().any(|warp| warp.state != Stop::Exit));
            idle_turns += 1;
            if run.changes != before {
                (idle, idle_turns) = (0, 0);
            }
            let warps: usize = live.iter().map(|block| block.warps.len()).sum();
            let hopeless = idle > PATIENCE * warps as u64 || idle_turns > PATIENT_TURNS;
            if hopeless && (live.len() == resident || waiting.is_empty()) {
                return Err(run.stuck(&live, waiting.len(), resident));
            }
        }
        Ok(run.counts)
    }
}

/// A launch that runs.
struct Run<'a> {
    machine: &'a mut Machine,
    launch: &'a Launch<'a>,
    counts: Counts,
    orders: Orders,
    first_epoch: u32,
    changes: u64,
}

impl Run<'_> {
    fn block(&self, index: u32) -> Block {
        let (program, launch) = (self.launch.program, self.launch);
        let [x, y, z] = launch.block;
        let threads = x * y * z;
        let ctaid =
            [index % launch.grid[0], index / launch.grid[0] % launch.grid[1], index / launch.grid[0] / launch.grid[1]];
        let warp = |w: u32| {
            let left = threads - 32 * w;
            let mut warp = Warp::new(program, w, if left >= 32 { u32::MAX } else { (1 << left) - 1 });
            for (slot, special) in &program.specials {
                let value = |lane: u32| {
                    let thread = 32 * w + lane;
                    match special {
                        Special::Tid(axis) => [thread % x, thread / x % y, thread / x / y][*axis],
                        Special::Ntid(axis) => launch.block[*axis],
                        Special::Ctaid(axis) => ctaid[*axis],
                        Special::Nctaid(axis) => launch.grid[*axis],
                        Special::Lane => lane,
                        Special::Warp => w,
                        Special::Warps => threads.div_ceil(32),
                        Special::LaneMask(order, too) => (0..32)
                            .filter(|other: &u32| other.cmp(&lane) == *order || *too && *other == lane)
                            .fold(0, |mask, other| mask | 1 << other),
                    }
                };
                warp.registers.b32[*slot] = std::array::from_fn(|lane| value(lane as u32));
            }
            warp
        };
        let segment = Segment::new(program.shared_size + launch.dynamic_shared);
        Block {
            index,
            warps: (0..threads.div_ceil(32)).map(warp).collect(),
            shared: Shared { segment, epoch: self.first_epoch, time: 0 },
        }
    }

    /// Each warp of a block that can run does, once; gives the number of instructions.
    fn turn(&mut self, block: &mut Block) -> Result<u64, Box<Fault>> {
        let mut instructions = 1;
        for w in self.orders.order(block.warps.len()) {
            if block.warps[w].state != Stop::Yield {
                continue;
            }
            let quantum = self.orders.quantum();
            let mut env = Env {
                program: self.launch.program,
                memory: &mut self.machine.memory,
                shared: &mut block.shared,
                params: self.launch.params,
                released: &mut self.machine.released,
                counts: &mut self.counts,
                shared_base: u64::from(self.machine.device.shared_reserved()),
                block: block.index,
                first_epoch: self.first_epoch,
                single_block: self.launch.grid.iter().product::<u32>() == 1,
                changes: &mut self.changes,
            };
            match block.warps[w].run(&mut env, quantum) {
                Ok((stop, done)) => {
                    block.warps[w].state = stop;
                    instructions += done as u64;
                }
                Err(bad) => return Err(self.fault(block.index, &block.warps[w], *bad)),
            }
        }
        self.barrier(block)?;
        self.machine.next_epoch = self.machine.next_epoch.max(block.shared.epoch + 1);
        Ok(instructions)
    }

    /// Lets the warps go on if all of them wait at one barrier.
    fn barrier(&mut self, block: &mut Block) -> Result<(), Box<Fault>> {
        if block.warps.iter().any(|warp| warp.state == Stop::Yield) {
            return Ok(());
        }
        let first = block.warps.iter().find(|warp| matches!(warp.state, Stop::Barrier(_)));
        let ends = block.warps.iter().map(|warp| warp.timing.end());
        let end = ends.fold([0, 0], |a, b| [a[0].max(b[0]), a[1].max(b[1])]);
        let Some(first) = first else {
            self.counts.path = self.counts.path.max(end[0]);
            self.counts.cycles = self.counts.cycles.max(end[1]);
            return Ok(());
        };
        if let Some(other) = block.warps.iter().find(|warp| warp.state != first.state) {
            let does = if other.state == Stop::Exit { "has left the kernel" } else { "waits at another barrier" };
            let message = format!("this warp waits, but warp {} {does}", other.index);
            return Err(self.fault(block.index, first, *Bad::new(FaultKind::Barrier, None, message)));
        }
        let mut all = Clocks::default();
        block.warps.iter().filter(|warp| !warp.sync.clocks.is_empty()).for_each(|warp| all.join(&warp.sync.clocks));
        for warp in &mut block.warps {
            warp.state = Stop::Yield;
            warp.pass_barrier(&all, end);
        }
        block.shared.epoch += 1;
        self.changes += 1;
        Ok(())
    }

    fn stuck(&self, live: &[Block], waiting: usize, resident: usize) -> Box<Fault> {
        let block = &live[0];
        let warp = block.warps.iter().find(|warp| warp.state == Stop::Yield).unwrap_or(&block.warps[0]);
        let bad = if waiting > 0 {
            let message = format!(
                "the blocks that run wait for blocks that cannot start: {} of {} blocks can be resident at once on this \
                 device ({} multiprocessors)",
                resident,
                live.len() + waiting,
                self.machine.device.sms
            );
            Bad::new(FaultKind::Residency, None, message)
        } else {
            Bad::new(FaultKind::NoProgress, None, "every warp waits for something that no warp will do")
        };
        self.fault(block.index, warp, *bad)
    }

    fn fault(&self, block: u32, warp: &Warp, bad: Bad) -> Box<Fault> {
        let describe = |pc| describe(self.launch.program, self.launch.files, pc);
        let place = match bad.other {
            Some(other) => format!("{}\n  the other access: {}", describe(warp.at), describe(other)),
            None => describe(warp.at),
        };
        Box::new(Fault {
            kind: bad.kind,
            kernel: self.launch.program.name.clone(),
            block,
            warp: warp.index,
            lane: bad.lane,
            line: self.launch.program.code[warp.at].line,
            place,
            message: bad.message,
        })
    }
}
