//! Launches whose blocks run in several threads.
//!
//! Each thread runs a range of the blocks, one after the other, on its own view of global memory. If no thread has accessed
//! what another one has written, the blocks are independent, so the results are those of one thread. Otherwise, and after a
//! fault, the views are dropped and the launch runs in one thread. So no result and no report depends on the threads.

use std::ops::Range;
use std::thread;

use super::barrier::Spare;
use super::fault::Fault;
use super::grid::{MAX_SPARE, Simulator};
use super::memory::GlobalMemory;
use super::profile::Profile;
use super::run::{Job, Run};
use super::turns::Residency;
use super::view::Accessed;

/// The number of warps, times the instructions of the kernel, that is worth the start of a thread.
const MIN_INSTRUCTIONS: u64 = 1 << 12;

/// The most allocations, and the most bytes of all of them, of which threads get views.
const MAX_ALLOCATIONS: usize = 1 << 12;
const MAX_BYTES: usize = 1 << 30;

/// The effects of a thread's blocks.
struct Part<'a> {
    profile: Profile<'a>,
    accessed: Vec<Accessed>,
    warnings: Vec<Fault>,
    instructions: u64,
    next_epoch: u32,
    spare: Vec<Spare>,
}

impl<'a> Part<'a> {
    /// Runs a range of blocks, or returns `None` after a fault.
    fn run(
        job: &Job<'_, 'a>,
        blocks: Range<u32>,
        residency: Residency,
        mut memory: GlobalMemory,
        mut spare: Vec<Spare>,
    ) -> Option<Self> {
        // A kernel that prints does not run in several threads.
        let mut output = String::new();
        let mut run = job.run(&mut memory, &mut output);
        run.execute(blocks, residency, &mut spare).ok()?;
        let Run { profile, warnings, instructions, next_epoch, .. } = run;
        Some(Self { profile, accessed: memory.into_accessed(), warnings, instructions, next_epoch, spare })
    }

    /// Returns whether this thread has accessed what another one has written.
    fn depends_on(&self, writer: &Self) -> bool {
        self.accessed.iter().zip(&writer.accessed).any(|(own, writer)| own.depends_on(writer))
    }
}

impl Simulator {
    /// Runs the blocks of a launch in several threads. Returns `None`, and changes nothing, if the launch has to run in one
    /// thread.
    pub(super) fn launch_in_threads<'a>(&mut self, job: &Job<'_, 'a>, residency: Residency) -> Option<Profile<'a>> {
        let program = job.launch.program;
        let warps = u64::from(job.blocks) * u64::from(job.threads_per_block.div_ceil(32));
        let worth = warps.saturating_mul(program.code.len() as u64) / MIN_INSTRUCTIONS;
        let count = job.launch.threads.min(job.blocks as usize).min(worth as usize);
        let (allocations, bytes) = self.memory.extent();
        if count < 2 || allocations > MAX_ALLOCATIONS || bytes > MAX_BYTES || self.dependent.contains(&program.name) {
            return None;
        }
        let residency = Residency { parallel: true, ..residency };
        let shared = self.memory.share();
        let parts: Option<Vec<Part>> = thread::scope(|scope| {
            let first = |i: usize| (u64::from(job.blocks) * i as u64 / count as u64) as u32;
            let threads: Vec<_> = (0..count)
                .map(|i| {
                    let (blocks, memory) = (first(i)..first(i + 1), shared.view());
                    let spare: Vec<_> = self.spare.pop().into_iter().collect();
                    thread::Builder::new().spawn_scoped(scope, move || Part::run(job, blocks, residency, memory, spare))
                })
                .collect();
            // The system may refuse a thread. One that panics has no result, so the launch panics in one thread.
            let done: Vec<_> = threads.into_iter().map(|thread| thread.ok()?.join().ok().flatten()).collect();
            done.into_iter().collect()
        });
        let independent = |parts: &Vec<Part>| {
            let pairs = (0..count).flat_map(|i| (0..count).map(move |j| (i, j)));
            pairs.filter(|(i, j)| i != j).all(|(i, j)| !parts[i].depends_on(&parts[j]))
                && parts.iter().map(|part| part.instructions).sum::<u64>() <= job.launch.watchdog.instructions
        };
        let Some(parts) = parts.filter(independent) else {
            self.memory.take_back(shared, &[]);
            self.dependent.insert(program.name.clone());
            return None;
        };
        let mut profile = Profile::new(job.launch);
        let mut threads = Vec::new();
        let mut warnings = Vec::new();
        for part in parts {
            profile.include(&part.profile);
            threads.push(part.accessed);
            warnings.extend(part.warnings);
            self.next_epoch = self.next_epoch.max(part.next_epoch);
            self.spare.extend(part.spare);
        }
        self.memory.take_back(shared, &threads);
        // The threads have the blocks in their order.
        self.warnings.extend(warnings.into_iter().next());
        self.spare.truncate(MAX_SPARE);
        Some(profile)
    }
}
