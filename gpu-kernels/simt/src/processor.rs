//! The entries of a kernel on the CPU, compiled once for each instruction set, and the launch that chooses among them.

use core::num::NonZero;
use core::ops::Range;
#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
use std::is_x86_feature_detected;
#[cfg(not(target_family = "wasm"))]
use std::thread;

use crate::block::Grid;
use crate::kernel::{CpuEntry, Kernel, Launch};
use crate::target::{Isa, Target};

/// The name, the bytes and the CPU entries of a kernel's arguments. [`entries!`](crate::entries) implements the trait.
///
/// # Safety
/// The type has no padding, and its layout is that of the kernel's parameter in PTX.
pub unsafe trait Arguments: Kernel {
    /// The name of the PTX entry.
    const NAME: &'static str;

    /// The dynamic shared memory of a block on a GPU, in bytes.
    const SHARED_BYTES: usize = 4 * Self::SHARED;

    /// Returns the entry for an instruction set. The function is compiled with the crate of the kernel, and by its
    /// profile.
    #[doc(hidden)]
    fn cpu_entry(isa: Isa) -> CpuEntry<Self>;

    /// Returns the bytes of the kernel's parameter.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: by the contract of the trait, all bytes of the struct are initialised.
        unsafe { core::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

/// Makes the entries of a kernel on the CPU.
#[doc(hidden)]
#[macro_export]
macro_rules! device_entry {
    ($name:ident $kernel:ident) => {
        // SAFETY: the struct is `repr(C)`, and `entries!` asserts that it has no padding.
        unsafe impl $crate::Arguments for $kernel {
            const NAME: &'static str = stringify!($name);

            #[inline(never)]
            fn cpu_entry(isa: $crate::Isa) -> $crate::CpuEntry<Self> {
                $crate::cpu_entry(isa)
            }
        }
    };
}

/// Declares an instruction set as a target, and its entry of every kernel.
macro_rules! instruction_set {
    ($(#[$attribute:meta])* $module:ident: $isa:expr) => {
        mod $module {
            use super::*;

            #[derive(Clone, Copy)]
            struct Processor;

            // SAFETY: only `entry` runs kernels with this target, and its callers vouch for the instruction set.
            unsafe impl Target for Processor {
                const ISA: Isa = $isa;

                #[inline(always)]
                fn region(self, work: impl FnOnce()) {
                    $(#[$attribute])*
                    #[inline(never)]
                    unsafe fn outlined(work: impl FnOnce()) {
                        work();
                    }
                    // SAFETY: only `entry` runs regions, and its callers vouch for the instruction set.
                    unsafe { outlined(work) }
                }
            }

            $(#[$attribute])*
            pub(super) unsafe fn entry<K: Kernel>(kernel: &K, blocks: Range<usize>, count: usize) {
                // SAFETY: the caller keeps the contract of `Launch::new`.
                kernel.run(&unsafe { Launch::new(Grid::new(blocks, count, Processor)) });
            }
        }
    };
}

#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
instruction_set!(#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")] avx512: Isa::Avx512);
#[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
instruction_set!(#[target_feature(enable = "avx2,fma")] avx2: Isa::Avx2);
instruction_set!(baseline: if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Baseline });

/// Returns the entry of a kernel for an instruction set of [`isas`].
#[doc(hidden)]
#[inline(always)]
pub fn cpu_entry<K: Kernel>(isa: Isa) -> CpuEntry<K> {
    match isa {
        #[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
        Isa::Avx512 => avx512::entry,
        #[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
        Isa::Avx2 => avx2::entry,
        _ => baseline::entry,
    }
}

/// Returns the instruction sets that this processor has and kernels are compiled for, the fastest first.
///
/// Under the race checker each access is a call, so kernels are compiled for the baseline alone. Miri interprets only
/// the baseline.
fn isas() -> impl Iterator<Item = Isa> {
    #[cfg(all(target_arch = "x86_64", not(any(feature = "race-check", miri))))]
    let (avx512, avx2) = {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        (avx2 && avx512, avx2)
    };
    #[cfg(not(all(target_arch = "x86_64", not(any(feature = "race-check", miri)))))]
    let (avx512, avx2) = (false, false);
    let always = if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Baseline };
    [avx512.then_some(Isa::Avx512), avx2.then_some(Isa::Avx2), Some(always)].into_iter().flatten()
}

/// The CPU as the device of launches. Under the race checker, launches are checked.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    isa: Isa,
    threads: NonZero<usize>,
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Cpu {
    /// Returns the CPU with its fastest instruction set, and a thread for each core.
    pub fn new() -> Self {
        #[cfg(target_family = "wasm")]
        let threads = NonZero::<usize>::MIN;
        #[cfg(not(target_family = "wasm"))]
        let threads = thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
        Self { isa: isas().next().unwrap_or(Isa::Baseline), threads }
    }

    /// Returns the CPU on one thread with each of its instruction sets, the fastest first.
    pub fn all() -> impl Iterator<Item = Self> {
        isas().map(|isa| Self { isa, threads: NonZero::<usize>::MIN })
    }

    /// Returns the CPU with this number of threads.
    pub fn threads(self, threads: NonZero<usize>) -> Self {
        Self { threads, ..self }
    }

    /// Returns the instruction set.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Runs a kernel in a grid of `blocks` blocks, and returns when all have ended. Each thread runs a range of the
    /// blocks. The race checker runs all blocks on the caller's thread.
    ///
    /// # Safety
    /// The arrays of the arguments are valid for reads, and for writes if the kernel stores to them. Only this launch
    /// accesses the arrays meanwhile, and every access of the kernel stays within them. No block accesses an element
    /// that another block writes, unless both accesses are atomic.
    ///
    /// # Panics
    /// If the kernel panics, or if the race checker finds a race or an access out of bounds.
    pub unsafe fn launch<K: Arguments>(&self, blocks: usize, kernel: &K) {
        let entry = K::cpu_entry(self.isa);
        #[cfg(feature = "race-check")]
        crate::cpu::race::launch();
        let threads = if cfg!(any(feature = "race-check", target_family = "wasm")) { 1 } else { self.threads.get() };
        let threads = threads.min(blocks);
        if threads <= 1 {
            // SAFETY: the caller keeps the contract of `Launch::new`, and the processor has the instruction set.
            return unsafe { entry(kernel, 0..blocks, blocks) };
        }
        #[cfg(not(target_family = "wasm"))]
        thread::scope(|scope| {
            for i in 0..threads {
                let range = i * blocks / threads..(i + 1) * blocks / threads;
                // SAFETY: as above. By the contract of this function, blocks may run at the same time.
                scope.spawn(move || unsafe { entry(kernel, range, blocks) });
            }
        });
    }
}
