//! The devices that kernels are compiled for.

/// The number of lanes of half a warp, which are the channels of an [`F32x16`](crate::F32x16).
pub const HALF_WARP: usize = 16;

/// The number of lanes of a warp.
pub const WARP: usize = 32;

/// The number of warps of a block on a GPU.
pub const GPU_WARPS: usize = 16;

/// Whether blocks have as many warps as on a GPU. This holds on a GPU and under the race checker.
pub const AS_ON_GPU: bool = cfg!(any(target_arch = "nvptx64", feature = "race-check"));

/// The number of warps of a block. On the CPU a block has one warp, because a core runs warps one after the other and
/// further warps would only add loop overhead.
pub const WARPS: usize = if AS_ON_GPU { GPU_WARPS } else { 1 };

/// The number of vectors that [`Array::load_wide`](crate::Array::load_wide) loads at once. It is four on a GPU, whose lanes
/// then load 16 bytes each, and one on the CPU, whose registers hold few vectors.
pub const WIDE: usize = if AS_ON_GPU { 4 } else { 1 };

/// The instruction set that a kernel entry is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// x86-64 with AVX-512 (F, VL, DQ, BW), AVX2 and FMA. It estimates inverse square roots to 14 bits.
    Avx512,
    /// x86-64 with AVX2 and FMA. It has sixteen vector registers.
    Avx2,
    /// `aarch64` with NEON, which every such CPU has. It has 32 vector registers of four values each.
    Neon,
    /// The instruction set that every CPU of an architecture other than `aarch64` has.
    Baseline,
    /// The instruction set of GPUs, PTX.
    Ptx,
}

impl Isa {
    /// Returns the human-readable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "AVX-512",
            Self::Avx2 => "AVX2",
            Self::Neon => "NEON",
            Self::Baseline => "baseline",
            Self::Ptx => "PTX",
        }
    }
}

/// The device that a kernel entry is compiled for.
///
/// # Safety
/// Kernels with this target only ever run on processors that have [`Self::ISA`].
pub unsafe trait Target: Copy {
    /// The device's instruction set.
    const ISA: Isa;

    /// Whether a block copies its arrays to shared memory. If the arrays of a shape exceed shared memory, the entry
    /// for that shape leaves the arrays in global memory.
    const SHARED_MEMORY: bool = false;

    /// Returns whether the host wants the launch to end early. The CPU then skips the regions that are left.
    #[inline(always)]
    fn is_stopped(self) -> bool {
        false
    }

    /// Returns the number of threads that divide a warp's work, see [`Block::divided`](crate::Block::divided).
    #[inline(always)]
    fn threads(self) -> usize {
        1
    }

    /// Runs `work` for the index of each thread of [`Self::threads`], and waits for all.
    #[inline(always)]
    fn on_each_thread(self, work: impl Fn(usize) + Copy) {
        work(0);
    }

    /// Runs `work`, the code of a block between two of its barriers.
    ///
    /// CPU entries outline `work` into its own function with the entry's target features. LLVM's loop passes are
    /// superlinear in function size, so smaller functions halve the compile time.
    #[inline(always)]
    fn region(self, work: impl FnOnce()) {
        work();
    }
}
