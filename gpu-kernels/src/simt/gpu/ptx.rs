//! Every instruction that is not plain Rust.
//!
//! A value that leaves an `asm!` is opaque to the compiler, which is on purpose where addresses are concerned: it would
//! turn sums of aligned addresses into `or`, which no memory instruction can take as its offset.

use core::arch::asm;

use super::compiler::thread;

/// The same number, which the compiler cannot know.
#[inline(always)]
pub fn opaque32(x: u32) -> u32 {
    let y: u32;
    // SAFETY: copies a register. Not `pure`: each time must count.
    unsafe { asm!("mov.b32 {}, {};", out(reg32) y, in(reg32) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// The same number, which the compiler cannot know.
#[inline(always)]
pub fn opaque64(x: u64) -> u64 {
    let y: u64;
    // SAFETY: copies a register. Not `pure`: each time must count.
    unsafe { asm!("mov.b64 {}, {};", out(reg64) y, in(reg64) x, options(nomem, nostack, preserves_flags)) };
    y
}

/// Which warp of the block.
#[inline(always)]
pub fn warp() -> u32 {
    uniform(thread() / 32)
}

/// The same number, which all lanes of the warp share, so that the compiler knows it: where a branch depends on a number
/// that might differ from lane to lane, it guards every shuffle against lanes that are elsewhere.
#[inline(always)]
pub fn uniform(x: u32) -> u32 {
    // SAFETY: lanes of a warp run the same code throughout.
    unsafe { shfl_idx_i32(ALL, x, 0, WARP) }
}

/// Which lane of the warp.
#[inline(always)]
pub fn lane() -> u32 {
    let lane: u32;
    // SAFETY: reads a special register.
    unsafe { asm!("mov.u32 {}, %laneid;", out(reg32) lane, options(pure, nomem, nostack, preserves_flags)) };
    lane
}

/// The lane's channel, four times: the bytes from a tile's first element to the lane's.
#[inline(always)]
pub fn channel_bytes() -> u32 {
    let bytes: u32;
    // SAFETY: arithmetic on registers.
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

/// 0 in the lower half-warp, 1 in the upper one.
#[inline(always)]
pub fn half() -> u32 {
    let half: u32;
    // SAFETY: arithmetic on registers.
    unsafe {
        asm!("shr.u32 {}, {}, 4;", out(reg32) half, in(reg32) lane(), options(pure, nomem, nostack, preserves_flags));
    }
    half
}

/// The block's first thread counts the block in, and waits until there are `arrivals`. The release makes visible to others what
/// this block has written, the acquire to this block what the others have; the block barriers around it extend both to all
/// of its threads.
///
/// # Safety
/// `counter` is valid, and `arrivals` arrivals come.
#[inline(always)]
pub unsafe fn await_blocks(counter: *mut u32, arrivals: u32) {
    if thread() == 0 {
        // SAFETY: the caller vouches for the counter.
        unsafe {
            asm!("fence.acq_rel.gpu;", "red.release.gpu.global.add.u32 [{}], 1;", in(reg64) counter, options(nostack));
        }
        let mut arrived = arrivals.wrapping_sub(1);
        while (arrived.wrapping_sub(arrivals) as i32) < 0 {
            // SAFETY: as above.
            unsafe {
                asm!("ld.acquire.gpu.global.u32 {}, [{}];", out(reg32) arrived, in(reg64) counter, options(nostack))
            };
        }
    }
}

// Barriers, and what lanes exchange, as LLVM's intrinsics, since compilers know of these that all lanes must come by: an `asm!`,
// or a function whose body comes later, as `cuda_std`'s barrier, they may copy into both sides of a branch.
unsafe extern "C" {
    #[link_name = "llvm.nvvm.shfl.sync.bfly.f32"]
    fn shfl_bfly(members: u32, x: f32, mask: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.up.f32"]
    fn shfl_up(members: u32, x: f32, distance: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.f32"]
    fn shfl_idx(members: u32, x: f32, lane: u32, clamp: u32) -> f32;
    #[link_name = "llvm.nvvm.shfl.sync.idx.i32"]
    fn shfl_idx_i32(members: u32, x: u32, lane: u32, clamp: u32) -> u32;
    #[link_name = "llvm.nvvm.vote.ballot.sync"]
    fn vote_ballot(members: u32, condition: bool) -> u32;
    #[link_name = "llvm.nvvm.bar.warp.sync"]
    fn bar_warp_sync(members: u32);
    #[link_name = "llvm.nvvm.barrier0"]
    fn barrier0();
}

/// The members of an exchange: all lanes.
const ALL: u32 = u32::MAX;

/// Clamps of shuffles: over the whole warp, and with the warp divided into halves, without and with an upper bound.
const WARP: u32 = 31;
const HALVES_UP: u32 = 0x1000;
const HALVES_IDX: u32 = 0x100f;

/// Waits for the threads of the block, and makes what they wrote visible to each other.
#[inline(always)]
pub fn block_barrier() {
    // SAFETY: every thread of the block comes here: it ends `each_warp`, which all of them run, or stands around the grid's.
    unsafe { barrier0() }
}

/// Waits for the lanes of the warp, and makes what they wrote visible to each other.
#[inline(always)]
pub fn warp_barrier() {
    // SAFETY: lanes of a warp run the same code throughout.
    unsafe { bar_warp_sync(ALL) }
}

/// The number of the lane whose index differs by the bits of `mask`.
#[inline(always)]
pub fn shuffle_xor(x: f32, mask: u32) -> f32 {
    // SAFETY: as for `warp_barrier`.
    unsafe { shfl_bfly(ALL, x, mask, WARP) }
}

/// The number of the lane `distance` channels lower in the same half-warp, its own where there is none.
#[inline(always)]
pub fn shuffle_up(x: f32, distance: u32) -> f32 {
    // SAFETY: as for `warp_barrier`.
    unsafe { shfl_up(ALL, x, distance, HALVES_UP) }
}

/// The number of the half-warp's last channel.
#[inline(always)]
pub fn shuffle_last(x: f32) -> f32 {
    // SAFETY: as for `warp_barrier`.
    unsafe { shfl_idx(ALL, x, 15, HALVES_IDX) }
}

/// The lanes where `condition` holds, as bits.
#[inline(always)]
pub fn ballot(condition: bool) -> u32 {
    // SAFETY: as for `warp_barrier`.
    unsafe { vote_ballot(ALL, condition) }
}

macro_rules! memory {
    ($($space:literal $load:ident $store:ident $load4:ident $store4:ident $address:ty, $class:ident;)*) => {$(
        #[doc = concat!("The four bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned.
        #[inline(always)]
        pub unsafe fn $load(address: $address) -> u32 {
            let x: u32;
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(concat!("ld.", $space, ".b32 {}, [{}];"), out(reg32) x, in($class) address, options(pure, readonly, nostack, preserves_flags));
            }
            x
        }

        #[doc = concat!("Writes four bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for writes, and aligned.
        #[inline(always)]
        pub unsafe fn $store(address: $address, x: u32) {
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(concat!("st.", $space, ".b32 [{}], {};"), in($class) address, in(reg32) x, options(nostack, preserves_flags));
            }
        }

        #[doc = concat!("The sixteen bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for reads, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $load4(address: $address) -> [u32; 4] {
            let (x, y, z, w): (u32, u32, u32, u32);
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(
                    concat!("ld.", $space, ".v4.b32 {{{}, {}, {}, {}}}, [{}];"),
                    out(reg32) x, out(reg32) y, out(reg32) z, out(reg32) w, in($class) address,
                    options(pure, readonly, nostack, preserves_flags)
                );
            }
            [x, y, z, w]
        }

        #[doc = concat!("Writes sixteen bytes at this address of ", $space, " memory.")]
        ///
        /// # Safety
        /// The address is valid for writes, and aligned to sixteen bytes.
        #[inline(always)]
        pub unsafe fn $store4(address: $address, [x, y, z, w]: [u32; 4]) {
            // SAFETY: the caller vouches for the address.
            unsafe {
                asm!(
                    concat!("st.", $space, ".v4.b32 [{}], {{{}, {}, {}, {}}};"),
                    in($class) address, in(reg32) x, in(reg32) y, in(reg32) z, in(reg32) w,
                    options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

memory! {
    "shared" load_shared store_shared load_shared4 store_shared4 u32, reg32;
    "global" load_global store_global load_global4 store_global4 u64, reg64;
}
