//! A simulated device and the launches on it.

use std::collections::HashSet;
use std::time::Instant;

use super::barrier::Spare;
use super::cluster::Clusters;
use super::fault::Fault;
use super::launch::{DeviceProperties, Dims, Launch, MAX_THREADS};
use super::memory::GlobalMemory;
use super::profile::Profile;
use super::regions::classes;
use super::run::{Job, Run};
use super::texture::Textures;
use super::turns::Residency;
use crate::program::{Action, Inst, Order, Program, Scope};
use crate::ptx::syntax::Space;

/// The number of blocks whose memory outlives a launch.
pub(super) const MAX_SPARE: usize = 8;

/// The largest size in bytes of the shared memory, local memory and registers of all running blocks.
const MAX_STATE: usize = 16 << 30;

/// A simulated device with the state that outlives a launch.
pub struct Simulator {
    pub device: DeviceProperties,
    pub memory: GlobalMemory,
    pub textures: Textures,
    pub(super) next_epoch: u32,
    /// Blocks that have ended, whose memory the next blocks take.
    pub(super) spare: Vec<Spare>,
    /// The names of kernels whose blocks are not worth several threads, because they have depended on each other.
    pub(super) dependent: HashSet<String>,
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
            dependent: HashSet::new(),
            output: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Runs a launch with these parameter bytes to its end, or to its first fault. Panics as `Gpu::launch` does.
    pub fn launch<'a>(&mut self, launch: Launch<'a>, params: &[u8]) -> Result<Profile<'a>, Box<Fault>> {
        // The threads of the launch share the textures, and the rest of the device stays with this thread.
        let textures = std::mem::take(&mut self.textures);
        let launched = self.launch_with(&textures, launch, params);
        self.textures = textures;
        launched
    }

    fn launch_with<'a>(
        &mut self,
        textures: &Textures,
        launch: Launch<'a>,
        params: &[u8],
    ) -> Result<Profile<'a>, Box<Fault>> {
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
        let classes = if launch.timed { classes(program) } else { Vec::new() };
        let job = Job {
            launch,
            params,
            textures,
            clusters,
            uses_clusters,
            isolated: !uses_clusters && !communicates(program),
            classes: &classes,
            shared_base: if program.reserved_shared { 0 } else { u64::from(reserved_shared) },
            reserved_shared,
            first_epoch: self.next_epoch,
            threads_per_block: threads,
            sms: self.device.sms,
            blocks: launch.dims.blocks().expect("a grid has at most 2^32 - 1 blocks"),
            start: Instant::now(),
        };
        let together = launch.order != 0 || !job.isolated;
        let residency = Residency { together, resident, max_live, parallel: false };
        if !together && let Some(profile) = self.launch_in_threads(&job, residency) {
            return Ok(profile);
        }
        let mut spare = std::mem::take(&mut self.spare);
        let mut run = job.run(&mut self.memory, &mut self.output);
        let done = run.execute(0..job.blocks / clusters.blocks(), residency, &mut spare);
        let Run { profile, mut warnings, next_epoch, .. } = run;
        self.next_epoch = next_epoch;
        done?;
        self.warnings.append(&mut warnings);
        spare.truncate(MAX_SPARE);
        self.spare = spare;
        Ok(profile)
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
