//! The compilation of instructions for the vectors of the processor.
//!
//! The work of an instruction is a loop over 32 lanes. It is compiled for each instruction set, and the best one is taken
//! when the instruction is decoded. The results are the same, because every operation on a lane is exact or rounds as IEEE
//! 754 states.

use super::registers::{Compute, Registers};

/// The work of an instruction that only reads and writes registers.
pub(super) trait Work: Send + Sync + 'static {
    /// Executes the instruction for the lanes of `mask`. Implementations are inlined, so that the caller's instruction set
    /// applies to them.
    fn run(&self, registers: &mut Registers, mask: u32);
}

/// Returns the work of an instruction, compiled for the processor.
#[cfg(target_arch = "x86_64")]
pub(super) fn compile(work: impl Work) -> Compute {
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn avx512(work: &impl Work, registers: &mut Registers, mask: u32) {
        work.run(registers, mask);
    }
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2(work: &impl Work, registers: &mut Registers, mask: u32) {
        work.run(registers, mask);
    }
    match *BEST {
        // SAFETY: `BEST` says that the processor has these features.
        Some(Vectors::Avx512) => Box::new(move |registers, mask| unsafe { avx512(&work, registers, mask) }),
        // SAFETY: as above.
        Some(Vectors::Avx2) => Box::new(move |registers, mask| unsafe { avx2(&work, registers, mask) }),
        None => Box::new(move |registers, mask| work.run(registers, mask)),
    }
}

/// Returns the work of an instruction. The baseline of other processors has vectors.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn compile(work: impl Work) -> Compute {
    Box::new(move |registers, mask| work.run(registers, mask))
}

/// A set of features beyond the baseline.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
enum Vectors {
    Avx512,
    Avx2,
}

/// The best set that the processor has.
#[cfg(target_arch = "x86_64")]
static BEST: std::sync::LazyLock<Option<Vectors>> = std::sync::LazyLock::new(|| {
    macro_rules! has {
        ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* };
    }
    let avx2 = has!("avx2" "fma" "bmi1" "bmi2" "lzcnt" "popcnt");
    let avx512 = has!("avx512f" "avx512vl" "avx512dq" "avx512bw");
    match (avx2, avx512) {
        (true, true) => Some(Vectors::Avx512),
        (true, false) => Some(Vectors::Avx2),
        _ => None,
    }
});

/// A loop over the lanes of a warp.
pub trait Task {
    type Output;
    /// Runs the loop. Implementations are inlined, as those of [`Work::run`].
    fn run(self) -> Self::Output;
}

/// Runs a loop, compiled for the processor.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn run<T: Task>(task: T) -> T::Output {
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn avx512<T: Task>(task: T) -> T::Output {
        task.run()
    }
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
    fn avx2<T: Task>(task: T) -> T::Output {
        task.run()
    }
    match *BEST {
        // SAFETY: `BEST` says that the processor has these features.
        Some(Vectors::Avx512) => unsafe { avx512(task) },
        // SAFETY: as above.
        Some(Vectors::Avx2) => unsafe { avx2(task) },
        None => task.run(),
    }
}

/// Runs a loop.
#[cfg(not(target_arch = "x86_64"))]
pub fn run<T: Task>(task: T) -> T::Output {
    task.run()
}
