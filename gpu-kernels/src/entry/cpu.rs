//! The kernels on the CPU, compiled once for each instruction set.

use core::mem;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use simt::{Grid, Isa, Target};

use crate::evaluate::EvaluateArgs;
use crate::generate::GenerateArgs;
use crate::kernel::Kernel;
use crate::shape::{ConstShape, DefaultShape, Shape};
use crate::tiled::work::WorkArgs as TiledArgs;
use crate::train::TrainArgs;
use crate::train::batch::PhaseArgs;

const DEFAULT: DefaultShape = ConstShape;

/// Declares [`CpuKernels`] from a list of kernels.
macro_rules! kernels {
    ($($(#[$doc:meta])* $kernel:ident: $args:ident;)*) => {
        /// The kernels compiled for one instruction set.
        #[derive(Clone, Copy)]
        pub struct CpuKernels {
            isa: Isa,
            context: LaunchContext,
            $($kernel: unsafe fn(&$args, Range<usize>, usize, LaunchContext),)*
        }

        impl CpuKernels {
            /// Returns the instruction set.
            pub fn isa(&self) -> Isa {
                self.isa
            }

            /// Returns the kernels with a flag that ends a launch early. Once it is set, a launch skips all further
            /// regions, so that its results are incomplete. A training step that is not complete then leaves weights and
            /// moments as they were before it, and its report is not written.
            ///
            /// # Safety
            /// The flag outlives every launch of the returned kernels, and is never cleared while one runs.
            pub unsafe fn stopped_by(self, flag: &AtomicBool) -> Self {
                Self { context: LaunchContext { stop: ptr::from_ref(flag), ..self.context }, ..self }
            }

            /// Returns the kernels with a team that divides the work of each block that is launched.
            ///
            /// # Safety
            /// The team outlives every launch of the returned kernels, no two of these launches run at once, and the
            /// workspaces are for as many threads.
            pub unsafe fn divided_by<'a>(self, team: &'a (dyn Team + 'a)) -> Self {
                // SAFETY: only launches use the reference, and the team outlives them, as the caller promises.
                let team = unsafe { mem::transmute::<&'a (dyn Team + 'a), &'static dyn Team>(team) };
                Self { context: LaunchContext { team: Some(team), ..self.context }, ..self }
            }

            $(
                $(#[$doc])*
                ///
                /// # Safety
                /// The conditions of [`Kernel::run`] hold, and the processor has the instruction set.
                pub unsafe fn $kernel(&self, args: &$args, blocks: Range<usize>, count: usize) {
                    // SAFETY: the caller keeps the contract of `Kernel::run` and vouches for the instruction set.
                    unsafe { (self.$kernel)(args, blocks, count, self.context) }
                }
            )*
        }
    };
}

/// Threads that divide the work of a block.
///
/// # Safety
/// The number of threads is always the same. `each` runs the work of each thread once, and returns when all of it is done.
pub unsafe trait Team: Sync {
    /// Returns the number of threads.
    fn threads(&self) -> usize;

    /// Runs `work` for the index of each thread, and waits for all. It may panic if `work` or another thread calls it meanwhile.
    fn each(&self, work: &(dyn Fn(usize) + Sync));
}

/// The flag and the team that the host lends to a launch.
#[derive(Clone, Copy)]
struct LaunchContext {
    /// The flag that ends the launch early, or null.
    stop: *const AtomicBool,
    team: Option<&'static dyn Team>,
}

// SAFETY: the pointer is only read through, as a reference to an atomic, which threads may share.
unsafe impl Send for LaunchContext {}
// SAFETY: as for `Send`.
unsafe impl Sync for LaunchContext {}

impl LaunchContext {
    const NONE: Self = Self { stop: ptr::null(), team: None };

    #[inline(always)]
    fn is_stopped(&self) -> bool {
        // SAFETY: the flag outlives the launch, by the contract of `CpuKernels::stopped_by`.
        !self.stop.is_null() && unsafe { (*self.stop).load(Ordering::Relaxed) }
    }
}

/// Work that the threads of a team share.
struct SharedWork<F>(F);

// SAFETY: the threads write disjoint elements, and read only elements that no other thread writes, as blocks do on different
// threads.
unsafe impl<F> Sync for SharedWork<F> {}

impl<F: Fn(usize)> SharedWork<F> {
    #[inline(always)]
    fn run(&self, thread: usize) {
        (self.0)(thread);
    }
}

kernels! {
    /// Trains one model in a grid of one block.
    train: TrainArgs;
    /// Runs a phase of a step on several documents in the blocks `blocks` of a grid of `count` blocks.
    train_batch: PhaseArgs;
    /// Evaluates documents in the blocks `blocks` of a grid of `count` blocks.
    evaluate: EvaluateArgs;
    /// Generates samples in the blocks `blocks` of a grid of `count` blocks.
    generate: GenerateArgs;
    /// Computes items of a phase of the tiled executor, those of the blocks `blocks`.
    tiled: TiledArgs;
}

/// Compiles the kernels for an instruction set. With `constant`, the default shape is also compiled as constants.
macro_rules! compile {
    ($(#[$attribute:meta])* $module:ident, $isa:expr, constant: $constant:literal) => {
        /// The kernels for one instruction set.
        mod $module {
            use super::*;

            pub const KERNELS: CpuKernels = CpuKernels {
                isa: $isa,
                context: LaunchContext::NONE,
                train: launch,
                train_batch: launch,
                evaluate: launch,
                generate: launch,
                tiled: launch_tiled,
            };

            $(#[$attribute])*
            unsafe fn launch<K: Kernel>(args: &K, blocks: Range<usize>, count: usize, context: LaunchContext) {
                let grid = Grid::new(blocks, count, Processor(context));
                // SAFETY: the caller keeps the contract of `Kernel::run`.
                unsafe {
                    if $constant && args.shape() == DEFAULT.to_runtime() {
                        args.run(&grid, DEFAULT);
                    } else {
                        args.run(&grid, args.shape());
                    }
                }
            }

            $(#[$attribute])*
            unsafe fn launch_tiled(args: &TiledArgs, blocks: Range<usize>, count: usize, context: LaunchContext) {
                // SAFETY: the caller keeps the contract of `WorkArgs::run`.
                unsafe { args.run(&Grid::new(blocks, count, Processor(context))) };
            }

            #[derive(Clone, Copy)]
            struct Processor(LaunchContext);

            // SAFETY: only `launch` runs kernels with this target, and its callers vouch for the instruction set.
            unsafe impl Target for Processor {
                const ISA: Isa = $isa;

                #[inline(always)]
                fn is_stopped(self) -> bool {
                    self.0.is_stopped()
                }

                #[inline(always)]
                fn threads(self) -> usize {
                    // The page has one thread, and needs no code for several.
                    if cfg!(target_family = "wasm") { 1 } else { self.0.team.map_or(1, Team::threads) }
                }

                #[inline(always)]
                fn on_each_thread(self, work: impl Fn(usize) + Copy) {
                    let work = SharedWork(
                        #[inline(always)]
                        move |thread| self.region(#[inline(always)] move || work(thread)),
                    );
                    match self.0.team {
                        Some(team) => team.each(&|thread| work.run(thread)),
                        None => work.run(0),
                    }
                }

                #[inline(always)]
                fn region(self, work: impl FnOnce()) {
                    $(#[$attribute])*
                    #[inline(never)]
                    unsafe fn outlined(work: impl FnOnce()) {
                        work();
                    }
                    if !self.is_stopped() {
                        // SAFETY: only `launch` runs regions, and its callers vouch for the instruction set.
                        unsafe { outlined(work) }
                    }
                }
            }
        }
    };
}

#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
compile!(#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")] avx512, Isa::Avx512, constant: true);
#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
compile!(#[target_feature(enable = "avx2,fma")] avx2, Isa::Avx2, constant: true);
#[cfg(target_arch = "aarch64")]
compile!(neon, Isa::Neon, constant: true);
// Without FMA instructions each multiply-add is a call. Constants would save little beside the calls, and would
// lengthen the compilation.
#[cfg(target_arch = "x86_64")]
compile!(baseline, Isa::Baseline, constant: false);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile!(baseline, Isa::Baseline, constant: true);

/// The kernels for each instruction set of the architecture, the fastest first.
///
/// The functions of a `static` are compiled with this crate. Those of a `const` would be compiled with every crate that
/// uses the `const`, by the profile of that crate.
#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
pub static ALL: [CpuKernels; 3] = [avx512::KERNELS, avx2::KERNELS, baseline::KERNELS];
/// The kernels for NEON alone, which every CPU of the architecture has.
#[cfg(target_arch = "aarch64")]
pub static ALL: [CpuKernels; 1] = [neon::KERNELS];
/// The kernels for the baseline alone. Under the race checker each access is a call, so other instruction sets would
/// gain nothing. Miri interprets only the baseline.
#[cfg(any(
    all(target_arch = "x86_64", any(feature = "race-check", miri)),
    not(any(target_arch = "x86_64", target_arch = "aarch64"))
))]
pub static ALL: [CpuKernels; 1] = [baseline::KERNELS];
