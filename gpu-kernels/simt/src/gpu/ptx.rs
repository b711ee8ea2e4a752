//! The instructions that are not plain Rust.
//!
//! A value that leaves an `asm!` is opaque to the compiler. For addresses this is intended. LLVM turns visible sums of
//! aligned addresses into `or`, which no memory instruction can take as its offset.

use core::arch::asm;

use super::compiler::thread;

/// Hides a value from the optimiser.
#[inline(always)]
pub fn hide_b32(x: u32) -> u32 {
    let y: u32;
    // SAFETY: the instruction only copies a register. The block is not `pure`, so that each call gives a value of its
    // own.
    unsafe { asm!("mov.b32 {}, {};", out(reg32) y, in(reg32) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// Hides a value from the optimiser, as [`hide_b32`] does, where `anchor` is computed. A value without a use takes no
/// instruction.
#[inline(always)]
pub fn hide_b32_at(x: u32, anchor: u32) -> u32 {
    let y: u32;
    // SAFETY: the instruction only copies a register.
    unsafe {
        asm!("mov.b32 {}, {}; // {}", out(reg32) y, in(reg32) x, in(reg32) anchor, options(pure, nomem, nostack, preserves_flags));
    }
    y
}

/// Hides a value from the optimiser.
#[inline(always)]
pub fn hide_b64(x: u64) -> u64 {
    let y: u64;
    // SAFETY: the instruction only copies a register. The block is not `pure`, so that each call gives a value of its
    // own.
    unsafe { asm!("mov.b64 {}, {};", out(reg64) y, in(reg64) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// Returns the index of the thread's block. The assembly is not `pure`, so that each call reads the special register. One value
/// for all calls would take another register during a whole launch.
#[inline(always)]
pub fn block() -> u32 {
    let block: u32;
    // SAFETY: the instruction only reads a special register.
    unsafe { asm!("mov.u32 {}, %ctaid.x;", out(reg32) block, options(nomem, nostack, preserves_flags)) };
    block
}

/// Returns the number of blocks of the launch, as [`block`] returns the index.
#[inline(always)]
pub fn blocks() -> u32 {
    let blocks: u32;
    // SAFETY: the instruction only reads a special register.
    unsafe { asm!("mov.u32 {}, %nctaid.x;", out(reg32) blocks, options(nomem, nostack, preserves_flags)) };
    blocks
}

/// Returns the warp's index in its block.
#[inline(always)]
pub fn warp() -> u32 {
    uniform(thread() / 32)
}

/// Marks `x` as warp-uniform by broadcasting lane 0. Without the mark, ptxas assumes that branches on `x` diverge, and
/// guards every shuffle behind them.
#[inline(always)]
pub fn uniform(x: u32) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, because lanes of a warp run the same code throughout.
    unsafe { shfl_idx_i32(ALL, x, 0, WARP) }
}

/// Returns the lane's index in its warp.
#[inline(always)]
pub fn lane() -> u32 {
    let lane: u32;
    // SAFETY: the instruction only reads a special register.
    unsafe { asm!("mov.u32 {}, %laneid;", out(reg32) lane, options(pure, nomem, nostack, preserves_flags)) };
    lane
}

/// Returns four times the lane's channel, which is the offset in bytes of the lane's element in a row.
#[inline(always)]
pub fn channel_bytes() -> u32 {
    let bytes: u32;
    // SAFETY: the instructions only compute on registers.
    unsafe {
        asm!(
            "{{",
            ".reg .b32 channel;",
            "and.b32 channel, {lane}, 15;",
            "shl.b32 {bytes}, channel, 2;",
            "}}",
            lane = in(reg32) lane(),
            bytes = out(reg32) bytes,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    bytes
}

/// Returns the offset in bytes of the lane's element in a row whose elements of even index come first.
#[inline(always)]
pub fn even_first_bytes() -> u32 {
    let bytes: u32;
    // SAFETY: the instructions only compute on registers.
    unsafe {
        asm!(
            "{{",
            ".reg .b32 channel;",
            "and.b32 channel, {lane}, 15;",
            // The channel is shifted by one bit and by five, and the bits of the place remain.
            "mul.lo.u32 channel, channel, 34;",
            "and.b32 {bytes}, channel, 60;",
            "}}",
            lane = in(reg32) lane(),
            bytes = out(reg32) bytes,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    bytes
}

/// Returns 0 in the lower half-warp and 1 in the upper one.
#[inline(always)]
pub fn half() -> u32 {
    let half: u32;
    // SAFETY: the instructions only compute on registers.
    unsafe {
        asm!("shr.u32 {}, {}, 4;", out(reg32) half, in(reg32) lane(), options(pure, nomem, nostack, preserves_flags));
    }
    half
}

/// Returns an estimate of `1 / x`. It differs from `1 / x` by at most the distance of two neighbouring floats (PTX ISA,
/// `rcp.approx.ftz.f32`). Beyond 2^126 it is zero.
#[inline(always)]
pub fn reciprocal(x: f32) -> f32 {
    let y: u32;
    // SAFETY: the instruction only computes on registers.
    unsafe {
        asm!(
            "rcp.approx.ftz.f32 {}, {};", out(reg32) y, in(reg32) x.to_bits(),
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    f32::from_bits(y)
}

/// Counts the block in and waits until the counter reaches `arrivals`. The block's first thread does both. The release
/// makes this block's writes visible to the other blocks, and the acquire makes their writes visible to this block. The
/// block barriers around the call extend this visibility to all threads.
///
/// # Safety
/// `counter` is valid for reads and writes, and will reach `arrivals`.
#[inline(always)]
pub unsafe fn await_blocks(counter: *mut u32, arrivals: u32) {
    if thread() == 0 {
        // SAFETY: by the contract of this function, `counter` is valid.
        unsafe {
            asm!("fence.acq_rel.gpu;", "red.release.gpu.global.add.u32 [{}], 1;", in(reg64) counter, options(nostack));
        }
        let mut arrived = arrivals.wrapping_sub(1);
        while (arrived.wrapping_sub(arrivals) as i32) < 0 {
            // SAFETY: by the contract of this function, `counter` is valid.
            unsafe {
                asm!("ld.acquire.gpu.global.u32 {}, [{}];", out(reg32) arrived, in(reg64) counter, options(nostack));
            }
        }
    }
}

// Barriers and shuffles are LLVM's intrinsics. The intrinsics are convergent, so that the compiler keeps all lanes
// together. LLVM may copy an `asm!`, or a function whose body is linked later (`cuda_std`'s barrier), into both sides
// of a branch.
unsafe extern "C" {
    #[link_name = "llvm.nvvm.shfl.sync.bfly.f32"]
    fn shfl_bfly(members: u32, x: f32, mask: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.up.f32"]
    fn shfl_up(members: u32, x: f32, distance: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.f32"]
    fn shfl_idx(members: u32, x: f32, lane: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.i32"]
    fn shfl_idx_i32(members: u32, x: u32, lane: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.shfl.sync.bfly.i32"]
    fn shfl_bfly_i32(members: u32, x: u32, mask: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.shfl.sync.up.i32"]
    fn shfl_up_i32(members: u32, x: u32, distance: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.shfl.sync.down.i32"]
    fn shfl_down_i32(members: u32, x: u32, distance: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.vote.ballot.sync"]
    fn vote_ballot(members: u32, condition: bool) -> u32;
    #[link_name = "llvm.nvvm.bar.warp.sync"]
    fn bar_warp_sync(members: u32);
    #[link_name = "llvm.nvvm.barrier0"]
    fn barrier0();
}

/// The member mask of all lanes for shuffles and barriers.
const ALL: u32 = u32::MAX;

// The clamps of `shfl.sync` (PTX ISA) are for the whole warp, and for half-warps without and with an upper bound.
const WARP: u32 = 31;
const WARP_UP: u32 = 0;
const HALVES_UP: u32 = 0x1000;
const HALVES_IDX: u32 = 0x100f;

/// Waits for the threads of the block, and makes their writes visible to each other.
#[inline(always)]
pub fn block_barrier() {
    // SAFETY: the barrier is convergent. It ends `each_warp` or surrounds the grid's barrier, which all threads run.
    unsafe { barrier0() }
}

/// Waits for the lanes of the warp, and makes their writes visible to each other.
#[inline(always)]
pub fn warp_barrier() {
    // SAFETY: all lanes of the warp execute the instruction, because lanes of a warp run the same code throughout.
    unsafe { bar_warp_sync(ALL) }
}

/// Returns the value of the lane whose index differs in the bits of `mask`.
#[inline(always)]
pub fn shuffle_xor(x: f32, mask: u32) -> f32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_bfly(ALL, x, mask, WARP) }
}

/// Returns the value `distance` channels lower in the same half-warp, or the lane's own value if there is none.
#[inline(always)]
pub fn shuffle_up(x: f32, distance: u32) -> f32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_up(ALL, x, distance, HALVES_UP) }
}

/// Returns the value of the half-warp's last channel.
#[inline(always)]
pub fn shuffle_last(x: f32) -> f32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_idx(ALL, x, 15, HALVES_IDX) }
}

/// Returns the value of the lane whose index is `lane` modulo 32.
#[inline(always)]
pub fn shuffle_lane(x: u32, lane: u32) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_idx_i32(ALL, x, lane, WARP) }
}

/// Returns the value of the lane whose index differs in the bits of `mask`.
#[inline(always)]
pub fn shuffle_lanes_xor(x: u32, mask: u32) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_bfly_i32(ALL, x, mask, WARP) }
}

/// Returns the value of the lane `distance` lower, or the lane's own value if there is none.
#[inline(always)]
pub fn shuffle_lanes_up(x: u32, distance: u32) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_up_i32(ALL, x, distance, WARP_UP) }
}

/// Returns the value of the lane `distance` higher, or the lane's own value if there is none.
#[inline(always)]
pub fn shuffle_lanes_down(x: u32, distance: u32) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { shfl_down_i32(ALL, x, distance, WARP) }
}

/// Returns the lanes in which `condition` holds, as bits.
#[inline(always)]
pub fn ballot(condition: bool) -> u32 {
    // SAFETY: all lanes of the warp execute the instruction, as in `warp_barrier`.
    unsafe { vote_ballot(ALL, condition) }
}

macro_rules! memory {
    ($(
        $space:literal $load:ident $store:ident $load4:ident $store4:ident $load4_where:ident $store4_where:ident
        $address:ty, $class:ident;
    )*) => {$(
        #[doc = concat!("Loads four bytes from ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned.
        #[inline(always)]
        pub unsafe fn $load(address: $address) -> u32 {
            let x: u32;
            // SAFETY: by the contract of this function, the address is valid and aligned.
            unsafe {
                asm!(concat!("ld.", $space, ".b32 {}, [{}];"), out(reg32) x, in($class) address, options(pure, readonly, nostack, preserves_flags));
            }
            x
        }

        #[doc = concat!("Stores four bytes to ", $space, " memory, `OFFSET` elements after an address.")]
        ///
        /// # Safety
        /// The element is valid for writes, and aligned.
        #[inline(always)]
        pub unsafe fn $store<const OFFSET: usize>(address: $address, x: u32) {
            // SAFETY: by the contract of this function, the element is valid and aligned.
            unsafe {
                asm!(
                    concat!("st.", $space, ".b32 [{}+{}], {};"), in($class) address, const 4 * OFFSET, in(reg32) x,
                    options(nostack, preserves_flags)
                );
            }
        }

        #[doc = concat!("Loads sixteen bytes from ", $space, " memory, `OFFSET` elements after an address.")]
        ///
        /// # Safety
        /// The elements are valid for reads, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $load4<const OFFSET: usize>(address: $address) -> [u32; 4] {
            let (x, y, z, w): (u32, u32, u32, u32);
            // SAFETY: by the contract of this function, the elements are valid and aligned.
            unsafe {
                asm!(
                    concat!("ld.", $space, ".v4.b32 {{{}, {}, {}, {}}}, [{}+{}];"),
                    out(reg32) x, out(reg32) y, out(reg32) z, out(reg32) w, in($class) address, const 4 * OFFSET,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            [x, y, z, w]
        }

        #[doc = concat!("Stores sixteen bytes to ", $space, " memory, `OFFSET` elements after an address.")]
        ///
        /// # Safety
        /// The elements are valid for writes, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $store4<const OFFSET: usize>(address: $address, [x, y, z, w]: [u32; 4]) {
            // SAFETY: by the contract of this function, the elements are valid and aligned.
            unsafe {
                asm!(
                    concat!("st.", $space, ".v4.b32 [{}+{}], {{{}, {}, {}, {}}};"),
                    in($class) address, const 4 * OFFSET, in(reg32) x, in(reg32) y, in(reg32) z, in(reg32) w,
                    options(nostack, preserves_flags)
                );
            }
        }

        #[doc = concat!("Loads sixteen bytes from ", $space, " memory if `condition` holds, otherwise returns zeros.")]
        ///
        /// No lane branches.
        ///
        /// # Safety
        /// If `condition` holds, the address is valid for reads, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $load4_where(condition: bool, address: $address) -> [u32; 4] {
            let (x, y, z, w): (u32, u32, u32, u32);
            // SAFETY: by the contract of this function, an address that is read is valid and aligned.
            unsafe {
                asm!(
                    "{{", ".reg .pred held;",
                    "setp.ne.u32 held, {condition}, 0;",
                    "mov.b32 {x}, 0;", "mov.b32 {y}, 0;", "mov.b32 {z}, 0;", "mov.b32 {w}, 0;",
                    concat!("@held ld.", $space, ".v4.b32 {{{x}, {y}, {z}, {w}}}, [{address}];"),
                    "}}",
                    condition = in(reg32) u32::from(condition), address = in($class) address,
                    x = out(reg32) x, y = out(reg32) y, z = out(reg32) z, w = out(reg32) w,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            [x, y, z, w]
        }

        #[doc = concat!("Stores sixteen bytes to ", $space, " memory if `condition` holds. No lane branches.")]
        ///
        /// # Safety
        /// If `condition` holds, the address is valid for writes, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $store4_where(condition: bool, address: $address, [x, y, z, w]: [u32; 4]) {
            // SAFETY: by the contract of this function, an address that is written is valid and aligned.
            unsafe {
                asm!(
                    "{{", ".reg .pred held;",
                    "setp.ne.u32 held, {condition}, 0;",
                    concat!("@held st.", $space, ".v4.b32 [{address}], {{{x}, {y}, {z}, {w}}};"),
                    "}}",
                    condition = in(reg32) u32::from(condition), address = in($class) address,
                    x = in(reg32) x, y = in(reg32) y, z = in(reg32) z, w = in(reg32) w,
                    options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

memory! {
    "shared" load_shared store_shared load_shared4 store_shared4 load_shared4_where store_shared4_where u32, reg32;
    "global" load_global store_global load_global4 store_global4 load_global4_where store_global4_where u64, reg64;
}
